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

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null

// An event that is no JSON is damage, never something to pass over: it may have had a number. What came before it in
// the same read is delivered first. The caller can go on from there as after any broken connection.
const decodeAll = (texts: ReadonlyArray<string>, reading: Reading): Batch => {
  const events: Array<ModelEvent> = []
  const damage = Result.try(() => {
    for (const text of texts) {
      // Some servers that speak this API end their streams so. OpenAI does not.
      if (text === "[DONE]") continue
      const raw: unknown = JSON.parse(text)
      if (!isObject(raw)) return fail(reading, Failures.fromDamage("an event of the body is no object", reading))
      events.push(Events.decode(raw, reading))
    }
    return undefined
  })
  const failure = Result.getOrElse(damage, () =>
    fail(reading, Failures.fromDamage("an event of the body is damaged", reading))
  )
  return failure === undefined ? { events } : { events, failure }
}

// A last event without its blank line counts where it is whole. Half an event does not: it will come again.
const decodeLast = (text: string | undefined, reading: Reading): ReadonlyArray<ModelEvent> =>
  text === undefined ? [] : decodeAll([text], reading).events

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
  let failure: AiError.AiError | undefined
  let ended = false

  const read = Effect.tryPromise({
    try: () => source.read(),
    catch: (error) => fail(reading, Failures.fromBody(error, reading))
  })

  type Next = Pull.Pull<Array.NonEmptyReadonlyArray<ModelEvent>, AiError.AiError>
  return Effect.suspend((): Next => {
    if (failure !== undefined) return Effect.fail(failure)
    if (ended) return Cause.done()
    return Effect.flatMap(read, (result): Next => {
      if (result.done) {
        ended = true
        const events = decodeLast(splitter.end(), reading)
        return Array.isReadonlyArrayNonEmpty(events) ? Effect.succeed(events) : Cause.done()
      }
      const batch = decodeAll(splitter.push(result.value), reading)
      failure = batch.failure
      if (Array.isReadonlyArrayNonEmpty(batch.events)) return Effect.succeed(batch.events)
      return failure === undefined ? Effect.succeed(Array.of(alive)) : Effect.fail(failure)
    })
  })
}
