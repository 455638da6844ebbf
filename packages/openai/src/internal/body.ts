import type { ModelEvent } from "@effect-baton/core/BackgroundModel"
import * as Array from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as AiError from "effect/ai/AiError"
import * as Events from "./events.ts"
import * as Failures from "./failures.ts"
import type { Json } from "./fields.ts"
import { readAhead, staysOpen } from "./readAhead.ts"
import type { Context } from "./snapshot.ts"
import * as Sse from "./sse.ts"

/** What reading a body tells of its errors. */
export interface Reading extends Context, Failures.Surroundings {}

// Bytes arrived and completed no event: a comment, or a piece of something large. The connection lives.
const alive: ModelEvent = { statements: [], keepalive: true }

interface Batch {
  readonly events: ReadonlyArray<ModelEvent>
  /** Why the body cannot be read past these events. */
  readonly failure?: AiError.AiError
}

const fail = (reading: Reading, reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "OpenAiBackgroundModel", method: reading.method, reason })

const damaged = (description: string, reading: Reading): AiError.AiError =>
  fail(reading, Failures.fromDamage(description, reading))

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null

// So many events are decoded at once: the first update of a read does not wait for the decoding of all of it.
const few = 16

const numberOf = (event: ModelEvent | undefined): number => event?.sequenceNumber ?? Number.NaN

/** The texts of the events of one read, which are decoded a few at a time. */
class Texts {
  private readonly texts: ReadonlyArray<string>
  private readonly reading: Reading
  private next = 0

  constructor(texts: ReadonlyArray<string>, reading: Reading) {
    this.texts = texts
    this.reading = reading
  }

  get isEmpty(): boolean {
    return this.next === this.texts.length
  }

  // An event that is no JSON is damage, never something to pass over: it may have had a number. What came before it in
  // the same read is delivered first. The caller can go on from there as after any broken connection.
  decode(): Batch {
    const events: Array<ModelEvent> = []
    const damage = Result.try(() => {
      while (!this.isEmpty && !this.isEnough(events)) {
        const text = this.texts[this.next++]!
        // Some servers that speak this API end their streams so. OpenAI does not.
        if (text === "[DONE]") continue
        const raw: unknown = JSON.parse(text)
        if (!isObject(raw)) return damaged("an event of the body is no object", this.reading)
        events.push(Events.decode(raw, this.reading))
      }
      return undefined
    })
    const failure = Result.getOrElse(damage, () => damaged("an event of the body is damaged", this.reading))
    return failure === undefined ? { events } : { events, failure }
  }

  // Some replays come with neighbours swapped. Who sorts them needs both.
  private isEnough(events: ReadonlyArray<ModelEvent>): boolean {
    if (events.length < few) return false
    const last = numberOf(events.at(-1))
    return last === numberOf(events.at(-2)) + 1 && events.every((event) => !(numberOf(event) > last))
  }
}

// A last event without its blank line counts where it is whole. Half an event does not: it will come again.
const decodeLast = (text: string | undefined, reading: Reading): ReadonlyArray<ModelEvent> =>
  text === undefined ? [] : new Texts([text], reading).decode().events

/** Whether an answer is a stream of events, and not one JSON text, say. */
export const isEventStream = (response: Response): boolean =>
  response.headers.get("content-type")?.includes("text/event-stream") ?? false

/** Whether an answer is one JSON text. */
export const isJson = (response: Response): boolean =>
  response.headers.get("content-type")?.includes("application/json") ?? false

/**
 * Pulls the events of a body: one network read, one array. Ends where the body ends, be it at a terminal event or before;
 * fails where the connection breaks or an event is damaged.
 */
export const pull = (
  response: Response,
  reading: Reading
): Pull.Pull<Array.NonEmptyReadonlyArray<ModelEvent>, AiError.AiError> => {
  const reader = response.body?.getReader()
  if (reader === undefined) return Cause.done()
  const source = staysOpen(response.headers) ? reader : readAhead(reader)
  const splitter = Sse.make()
  let texts = new Texts([], reading)
  let failure: AiError.AiError | undefined
  let ended = false

  const read = Effect.tryPromise({
    try: () => source.read(),
    catch: (error) => fail(reading, Failures.fromBody(error, reading))
  })

  type Next = Pull.Pull<Array.NonEmptyReadonlyArray<ModelEvent>, AiError.AiError>
  const decoded = (): Next => {
    const batch = texts.decode()
    failure = batch.failure
    if (Array.isReadonlyArrayNonEmpty(batch.events)) return Effect.succeed(batch.events)
    return failure === undefined ? Effect.succeed(Array.of(alive)) : Effect.fail(failure)
  }
  return Effect.suspend((): Next => {
    if (failure !== undefined) return Effect.fail(failure)
    if (!texts.isEmpty) return decoded()
    if (ended) return Cause.done()
    return Effect.flatMap(read, (result): Next => {
      if (result.done) {
        ended = true
        const events = decodeLast(splitter.end(), reading)
        return Array.isReadonlyArrayNonEmpty(events) ? Effect.succeed(events) : Cause.done()
      }
      texts = new Texts(splitter.push(result.value), reading)
      return decoded()
    })
  })
}
