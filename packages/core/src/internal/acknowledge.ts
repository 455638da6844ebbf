import { Effect, Exit, Option, type Pull, Scope, Stream } from "effect"
import type { AgentError } from "../AgentError.ts"
import type { AgentUpdate } from "../AgentUpdate.ts"
import type { HeldRun } from "./heldRun.ts"

// Which run an update belongs to, for those who acknowledge by hand. Kept beside the update, which is plain data.
const holders = new WeakMap<AgentUpdate, (update: AgentUpdate) => void>()

/** Acknowledges an update by hand; false where it did not come from a stream of this process. */
export const byHand = (update: AgentUpdate): boolean => {
  const acknowledge = holders.get(update)
  acknowledge?.(update)
  return acknowledge !== undefined
}

/**
 * Delivers one update at a time, and acknowledges each when the next is pulled, or when the scope closes with success.
 */
export const onPull = (held: HeldRun, finish: () => void): Acknowledging => {
  const settle = settler(held, finish)
  return (stream) =>
    Stream.transformPull(stream, (pull, scope) => {
      let batch: ReadonlyArray<AgentUpdate> = []
      let next = 0
      let inHand: AgentUpdate | undefined
      const settleInHand = () => {
        if (inHand === undefined) return
        settle(inHand)
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
}

/** Delivers updates as they come, for a consumer that calls `Agent.acknowledge`. */
export const manually = (held: HeldRun, finish: () => void): Acknowledging => {
  const settle = settler(held, finish)
  return Stream.mapArrayEffect((updates) => {
    const gone = held.gone()
    if (gone !== undefined) return Effect.fail(gone)
    for (const update of updates) holders.set(update, settle)
    return Effect.succeed(updates)
  })
}

type One = Pull.Pull<readonly [AgentUpdate], AgentError>

export type Acknowledging = (
  stream: Stream.Stream<AgentUpdate, AgentError>
) => Stream.Stream<AgentUpdate, AgentError>

const settler = (held: HeldRun, finish: () => void) => (update: AgentUpdate) =>
  Option.match(update.continuationToken, { onNone: () => finish(), onSome: held.acknowledge })
