/**
 * Drivers: the small interface over a database or another place, of which `TokenStore.fromDriver` makes a store.
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
 * A change of a run: a pure function from its row and a time to a result and the next row. A driver may call it again.
 *
 * @since 0.1.0
 * @category models
 */
export type Change<A, E> = (row: Row | undefined, now: Moment) => Result.Result<Step<A>, E>

/**
 * A driver of a token store: it keeps rows, and finds them.
 *
 * **When to use**
 *
 * Implement it for a store of your own: see `TokenStore.fromDriver`. `RunKernel` does everything that a token store
 * promises about leases, facts and positions.
 *
 * @since 0.1.0
 * @category models
 */
export interface Driver {
  /**
   * Reads the row of a run, calls `change` with it, and writes the next row, in one atomic step: no other change of the run
   * comes between. It must write nothing if the next row is the same object as before. It returns the result of `change`
   * once the row is as safe as the driver can make it. `operation` is for errors. Fails with `TokenStoreError`; it is then
   * not known whether the row was written.
   */
  readonly modify: <A, E>(operation: string, id: RunId, change: Change<A, E>) => Effect.Effect<A, E | TokenStoreError>
  /** Finds the rows that a query selects. A row that changes meanwhile may be missing. Fails with `TokenStoreError`. */
  readonly find: (query: Query) => Effect.Effect<ReadonlyArray<Row>, TokenStoreError>
  /** Reads the row of one run; undefined if there is none. Fails with `TokenStoreError`. */
  readonly read: (id: RunId) => Effect.Effect<Row | undefined, TokenStoreError>
  /** Counts the runs by status, of all agents or of one. Fails with `TokenStoreError`. */
  readonly count: (agent: string | undefined) => Effect.Effect<Counts, TokenStoreError>
  /**
   * Returns a number above all that it returned before. That holds even if all data was deleted in between: make the number
   * from the time. It becomes a fence or an incarnation. Fails with `TokenStoreError`.
   */
  readonly draw: Effect.Effect<number, TokenStoreError>
  /** The current time, by the clock that all rows use. */
  readonly now: Effect.Effect<Moment>
  /** Hints from and to other processes. If it is absent, hints reach only the process of the store. */
  readonly hints?: {
    /** Sends a hint to all processes. Fails with `TokenStoreError`. */
    readonly tell: (hint: Wakeup) => Effect.Effect<void, TokenStoreError>
    /** The hints of all processes, those of this store included. Fails with `TokenStoreError`. */
    readonly heard: Stream.Stream<Wakeup, TokenStoreError>
  }
}
