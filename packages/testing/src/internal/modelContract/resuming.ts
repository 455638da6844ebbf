import * as Effect from "effect/Effect"
import { ContractViolation } from "../../ContractViolation.ts"
import { refused } from "../contract/violation.ts"
import { afterOf, type Bench, type Heard, holds, lastNumber, type Law, says, type Told } from "./bench.ts"
import * as Story from "./story.ts"

/** Checks that exactly the events after this number came. */
const isAfter = (told: Told, after: number | undefined, { error, events }: Heard<unknown>) =>
  Effect.gen(function* () {
    if (error !== undefined) return yield* Effect.fail(error)
    const expected = told.events.filter(({ sequenceNumber = 0 }) => after === undefined || sequenceNumber > after)
    const found = Story.difference(events, expected)
    if (found === undefined) return
    return yield* new ContractViolation({ ...found, message: `resumed after ${after ?? "nothing"}, ${found.message}` })
  })

/** A law for models that can resume. A model that cannot must fail with `ReplayUnavailable`. */
const resumable =
  (law: (bench: Bench) => Effect.Effect<unknown, unknown>): Law =>
  (bench) =>
    bench.model.capabilities.resume
      ? law(bench)
      : Effect.gen(function* () {
          const { responseId } = yield* bench.tell(bench.answers[0])
          const { error } = yield* bench.hear(bench.model.resume(responseId, {}))
          const failing = error === undefined ? Effect.void : Effect.fail(error)
          yield* refused(failing, "ReplayUnavailable", "resume, of a model that cannot")
        })

export const resuming = {
  "a response is resumed after any of its events with exactly those that follow": resumable(
    ({ answers, hear, model, tell }) =>
      Effect.forEach(
        answers,
        Effect.fnUntraced(function* (request) {
          const told = yield* tell(request)
          const numbers = told.events.flatMap(({ sequenceNumber }) => sequenceNumber ?? [])
          for (const after of [undefined, ...numbers.slice(0, -1)]) {
            yield* isAfter(told, after, yield* hear(model.resume(told.responseId, afterOf(after))))
          }
        })
      )
  ),

  "resumed after its last event, a response says nothing more": resumable(({ answers, hear, model, tell }) =>
    Effect.gen(function* () {
      const told = yield* tell(answers[0])
      const { error, events } = yield* hear(model.resume(told.responseId, afterOf(lastNumber(told.events))))
      if (error !== undefined) return yield* Effect.fail(error)
      const more = events.filter(({ terminal }) => terminal === undefined)
      yield* holds(
        more.length === 0 && events.length <= 1,
        `after the last event more came: ${events.length}`,
        events.map(Story.plain)
      )
    })
  ),

  "a response that was left while it spoke is resumed where it was left": resumable(
    ({ answers, hear, leaveAt, model, readOn }) =>
      Effect.gen(function* () {
        const told = yield* readOn(yield* leaveAt(answers[0], says))
        const { error, events } = yield* hear(model.resume(told.responseId, {}))
        yield* isAfter(told, undefined, { error, events })
      })
  )
} satisfies Record<string, Law>
