import type { ModelEvent } from "@effect-baton/core/BackgroundModel"
import * as Array from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as AiError from "effect/ai/AiError"
import { Alike } from "./alike.ts"
import * as Events from "./events.ts"
import * as Failures from "./failures.ts"
import type { Json } from "./fields.ts"
import { type Read, readAhead, type Source, staysOpen } from "./readAhead.ts"
import type { Context } from "./snapshot.ts"
import * as Sse from "./sse.ts"

/** The context in which a body is read: errors carry it. */
export interface Reading extends Context, Failures.Surroundings {}

// Bytes arrived that completed no event: a comment, or a piece of a large event. The connection is alive.
const alive: ModelEvent = { statements: [], keepalive: true }

const fail = (reading: Reading, reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "OpenAiBackgroundModel", method: reading.method, reason })

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null

// The first update of a network read must not wait until the whole read is decoded. `few` events are decoded first, then as
// many again as are decoded already, up to `many`: larger batches are slower, as memory is.
const few = 16
const many = 64

const numberOf = (event: ModelEvent | undefined): number => event?.sequenceNumber ?? Number.NaN

// Some replays deliver neighbouring events in swapped order. The consumer that sorts them needs both at once.
const isEnough = (events: ReadonlyArray<ModelEvent>, size: number): boolean => {
  if (events.length < size) return false
  const last = numberOf(events.at(-1))
  return last === numberOf(events.at(-2)) + 1 && events.every((event) => !(numberOf(event) > last))
}

/** Whether an answer is a stream of events. */
export const isEventStream = (response: Response): boolean =>
  response.headers.get("content-type")?.includes("text/event-stream") ?? false

/** Whether an answer is one JSON text. */
export const isJson = (response: Response): boolean =>
  response.headers.get("content-type")?.includes("application/json") ?? false

type Next = Pull.Pull<Array.NonEmptyReadonlyArray<ModelEvent>, AiError.AiError>

/** A body that is being read. */
class Body {
  private readonly reading: Reading
  private readonly source: Source
  private readonly splitter = new Sse.Splitter()
  private readonly alike = new Alike()
  /** The texts of the last read. The first `decoded` of them are decoded. */
  private texts: ReadonlyArray<string> = []
  private decoded = 0
  /** Why the body cannot be read any further. */
  private failure: AiError.AiError | undefined
  private ended = false

  constructor(source: Source, reading: Reading) {
    this.source = source
    this.reading = reading
  }

  next(): Next {
    if (this.failure !== undefined) return Effect.fail(this.failure)
    if (this.decoded < this.texts.length) return this.some()
    return this.ended ? Cause.done() : Effect.flatMap(this.read, (result) => this.came(result))
  }

  private readonly read = Effect.tryPromise({
    try: () => this.source.read(),
    catch: (error) => fail(this.reading, Failures.fromBody(error, this.reading))
  })

  private came(result: Read): Next {
    if (!result.done) {
      this.take(this.splitter.push(result.value))
      return this.some()
    }
    this.ended = true
    const last = this.splitter.end()
    if (last === undefined) return Cause.done()
    // A last event without its blank line is used if it is whole. Half an event is dropped: it will come again.
    this.take([last])
    const events = this.decode()
    this.failure = undefined
    return Array.isReadonlyArrayNonEmpty(events) ? Effect.succeed(events) : Cause.done()
  }

  private take(texts: ReadonlyArray<string>): void {
    this.texts = texts
    this.decoded = 0
  }

  private some(): Next {
    const events = this.decode()
    if (Array.isReadonlyArrayNonEmpty(events)) return Effect.succeed(events)
    return this.failure === undefined ? Effect.succeed(Array.of(alive)) : Effect.fail(this.failure)
  }

  // An event that is not JSON must not be skipped: it may have had a sequence number. The events before it in the same
  // read are delivered first. The caller can then continue as after any broken connection.
  private decode(): ReadonlyArray<ModelEvent> {
    const events: Array<ModelEvent> = []
    const { reading, texts } = this
    const size = Math.min(many, Math.max(few, this.decoded))
    const whole = Result.try(() => {
      while (this.decoded < texts.length && !isEnough(events, size)) {
        const text = texts[this.decoded++]!
        // Some servers that implement this API end their streams with this text. OpenAI does not.
        if (text === "[DONE]") continue
        const known = this.alike.read(text)
        if (known !== undefined) {
          events.push(known)
          continue
        }
        const raw: unknown = JSON.parse(text)
        if (!isObject(raw)) return false
        const event = Events.decode(raw, reading)
        this.alike.learn(text, raw, event)
        events.push(event)
      }
      return true
    })
    if (Result.isFailure(whole) || !whole.success) {
      const what = Result.isFailure(whole)
        ? "an event in the body is not JSON"
        : "an event in the body is not an object"
      this.failure = fail(reading, Failures.fromDamage(what, reading))
    }
    return events
  }
}

/**
 * Pulls the events of a body, a few at a time. It ends where the body ends, with or without a terminal event. It fails if
 * the connection breaks or an event is damaged.
 */
export const pull = (response: Response, reading: Reading): Next => {
  const reader = response.body?.getReader()
  if (reader === undefined) return Cause.done()
  const body = new Body(staysOpen(response.headers) ? reader : readAhead(reader), reading)
  return Effect.suspend(() => body.next())
}
