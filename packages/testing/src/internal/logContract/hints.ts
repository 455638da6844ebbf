import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { ContractViolation } from "../../ContractViolation.ts"
import { range } from "../contract/bench.ts"
import { equal } from "../contract/violation.ts"
import { chunkOf, idOf, type Law, type Log, row } from "./bench.ts"

// In real time, whichever clock the log uses, because hints may come from a server.
const real = (effect: Effect.Effect<void>) => Effect.provideService(effect, Clock.Clock, Clock.Clock.defaultValue())
const longest = real(Effect.sleep("30 seconds"))
// If no hint comes for so long, there are none left. On a slow machine the law may then miss some of too many hints.
const quiet = real(Effect.sleep("100 millis"))
// The number of chunks whose hints must become few.
const many = 200

/** Listens to the hints of a run until the law is over, and waits for the first one. */
const listening = Effect.fnUntraced(function* (log: Log, id: string) {
  const heard = yield* Queue.unbounded<void>()
  yield* Effect.forkScoped(Stream.runForEach(log.changes(idOf(id)), () => Queue.offer(heard, undefined)))
  /** Waits for the next hint. */
  const hint = (what: string) =>
    Effect.raceFirst(
      Queue.take(heard),
      Effect.flatMap(longest, () => Effect.fail(new ContractViolation({ message: `no hint ${what} came` })))
    )
  yield* hint("to begin with,")
  return { hint, heard }
})

export const hints = {
  "the first hint comes at once, with or without a log": ({ fill, log }) =>
    Effect.gen(function* () {
      yield* listening(log, "r-1")
      yield* fill("r-1", row([1]))
      yield* listening(log, "r-1")
      yield* listening(log, "r-1")
    }),

  "an append gives a hint to every listener, which can then read the chunk": ({ log }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      yield* log.open(id, 1)
      const listeners = [yield* listening(log, "r-1"), yield* listening(log, "r-1")]
      for (const chunk of [chunkOf(0, { count: 2 }), chunkOf(2), chunkOf(3, { count: 0, ended: true })]) {
        yield* log.append(id, chunk)
        for (const { hint } of listeners) {
          // A hint may come from an earlier chunk: another one comes once this chunk can be read.
          while (true) {
            yield* hint(`for the chunk at ${chunk.from}`)
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
      yield* hint("for the removal")
    }),

  "changes of other runs give no hint": ({ fill, log }) =>
    Effect.gen(function* () {
      const { heard, hint } = yield* listening(log, "r-1")
      const other = yield* listening(log, "r-2")
      for (const id of ["r-2", "r-11", "r-", "R-1"]) yield* fill(id, row([1, 1]))
      yield* other.hint("for the other run")
      yield* log.remove(idOf("r-11"))
      yield* equal(yield* Queue.size(heard), 0, "the number of hints of other runs")
      yield* fill("r-1", row([1]))
      yield* hint("for this run")
    }),

  "hints that a listener has not taken become few, and one comes after the last chunk": ({ log }) =>
    Effect.gen(function* () {
      const id = idOf("r-1")
      yield* log.open(id, 1)
      const pull = yield* Stream.toPull(log.changes(id))
      yield* pull
      const { hint } = yield* listening(log, "r-1")
      yield* Effect.forEach(range(many), (i) => log.append(id, chunkOf(i)), { discard: true })
      // A listener that takes its hints gets the last one. By then the hints of the other have come too.
      while ((yield* log.read(id, { from: 0, limit: 1 })).length < many) yield* hint("for the last chunk")
      yield* hint("after the last chunk")
      let taken = 0
      while (taken < many) {
        const more = yield* Effect.raceFirst(Effect.map(pull, Option.some), Effect.as(quiet, Option.none()))
        if (Option.isNone(more)) break
        taken += more.value.length
      }
      yield* equal(taken >= 1 && taken <= many / 10, true, `${taken} hints for ${many} chunks are few`)
    })
} satisfies Record<string, Law>
