import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate, Delivery } from "../../AgentUpdate.ts"
import { isOver } from "../../Run.ts"
import { positionOf } from "../follow/position.ts"
import type { HeldRun } from "./heldRun.ts"

/** Whether an update is the last one of its run. */
export type IsLast = (update: AgentUpdate) => boolean

/** What is written once a consumer is finished with an update. */
export type Finish = (held: HeldRun, update: AgentUpdate) => void

const moveTo: Finish = (held, { continuationToken }) => {
  const position = positionOf(continuationToken)
  if (position !== undefined) held.acknowledge(position)
}

/** The position after the update; for the last update, that all were delivered. */
export const upTo =
  (isLast: IsLast): Finish =>
  (held, update) =>
    isLast(update) ? held.note({ _tag: "Delivered" }) : moveTo(held, update)

/** The position after the update. The last update is left open: the success of a `handle` says that it was delivered. */
export const beforeLast: Finish = (held, update) => {
  if (!isOver(update.status)) moveTo(held, update)
}

type One = Pull.Pull<readonly [AgentUpdate], AgentError>

/** Delivers one update at a time, and acknowledges each when the next is pulled, or when the scope closes with success. */
export const onPull =
  (held: HeldRun, finish: Finish) =>
  (stream: Stream.Stream<AgentUpdate, AgentError>): Stream.Stream<AgentUpdate, AgentError> =>
    Stream.transformPull(stream, (pull, scope) => {
      let batch: ReadonlyArray<AgentUpdate> = []
      let index = 0
      let inHand: AgentUpdate | undefined
      const acknowledge = () => {
        if (inHand === undefined) return
        finish(held, inHand)
        inHand = undefined
      }
      const one: One = Effect.suspend((): One => {
        acknowledge()
        const gone = held.gone()
        if (gone !== undefined) return Effect.fail(gone)
        if (index < batch.length) {
          inHand = batch[index++]!
          return Effect.succeed([inHand])
        }
        return more
      })
      const more: One = Effect.flatMap(pull, (updates) => {
        batch = updates
        index = 0
        return one
      })
      return Effect.as(
        Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => Exit.isSuccess(exit) && acknowledge())),
        one
      )
    })

interface Entry {
  readonly update: AgentUpdate
  done: boolean
  /** All updates up to this one are acknowledged. */
  reached: boolean
}

/**
 * Delivers updates for a consumer that acknowledges each by hand, in any order: the position that is written lies after the
 * longest prefix of acknowledged updates. An operator that pulls ahead can end the stream, and so release the run, long
 * before its consumer has acknowledged all updates: then `again` takes the run once more.
 */
export const manually = (options: {
  readonly held: HeldRun
  readonly finish: Finish
  readonly again: Effect.Effect<HeldRun, AgentError, Scope.Scope>
  /** How many updates may be unacknowledged at once. */
  readonly most: number
  readonly updates: Stream.Stream<AgentUpdate, AgentError>
}): Stream.Stream<Delivery, AgentError> => {
  const { again, finish, held, most, updates } = options
  const out: Array<Entry> = []
  const room = Latch.makeUnsafe(true)
  const late = Semaphore.makeUnsafe(1)
  let reached: AgentUpdate | undefined
  let written: AgentUpdate | undefined

  // One acknowledgement takes the run again; others that come meanwhile are written with it.
  const writeLate = late.withPermit(
    Effect.suspend(() => {
      const update = reached
      if (update === undefined || update === written) return Effect.void
      // After a yield, acknowledgements that come at the same time are in `reached`.
      return Effect.scoped(
        Effect.flatMap(Effect.andThen(Effect.yieldNow, again), (taken) => {
          const latest = reached ?? update
          finish(taken, latest)
          return Effect.map(taken.flush, () => {
            written = latest
          })
        })
      )
    })
  )

  const acknowledge = (entry: Entry): Effect.Effect<void, AgentError> =>
    Effect.flatMap(held.left, (left) => {
      const gone = left ? undefined : held.gone()
      if (gone !== undefined) return Effect.fail(gone)
      entry.done = true
      let last: AgentUpdate | undefined
      for (let first = out[0]; first?.done === true; first = out[0]) {
        first.reached = true
        last = first.update
        out.shift()
      }
      if (out.length < most) room.openUnsafe()
      if (last !== undefined) reached = last
      // If the write failed, the caller can repeat the acknowledgement.
      if (left) return entry.reached ? writeLate : Effect.void
      if (last !== undefined) finish(held, last)
      return Effect.void
    })

  const handOut = (update: AgentUpdate): Delivery => {
    const entry: Entry = { update, done: false, reached: false }
    out.push(entry)
    if (out.length >= most) room.closeUnsafe()
    return { update, acknowledge: Effect.suspend(() => acknowledge(entry)) }
  }

  return Stream.transformPull(updates, (pull) =>
    Effect.sync(() => {
      let batch: ReadonlyArray<AgentUpdate> = []
      let index = 0
      const next: Pull.Pull<readonly [Delivery, ...Array<Delivery>], AgentError> = Effect.suspend(() => {
        const gone = held.gone()
        if (gone !== undefined) return Effect.fail(gone)
        if (index < batch.length) {
          if (out.length >= most) return Effect.andThen(Effect.raceFirst(room.await, held.untilLost), next)
          const end = Math.min(batch.length, index + most - out.length)
          const some = batch.slice(index, end).map(handOut)
          index = end
          return Effect.succeed(some as [Delivery, ...Array<Delivery>])
        }
        return Effect.flatMap(pull, (read) => {
          batch = read
          index = 0
          return next
        })
      })
      return next
    })
  )
}

/** An update that needs no acknowledgement. */
export const acknowledged = (update: AgentUpdate): Delivery => ({ update, acknowledge: Effect.void })
