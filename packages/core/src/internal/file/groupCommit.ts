import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type { RunId } from "../../Run.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import { unforeseen } from "../store/storeFailure.ts"

/** The items that wait for one write, and the changes of runs that the write makes durable; `undefined` is a removed run. */
interface Batch<Item, Kept> {
  wanted: boolean
  readonly items: Array<Item>
  readonly changes: Map<RunId, Kept | undefined>
  readonly done: Deferred.Deferred<void, TokenStoreError>
}

/** Writes to a file. What is queued at the same time shares one write and one sync. */
export interface GroupCommit<Item, Kept> {
  /** The changes that are being written. If a write fails, all of them are gone. */
  readonly pending: ReadonlyMap<RunId, Kept | undefined>
  /** Queues a change of a run, and what is written for it. */
  readonly queue: (runId: RunId, after: Kept | undefined, item: Item | undefined) => void
  /** Asks for a write, also if nothing is queued. */
  readonly wake: () => void
  /** Asks for a write. The effect waits until everything that was queued before this call is durable. */
  readonly written: () => Effect.Effect<void, TokenStoreError>
  /** Writes what is queued, and ends. */
  readonly close: Effect.Effect<void>
}

/** Starts a writer, which goes on until it is closed. */
export const make = Effect.fnUntraced(function* <Item, Kept>(options: {
  readonly path: string
  /** Makes items durable. */
  readonly append: (items: ReadonlyArray<Item>) => Effect.Effect<void, TokenStoreError>
  /** Called for each change that is durable. */
  readonly onDurable: (runId: RunId, after: Kept | undefined) => void
  /** Rewrites the file if it is too long: called after each write. */
  readonly compact: Effect.Effect<void>
}): Effect.fn.Return<GroupCommit<Item, Kept>> {
  const { append, compact, onDurable, path } = options
  const pending = new Map<RunId, Kept | undefined>()
  const emptyBatch = (): Batch<Item, Kept> => ({
    wanted: false,
    items: [],
    changes: new Map(),
    done: Deferred.makeUnsafe()
  })
  let batch = emptyBatch()
  let open = true
  const work = Latch.makeUnsafe()
  const wake = () => {
    batch.wanted = true
    work.openUnsafe()
  }

  const succeed = (written: Batch<Item, Kept>) => {
    for (const [runId, after] of written.changes) {
      if (pending.get(runId) === after) pending.delete(runId)
      onDurable(runId, after)
    }
    Deferred.doneUnsafe(written.done, Exit.void)
  }
  // What was computed from changes that failed fails with them.
  const giveUp = (failing: Batch<Item, Kept>, error: TokenStoreError) => {
    const waiting = batch
    batch = emptyBatch()
    pending.clear()
    Deferred.doneUnsafe(failing.done, Exit.fail(error))
    Deferred.doneUnsafe(waiting.done, Exit.fail(error))
  }
  const flush = Effect.suspend(() => {
    const current = batch
    batch = emptyBatch()
    return append(current.items).pipe(
      Effect.matchCause({
        onSuccess: () => succeed(current),
        onFailure: (cause) =>
          giveUp(
            current,
            Option.getOrElse(Cause.findErrorOption(cause), () => unforeseen(path, cause))
          )
      }),
      Effect.andThen(compact)
    )
  })
  // Other operations that are about to write share this write.
  const wanted = Effect.andThen(work.await, Effect.yieldNow)
  const writer = yield* Effect.whileLoop({
    while: () => open || batch.wanted,
    body: () => {
      if (batch.wanted) return flush
      work.closeUnsafe()
      return wanted
    },
    step: constVoid
  }).pipe(Effect.forkDetach({ uninterruptible: true }))

  return {
    pending,
    queue: (runId, after, item) => {
      if (item !== undefined) batch.items.push(item)
      batch.changes.set(runId, after)
      pending.set(runId, after)
    },
    wake,
    written: () => {
      wake()
      return Deferred.await(batch.done)
    },
    close: Effect.suspend(() => {
      open = false
      work.openUnsafe()
      return Effect.asVoid(Fiber.await(writer))
    })
  }
})
