import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { RunIndex } from "../../RunIndex.ts"
import type * as RunKernel from "../../RunKernel.ts"
import type { Driver } from "../../StoreDriver.ts"

/** The current moment, by the current `Clock`. */
export const momentOf = (clock: Clock.Clock): RunKernel.Moment => ({
  // Records contain whole milliseconds only.
  millis: Math.floor(clock.currentTimeMillisUnsafe()),
  nanos: clock.monotonicTimeNanosUnsafe()
})

const moment = Clock.clockWith((clock) => Effect.succeed(momentOf(clock)))

/** A driver in memory: its runs end with the process. */
export const make: Effect.Effect<Driver> = Effect.sync(() => {
  const index = new RunIndex()
  let fence = 0
  return {
    modify: (_, id, change) =>
      Clock.clockWith((clock) => {
        const before = index.get(id)
        const answer = change(before, momentOf(clock))
        if (Result.isFailure(answer)) return Effect.fail(answer.failure)
        const { row, value } = answer.success
        if (row !== before) index.set(id, row)
        return Effect.succeed(value)
      }),
    read: (id) => Effect.sync(() => index.get(id)),
    find: (query) => Effect.map(moment, (now) => index.find(query, now)),
    count: (agent) => Effect.sync(() => index.count(agent)),
    // Also made from the clock, so that fences and incarnations rise even after all data was deleted.
    draw: Effect.map(moment, ({ millis }) => (fence = Math.max(fence + 1, millis))),
    now: moment
  }
})
