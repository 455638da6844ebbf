/**
 * The port to where runs' positions are kept, and its stores in memory and in files.
 *
 * @since 0.1.0
 */
import { Context, type Duration, type Effect, Layer, type Option } from "effect"
import type { LeaseLost, RunLeased, RunNotFound } from "./AgentError.ts"
import type { ContinuationToken } from "./ContinuationToken.ts"
import type { RunId, RunStatus } from "./Run.ts"
import type { JournalEntry, NewRun, RunRecord, Signal } from "./RunRecord.ts"
import * as MemoryStore from "./internal/memoryStore.ts"
import type { TokenStoreError } from "./TokenStoreError.ts"

/**
 * The right to advance a run until it expires, is released, or is lost. `fence` rises with every new holder.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lease {
  readonly runId: RunId
  readonly owner: string
  readonly fence: number
}

/**
 * What a commit writes: all of it or nothing.
 *
 * **Details**
 *
 * `ordinal` counts the commits of a run: one at or below the stored ordinal succeeds and changes nothing, so that a
 * commit can be sent again after a timeout. `journal` is appended. A `token` of null says that the consumer finished.
 *
 * @since 0.1.0
 * @category models
 */
export interface Commit {
  readonly ordinal: number
  readonly token: ContinuationToken | null
  readonly status: RunStatus
  readonly journal?: ReadonlyArray<JournalEntry>
}

/**
 * Which runs to list. `unleased` lists only runs that nobody advances now.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunFilter {
  readonly status?: ReadonlyArray<RunStatus>
  readonly agent?: string
  readonly unleased?: boolean
  /** Where the page before this one ended. */
  readonly cursor?: string
  readonly limit: number
}

/**
 * One page of a listing, oldest first; without `cursor` it is the last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly cursor?: string
}

/**
 * The port to where runs' positions are kept.
 *
 * **Details**
 *
 * Every operation is atomic, and safe to repeat after a timeout: `create` gives back the record that is there,
 * `acquire` the lease that the same owner holds, `commit` at or below the stored ordinal changes nothing, `release` of a
 * lease that is not held any more is nothing. A fence never goes back. `commit` returns the signals that had reached the
 * run by then, in the same atomic step, so that a worker learns of a cancellation before it opens the next response.
 *
 * @since 0.1.0
 * @category services
 */
export class TokenStore extends Context.Service<
  TokenStore,
  {
    readonly create: (
      run: NewRun
    ) => Effect.Effect<{ readonly record: RunRecord; readonly created: boolean }, TokenStoreError>
    readonly read: (id: RunId) => Effect.Effect<Option.Option<RunRecord>, TokenStoreError>
    readonly acquire: (
      id: RunId,
      options: { readonly owner: string; readonly ttl: Duration.Duration }
    ) => Effect.Effect<
      { readonly lease: Lease; readonly record: RunRecord },
      RunNotFound | RunLeased | TokenStoreError
    >
    readonly renew: (lease: Lease, ttl: Duration.Duration) => Effect.Effect<Lease, LeaseLost | TokenStoreError>
    readonly release: (lease: Lease) => Effect.Effect<void, TokenStoreError>
    readonly commit: (lease: Lease, commit: Commit) => Effect.Effect<ReadonlyArray<Signal>, LeaseLost | TokenStoreError>
    readonly signal: (id: RunId, signal: Signal) => Effect.Effect<void, RunNotFound | TokenStoreError>
    readonly remove: (id: RunId) => Effect.Effect<void, TokenStoreError>
    readonly list: (filter: RunFilter) => Effect.Effect<Page<RunRecord>, TokenStoreError>
  }
>()("@effect-baton/core/TokenStore") {}

/**
 * A store in memory: for tests, and for programs whose runs need not outlive the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = Layer.effect(TokenStore, MemoryStore.make)
