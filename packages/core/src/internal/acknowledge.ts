import { Effect, Exit, Option, type Pull, Scope, Semaphore, Stream } from "effect"
import type { AgentError } from "../AgentError.ts"
import type { AgentUpdate } from "../AgentUpdate.ts"
import type { HeldRun } from "./heldRun.ts"

// How an update is acknowledged by hand. Kept beside the update, which is plain data.
const hands = new WeakMap<AgentUpdate, (update: AgentUpdate) => Effect.Effect<void, AgentError>>()

/** Acknowledges an update by hand; undefined where it did not come from a stream of this process. */
export const byHand = (update: AgentUpdate): Effect.Effect<void, AgentError> | undefined => hands.get(update)?.(update)

/**
 * Delivers one update at a time, and acknowledges each when the next is pulled, or when the scope closes with success.
 */
export const onPull =
  (held: HeldRun, finish: Finish): Acknowledging =>
  (stream) =>
    Stream.transformPull(stream, (pull, scope) => {
      let batch: ReadonlyArray<AgentUpdate> = []
      let next = 0
      let inHand: AgentUpdate | undefined
      const settleInHand = () => {
        if (inHand === undefined) return
        settle(held, finish, inHand)
        inHand = undefined
      }
      const one: One = Effect.suspend((): One => {
        settleInHand()
        const gone = held.gone()
        if (gone !== undefined) return Effect.fail(gone)
        if (next < batch.length) {
          inHand = batch[next++]!
          return Effect.succeed([inHand])
        }
        return more
      })
      const more: One = Effect.flatMap(pull, (updates) => {
        batch = updates
        next = 0
        return one
      })
      return Effect.as(
        Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => Exit.isSuccess(exit) && settleInHand())),
        one
      )
    })

/**
 * Delivers updates as they come, for a consumer that calls `Agent.acknowledge`. What pulls ahead can be done with the
 * stream, and have left the run, long before its consumer is done with the updates: `again` takes the run once more.
 */
export const manually = (
  held: HeldRun,
  finish: Finish,
  again: Effect.Effect<HeldRun, AgentError, Scope.Scope>
): Acknowledging => {
  const one = Semaphore.makeUnsafe(1)
  const byHand = (update: AgentUpdate) =>
    Effect.flatMap(held.left, (left) => {
      const gone = left ? undefined : held.gone()
      if (gone !== undefined) return Effect.fail(gone)
      return left
        ? one.withPermit(Effect.scoped(Effect.map(again, (held) => settle(held, finish, update))))
        : Effect.sync(() => settle(held, finish, update))
    })
  return Stream.mapArrayEffect((updates) => {
    const gone = held.gone()
    if (gone !== undefined) return Effect.fail(gone)
    for (const update of updates) hands.set(update, byHand)
    return Effect.succeed(updates)
  })
}

type One = Pull.Pull<readonly [AgentUpdate], AgentError>

export type Acknowledging = (stream: Stream.Stream<AgentUpdate, AgentError>) => Stream.Stream<AgentUpdate, AgentError>

/** Tells the run that its consumer finished with the last update. */
export type Finish = (held: HeldRun) => void

const settle = (held: HeldRun, finish: Finish, update: AgentUpdate): void =>
  Option.match(update.continuationToken, { onNone: () => finish(held), onSome: held.acknowledge })
