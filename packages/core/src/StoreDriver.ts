/**
 * The little that a place must do so that a token store can be made of it.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { RunId } from "./Run.ts"
import type { Query } from "./RunIndex.ts"
import type { Moment, Row, Step } from "./RunKernel.ts"
import type { Counts, Wakeup } from "./StoreOperations.ts"
import type { TokenStoreError } from "./TokenStoreError.ts"

/**
 * One change of a run: its row and the moment make an answer and the next row. It is pure, and may be asked again.
 *
 * @since 0.1.0
 * @category models
 */
export type Change<A, E> = (row: Row | undefined, now: Moment) => Result.Result<Step<A>, E>

/**
 * A place that keeps rows: see `TokenStore.fromDriver`.
 *
 * **When to use**
 *
 * For a store of your own: a driver keeps rows and finds them, and everything that a token store promises about leases, facts
 * and positions is done by `RunKernel`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Driver {
  /**
   * Reads the row of a run, asks `change` what becomes of it, and writes that, in one atomic step: no other change of the run
   * comes between. Nothing is to be written if the next row is the same object as before. `operation` is for errors.
   * Answers when what it answers with is as safe as the place makes it. Fails with `TokenStoreError`; then nothing was
   * changed, or it is not known.
   */
  readonly modify: <A, E>(operation: string, id: RunId, change: Change<A, E>) => Effect.Effect<A, E | TokenStoreError>
  /** The rows of runs that a query asks for. A row that changes meanwhile may be missing. Fails with `TokenStoreError`. */
  readonly find: (query: Query) => Effect.Effect<ReadonlyArray<Row>, TokenStoreError>
  /** The row of one run. Fails with `TokenStoreError`. */
  readonly read: (id: RunId) => Effect.Effect<Row | undefined, TokenStoreError>
  /** How many runs stand where, of all or of one agent. Fails with `TokenStoreError`. */
  readonly count: (agent: string | undefined) => Effect.Effect<Counts, TokenStoreError>
  /**
   * A number above all that it gave before, also before the place was emptied: take the time into account. It becomes a fence
   * or an incarnation. Fails with `TokenStoreError`.
   */
  readonly draw: Effect.Effect<number, TokenStoreError>
  /** The time by which rows are told. */
  readonly now: Effect.Effect<Moment>
  /** How hints come from other processes, and go to them. Without it hints stay within the store's process. */
  readonly hints?: {
    /** Tells a hint to all. Fails with `TokenStoreError`. */
    readonly tell: (hint: Wakeup) => Effect.Effect<void, TokenStoreError>
    /** The hints of all, this store's own included. Fails with `TokenStoreError`. */
    readonly heard: Stream.Stream<Wakeup, TokenStoreError>
  }
}
