import { Clock, Duration, Effect } from "effect"
import type { RunStatus } from "../Run.ts"
import type { RunPolicy } from "../RunPolicy.ts"

/** Knows how long a run may stand still. */
export interface StallWatch {
  /** Something new was heard. */
  readonly progressed: () => void
  /** Fails, with what stands still, when one of the policy's times is over. */
  readonly stalled: Effect.Effect<never, string>
}

export const make = Effect.fnUntraced(function* (
  policy: RunPolicy,
  status: () => RunStatus
): Effect.fn.Return<StallWatch> {
  const clock = yield* Clock.Clock
  const millis = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const begun = millis()
  let heard = begun

  const soonest = () => {
    const deadlines: ReadonlyArray<readonly [number, string]> = [
      [
        status() === "queued" ? begun + Duration.toMillis(policy.queuedFor) : Number.POSITIVE_INFINITY,
        `it is queued for longer than ${Duration.format(policy.queuedFor)}`
      ],
      [
        heard + Duration.toMillis(policy.progressWithin),
        `nothing new was heard of it for ${Duration.format(policy.progressWithin)}`
      ],
      [begun + Duration.toMillis(policy.runsFor), `it is followed for longer than ${Duration.format(policy.runsFor)}`]
    ]
    return deadlines.reduce((a, b) => (b[0] < a[0] ? b : a))
  }

  const stalled: Effect.Effect<never, string> = Effect.suspend(() => {
    const [at, what] = soonest()
    if (at === Number.POSITIVE_INFINITY) return Effect.never
    const left = at - millis()
    return left > 0 ? Effect.andThen(Effect.sleep(left), stalled) : Effect.fail(what)
  })

  return {
    progressed: () => {
      heard = millis()
    },
    stalled
  }
})
