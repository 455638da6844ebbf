/**
 * Places where a test lets a process die.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * Is run on both sides of every durable step of a store, with the name of the place: nothing by default.
 *
 * **When to use**
 *
 * In crash tests: provide one that kills the process at a place, start the process again, and look at what is left.
 *
 * **Example** (Dying before the third commit)
 *
 * ```ts
 * import { Failpoint } from "@effect-baton/core"
 * import { Effect, Layer } from "effect"
 *
 * let commits = 0
 * export const dying = Layer.succeed(Failpoint.Failpoint, (place) =>
 *   Effect.sync(() => {
 *     if (place === "redis.commit:before" && ++commits === 3) process.kill(process.pid, "SIGKILL")
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Failpoint = Context.Reference<(place: string) => Effect.Effect<void>>(
  "@effect-baton/core/Failpoint/Failpoint",
  { defaultValue: () => nothing }
)

const nothing = () => Effect.void

/**
 * The durable steps of a store: only a step that is named here can be taken, so that `places` holds all of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Steps<Name extends string> {
  /** The places on both sides of each step, as `Failpoint` is told them. */
  readonly places: ReadonlyArray<string>
  /** Takes a step, between its two places. */
  readonly take: <A, E, R>(name: Name, step: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/**
 * Names the durable steps of a store.
 *
 * **Example** (A store of one step)
 *
 * ```ts
 * import { Failpoint } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const steps = Failpoint.steps("mine", ["write"])
 * steps.places // => ["mine.write:before", "mine.write:after"]
 * export const write = steps.take("write", Effect.void)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const steps = <const Name extends string>(store: string, names: ReadonlyArray<Name>): Steps<Name> => ({
  places: names.flatMap((name) => [`${store}.${name}:before`, `${store}.${name}:after`]),
  take: (name, step) =>
    Effect.flatMap(Failpoint, (reach) =>
      reach === nothing
        ? step
        : Effect.andThen(
            reach(`${store}.${name}:before`),
            Effect.tap(step, () => reach(`${store}.${name}:after`))
          )
    )
})
