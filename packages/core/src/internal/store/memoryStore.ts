import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { RunIndex } from "../../RunIndex.ts"
import type * as RunKernel from "../../RunKernel.ts"
import type { Driver } from "../../StoreDriver.ts"

/** The moment of the clock in force. */
export const momentOf = (clock: Clock.Clock): RunKernel.Moment => ({
  // Records hold whole milliseconds, whatever the clock tells.
  millis: Math.floor(clock.currentTimeMillisUnsafe()),
  nanos: clock.monotonicTimeNanosUnsafe()
})

const moment = Clock.clockWith((clock) => Effect.succeed(momentOf(clock)))

/** The runs of one process, in a map; nothing survives it. */
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
    // From the clock too, so that fences and incarnations go on rising after the store was emptied.
    draw: Effect.map(moment, ({ millis }) => (fence = Math.max(fence + 1, millis))),
    now: moment
  }
})
