import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { ContractViolation } from "../../ContractViolation.ts"
import { range } from "../contract/bench.ts"
import { equal } from "../contract/violation.ts"
import { chunkOf, idOf, type Law, type Log, row } from "./bench.ts"

// In the time of this process, whatever clock the log goes by: hints may come from a server.
const real = (effect: Effect.Effect<void>) => Effect.provideService(effect, Clock.Clock, Clock.Clock.defaultValue())
const longest = real(Effect.sleep("30 seconds"))
// How long no hint comes if there is none any more. A machine that is slower hides some of too many, and no law breaks.
const quiet = real(Effect.sleep("100 millis"))
// How many chunks nobody is told of one by one.
const many = 200

/** Hears the hints of a run until the law is over, the first of which has come. */
const listening = Effect.fnUntraced(function* (log: Log, id: string) {
  const heard = yield* Queue.unbounded<void>()
  yield* Effect.forkScoped(Stream.runForEach(log.changes(idOf(id)), () => Queue.offer(heard, undefined)))
  /** Waits for a hint. */
  const hint = (what: string) =>
    Effect.raceFirst(
      Queue.take(heard),
      Effect.flatMap(longest, () => Effect.fail(new ContractViolation({ message: `a hint ${what} comes` })))
    )
  yield* hint("to begin with")
  return { hint, heard }
})

export const hints = {
  "hints begin with one, whether there is a log or not": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* listening(log, "r-1")
      yield* fill("r-1", row([1]))
      yield* listening(log, "r-1")
      yield* listening(log, "r-1")
    }),

  "an append gives a hint to all who listen, and the chunk can be read then": ({ log }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      yield* log.open(id, 1)
      const listeners = [yield* listening(log, "r-1"), yield* listening(log, "r-1")]
      for (const chunk of [chunkOf(0, { count: 2 }), chunkOf(2), chunkOf(3, { count: 0, ended: true })]) {
        yield* log.append(id, chunk)
        for (const { hint } of listeners) {
          // A hint may be of what came before: there is one after the chunk can be read.
          while (true) {
            yield* hint(`of the chunk at ${chunk.from}`)
            const { ended, length } = yield* log.read(id, { from: 0, limit: 1 })
            if (length === chunk.from + chunk.count && ended === chunk.ended) break
          }
        }
      }
    }),

  "a removal gives a hint": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* fill("r-1", row([1]))
      const { hint } = yield* listening(log, "r-1")
      yield* log.remove(idOf("r-1"))
      yield* hint("of the removal")
    }),

  "what other runs say gives no hint": ({ fill, log }) =>
    Effect.gen(function* () {
      const { heard, hint } = yield* listening(log, "r-1")
      const other = yield* listening(log, "r-2")
      for (const id of ["r-2", "r-11", "r-", "R-1"]) yield* fill(id, row([1, 1]))
      yield* other.hint("of the other run")
      yield* log.remove(idOf("r-11"))
      yield* equal(yield* Queue.size(heard), 0, "how many hints of other runs came")
      yield* fill("r-1", row([1]))
      yield* hint("of this run")
    }),

  "many hints that nobody took become few, and one comes after the last chunk": ({ log }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      yield* log.open(id, 1)
      const pull = yield* Stream.toPull(log.changes(id))
      yield* pull
      const { hint } = yield* listening(log, "r-1")
      yield* Effect.forEach(range(many), (i) => log.append(id, chunkOf(i)), { discard: true })
      // Who takes its hints has the last: by then the hints of the other are there too.
      while ((yield* log.read(id, { from: 0, limit: 1 })).length < many) yield* hint("of the last chunk")
      yield* hint("after the last chunk")
      let taken = 0
      while (taken < many) {
        const more = yield* Effect.raceFirst(Effect.map(pull, Option.some), Effect.as(quiet, Option.none()))
        if (Option.isNone(more)) break
        taken += more.value.length
      }
      yield* equal(taken >= 1 && taken <= many / 10, true, `${taken} hints of ${many} chunks are few`)
    })
} satisfies Record<string, Law>
