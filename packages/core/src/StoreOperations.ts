/**
 * The operations of a token store, with their arguments and results.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { LeaseLost, RunLeased, RunNotFound } from "./AgentError.ts"
import type { ContinuationToken } from "./ContinuationToken.ts"
import type { RunId, RunStatus } from "./Run.ts"
import type { Fact, KeptUntil, NewFact, NewRun, RunRecord } from "./RunRecord.ts"
import type { TokenStoreError } from "./TokenStoreError.ts"

/**
 * A lease: the right to advance a run until the lease ends, is released, or is lost. `fence` rises with every new holder.
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
 * Options of `Operations.acquire`.
 *
 * **Details**
 *
 * - `owner`: the name of the caller. An owner that holds the lease already gets the same lease.
 * - `ttl`: how long the lease lasts unless it is renewed.
 * - `steal`: take the run even if another worker holds it. That worker loses its lease.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcquireOptions {
  readonly owner: string
  readonly ttl: Duration.Duration
  readonly steal?: boolean
}

/**
 * A run that was taken: its lease, its record after that, and its input if the store keeps it.
 *
 * **Details**
 *
 * `input` is the text that was given to `create`. It is content: only the holder of the run gets it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Taken {
  readonly lease: Lease
  readonly record: RunRecord
  readonly input?: string
}

/**
 * Options of `Operations.claim`.
 *
 * **Details**
 *
 * - `agents`: take only runs of these agents.
 * - `owner`: the name of the caller. The owner first gets the runs that it holds already: repeat a claim whose result was
 *   lost under the same name.
 * - `ttl`: how long the leases last unless they are renewed.
 * - `limit`: the largest number of runs to take. With 0, the result has only the runs that the owner holds already.
 * - `shard`: one of the store's `shards`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClaimOptions {
  readonly agents: ReadonlyArray<string>
  readonly owner: string
  readonly ttl: Duration.Duration
  readonly limit: number
  readonly shard: string
}

/**
 * The result of a claim: the runs that were taken, the longest due first, and the time until the next run of these agents
 * is due in this shard, if there is one. A run is also due when its lease ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claimed {
  readonly taken: ReadonlyArray<Taken>
  readonly next?: Duration.Duration
}

/**
 * A hint that something may have changed. Hints may be lost, and may come without a change.
 *
 * **Details**
 *
 * - `Work`: a run of this agent is due in this shard `after` this time. Without `agent`, runs of any agent may be due
 *   there.
 * - `Run`: a fact was recorded without the run's lease, the run ended, or somebody called `wake`. `by` names the writer.
 *
 * @since 0.1.0
 * @category models
 */
export type Wakeup =
  | {
      readonly _tag: "Work"
      readonly shard: string
      readonly agent?: string
      readonly after: Duration.Duration
    }
  | { readonly _tag: "Run"; readonly runId: RunId; readonly by?: string }

/**
 * Options of `Operations.create`.
 *
 * **Details**
 *
 * - `facts`: the first facts of the journal. The store adds the incarnation of the run.
 * - `due`: the time until the run is due for workers; none by default. `Duration.infinity` means never.
 * - `handled`: whether a worker's `handle` is promised all updates of the run.
 * - `input`: the run's input. The store keeps `text` until the run has ended well, or until the provider has accepted its
 *   first response, as `until` says. Only a holder of the run gets it.
 *
 * @since 0.1.0
 * @category models
 */
export interface CreateOptions {
  readonly facts?: ReadonlyArray<Unborn>
  readonly due?: Duration.Duration
  readonly handled?: boolean
  readonly input?: { readonly text: string; readonly until: KeptUntil }
}

/**
 * The data of a commit: a store writes all of it or nothing.
 *
 * **Details**
 *
 * - `seen`: the number of facts in the journal that the writer knows.
 * - `guard`: write only if the journal has no facts that the writer does not know. Decisions need it.
 * - `facts`: facts to add to the journal, each unless the journal has one with its key.
 * - `position`: the acknowledged position. `ordinal` counts its writes: a position with an ordinal at or below the stored
 *   one is not written, so that a commit that arrives late does not move the position back. A new position removes all
 *   attempts but that of the current holder.
 *
 * @since 0.1.0
 * @category models
 */
export interface Commit {
  readonly seen: number
  readonly guard?: boolean
  readonly facts?: ReadonlyArray<NewFact>
  readonly position?: { readonly ordinal: number; readonly token: ContinuationToken }
}

/**
 * The result of a commit. `facts` are the facts of the journal from number `seen` on, with those that were written.
 *
 * **Details**
 *
 * - `written`: all facts of the commit are in the journal.
 * - `moved`: the journal has facts that the writer did not know, and nothing was written: decide again.
 * - `held`: a worker holds the run, and nothing was written (`conclude` only).
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly outcome: "written" | "moved" | "held"
  readonly facts: ReadonlyArray<Fact>
}

/**
 * Options of `Operations.release`.
 *
 * **Details**
 *
 * - `seen`: the number of facts in the journal that the holder knows. If the journal has more, the run is due at once,
 *   whatever `due` and `parked` say.
 * - `due`: the time until the run is due again. `Duration.zero` means at once, `Duration.infinity` never.
 * - `parked`: parks the run for this reason.
 * - `attempt`: `"back"` removes the attempt that this lease counted, `"keep"` keeps it, and `"reset"` removes all attempts.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReleaseOptions {
  readonly seen: number
  readonly due: Duration.Duration
  readonly parked?: string
  readonly attempt: "back" | "keep" | "reset"
}

/**
 * Selects the runs of a listing. A field that is absent selects all runs.
 *
 * **Details**
 *
 * - `agent`: only runs of this agent. A store finds them by an index.
 * - `status`: only runs with one of these statuses (see `RunState.statusOfRecord`). A store finds them by an index.
 * - `parked`: only parked runs, or only runs that are not parked.
 * - `labels`: only runs that have all these labels. A store filters the page that it has read: a page may have fewer than
 *   `limit` runs, or none, even if another page follows.
 * - `cursor`: the `cursor` of the page before. `limit`: the largest number of runs on a page.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunFilter {
  readonly agent?: string
  readonly status?: ReadonlyArray<RunStatus>
  readonly parked?: boolean
  readonly labels?: Readonly<Record<string, string>>
  readonly cursor?: string
  readonly limit: number
}

/**
 * The numbers of runs by status, and the number of parked runs among them.
 *
 * @since 0.1.0
 * @category models
 */
export type Counts = Readonly<Record<RunStatus | "parked", number>>

/**
 * One page of a listing. The last page has no `cursor`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly cursor?: string
}

/**
 * The store has no record of this incarnation of the run: the run was removed, and may have been created again. A process
 * that wanted to record a response which it bought still owns that response, and must cancel and delete it.
 *
 * @since 0.1.0
 * @category errors
 */
export class Gone extends Schema.TaggedError<Gone>()("Gone", { runId: Schema.String }) {
  /** Whether the same call can succeed later. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `Run '${this.runId}' was removed from the store, or created again under the same id. Read it again.`
  }
}

type WithoutIncarnation<F> = F extends NewFact ? Omit<F, "incarnation"> : never

/**
 * A fact of a run that is being created: the store adds its incarnation.
 *
 * @since 0.1.0
 * @category models
 */
export type Unborn = WithoutIncarnation<NewFact>

/**
 * The operations of a token store: see `TokenStore`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Operations {
  /**
   * Creates a run, unless the store has a run with this id, and returns the record of either; `created` says which. If it
   * is repeated, it returns the record that it created, and `created` is false. Fails with `TokenStoreError`.
   */
  readonly create: (
    run: NewRun,
    options?: CreateOptions
  ) => Effect.Effect<{ readonly record: RunRecord; readonly created: boolean }, TokenStoreError>
  /**
   * Reads a run by its id, or by the id of a response that it opened; none if there is no such run. The record has no lease
   * if that has ended. Fails with `TokenStoreError`.
   */
  readonly read: (
    id: RunId | { readonly responseId: string }
  ) => Effect.Effect<Option.Option<RunRecord>, TokenStoreError>
  /**
   * Takes a run: gives its lease to one owner, and returns the record after that. The run is no longer parked, and it is
   * due from now on until `release` says otherwise, so that workers find it if its holder dies. If it is repeated, the
   * owner gets the same lease with a new end. Fails with `RunNotFound`, with `RunLeased` if another owner holds the run,
   * and with `TokenStoreError`.
   */
  readonly acquire: (
    id: RunId,
    options: AcquireOptions
  ) => Effect.Effect<Taken, RunNotFound | RunLeased | TokenStoreError>
  /**
   * Takes runs for a worker that are due, that are not parked, and that no worker holds, each in one atomic step. It counts
   * an attempt of each run, and promises the run to the worker's `handle` (`handled`). The cost does not grow with the runs
   * of other agents, nor with runs that are leased, over or due later. If the same owner repeats it, it returns the runs
   * that the owner holds, and counts no second attempt. It skips a run that cannot be read. Fails with `TokenStoreError`.
   */
  readonly claim: (options: ClaimOptions) => Effect.Effect<Claimed, TokenStoreError>
  /**
   * Sets the end of a lease to `ttl` from now, and returns the facts from number `seen` on. It can be repeated. Fails with
   * `LeaseLost` if the lease has ended or another owner holds the run, and with `TokenStoreError`.
   */
  readonly renew: (
    lease: Lease,
    ttl: Duration.Duration,
    seen: number
  ) => Effect.Effect<ReadonlyArray<Fact>, LeaseLost | TokenStoreError>
  /**
   * Releases a lease, and sets when the run is due again. If the lease is no longer held (another worker stole the run, or
   * the lease was released before), it only removes the attempt that the lease counted. Fails with `TokenStoreError`.
   */
  readonly release: (lease: Lease, options: ReleaseOptions) => Effect.Effect<void, TokenStoreError>
  /**
   * Writes facts and the consumer's position under a lease. Returns `written` or `moved`, with the facts from `seen` on. If
   * it is repeated after it was written, it returns `written` again. Fails with `LeaseLost` if the lease is no longer held,
   * and has written nothing then, and with `TokenStoreError`.
   */
  readonly commit: (lease: Lease, commit: Commit) => Effect.Effect<Answer, LeaseLost | TokenStoreError>
  /**
   * Records a fact without a lease, makes the run due at once, and returns the facts from number `seen` on. It changes
   * nothing if the journal has a fact with the same key, so it can be repeated. It also records facts of an incarnation
   * before a `Retried` of the same record. Fails with `Gone` if there is no record of the fact's incarnation, and with
   * `TokenStoreError`.
   */
  readonly record: (
    id: RunId,
    fact: NewFact,
    seen: number
  ) => Effect.Effect<ReadonlyArray<Fact>, Gone | TokenStoreError>
  /**
   * Writes a decision for a run that no worker holds: takes the run, commits under the guard and releases it, in one step.
   * `due` is as in `release`, but a run that was promised to a worker's `handle` (`handled`) is due at once. Returns
   * `written`, `moved` or `held`; if it is repeated after it was written, `written` again. It cannot begin a new
   * incarnation. Fails with `Gone` as `record` does, and with `TokenStoreError`.
   */
  readonly conclude: (
    id: RunId,
    options: { readonly seen: number; readonly facts: ReadonlyArray<NewFact>; readonly due: Duration.Duration }
  ) => Effect.Effect<Answer, Gone | TokenStoreError>
  /**
   * Removes a run that this lease holds, and returns true, also if there is no such run. Unless `force` is set, it returns
   * false and changes nothing while the outcome of a request is not known, or while a loose response may be running (see
   * `RunState.RunState`). Fails with `LeaseLost` and with `TokenStoreError`.
   */
  readonly remove: (
    lease: Lease,
    options?: { readonly force?: boolean }
  ) => Effect.Effect<boolean, LeaseLost | TokenStoreError>
  /**
   * Lists runs by the time of their creation, the oldest first, a page at a time. A run that is created, changes or is
   * removed meanwhile may be missing, but no run comes twice. Fails with `TokenStoreError`.
   */
  readonly list: (filter: RunFilter) => Effect.Effect<Page<RunRecord>, TokenStoreError>
  /**
   * Counts runs by status, of all agents or of one, without reading them. A run whose retention has ended may still be
   * counted for a while. Fails with `TokenStoreError`.
   */
  readonly count: (filter: { readonly agent?: string }) => Effect.Effect<Counts, TokenStoreError>
  /**
   * The names of the parts of the store, each of which needs a `claim` of its own; most stores have one part. They never
   * change.
   */
  readonly shards: ReadonlyArray<string>
  /**
   * Hints that a run may be due, or that something was recorded for a run, from all processes that the store can hear. The
   * stream never ends. Hints may be lost: also check now and then without one. Fails with `TokenStoreError`. You can then
   * run it again: it begins with a `Work` for each shard, because hints may have been lost in between.
   */
  readonly wakeups: Stream.Stream<Wakeup, TokenStoreError>
  /**
   * Sends the hint `Run` for this run, for instance after a webhook. It changes nothing, can be repeated, and does nothing
   * if there is no such run. Fails with `TokenStoreError`.
   */
  readonly wake: (id: RunId) => Effect.Effect<void, TokenStoreError>
}
