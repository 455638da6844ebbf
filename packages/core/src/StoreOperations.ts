/**
 * What a token store does: its operations, and what they take and answer.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { LeaseLost, RunLeased, RunNotFound } from "./AgentError.ts"
import type { ContinuationToken } from "./ContinuationToken.ts"
import type { RunId, RunStatus } from "./Run.ts"
import type { Fact, NewFact, NewRun, RunRecord } from "./RunRecord.ts"
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
 * How a run is taken.
 *
 * **Details**
 *
 * - `owner`: who asks; the same owner again gets the lease that it holds.
 * - `ttl`: how long the lease lasts unless it is renewed.
 * - `steal`: take the run though another worker holds it. That worker's lease is lost.
 * - `attempt`: a worker takes the run for its consumer. The attempt is counted, and the record says that the consumer was
 *   promised the run (`handled`).
 *
 * @since 0.1.0
 * @category models
 */
export interface AcquireOptions {
  readonly owner: string
  readonly ttl: Duration.Duration
  readonly steal?: boolean
  readonly attempt?: boolean
}

/**
 * What a commit writes: all of it or nothing.
 *
 * **Details**
 *
 * - `seen`: how many facts of the journal the writer knows.
 * - `guard`: write only if the journal has no other facts than those the writer knows. For decisions.
 * - `facts`: added to the journal, each unless a fact with its key is there.
 * - `position`: how far the consumer came. `ordinal` counts the writes of it: one at or below the stored ordinal is not
 *   written, so that a commit which arrives late takes nothing back. A consumer that came further has the attempts before
 *   the one that holds the run forgotten.
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
 * What a guarded write came to. `facts` are those of the journal from `seen` on, what was written included.
 *
 * **Details**
 *
 * - `written`: everything is in the journal.
 * - `moved`: facts came that the writer had not seen, and nothing was written: decide again.
 * - `held`: somebody holds the run, and nothing was written (`conclude` only).
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly outcome: "written" | "moved" | "held"
  readonly facts: ReadonlyArray<Fact>
}

/**
 * How a run is left.
 *
 * **Details**
 *
 * - `seen`: how many facts of the journal the holder knows. If there are more, the run is work at once, whatever `due`
 *   and `parked` say.
 * - `due`: after how long the run is work again. `Duration.zero` is at once, `Duration.infinity` never.
 * - `parked`: why workers must leave the run alone.
 * - `attempt`: `"back"` takes the attempt off that this lease counted, `"keep"` leaves it, and `"reset"` takes off all.
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
 * Which runs to list.
 *
 * **Details**
 *
 * - `due`: only runs that are work now and that nobody holds, those that were due first coming first. Without it, runs
 *   come in the order in which they were created.
 * - `parked`: only runs that workers leave alone, or only those that they do not.
 * - `status`, `agent`: only runs that stand there, or that are this agent's.
 * - `cursor`: where the page before this one ended. `limit`: how many runs a page has at most.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunFilter {
  readonly due?: boolean
  readonly parked?: boolean
  readonly status?: ReadonlyArray<RunStatus>
  readonly agent?: string
  readonly cursor?: string
  readonly limit: number
}

/**
 * One page of a listing; without `cursor` it is the last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly cursor?: string
}

/**
 * The store has no record of that incarnation of the run: it was removed, and may have been created again. Whoever
 * wanted to record that it bought a response still owns that response, and must cancel and delete it.
 *
 * @since 0.1.0
 * @category errors
 */
export class Gone extends Schema.TaggedError<Gone>()("Gone", { runId: Schema.String }) {
  /** Whether the same call again can help. */
  readonly isRetryable: boolean = false
  override get message(): string {
    return `Run '${this.runId}' was removed from the store, or created again under the same id.`
  }
}

type WithoutIncarnation<F> = F extends NewFact ? Omit<F, "incarnation"> : never

/**
 * A fact of a run that is being created: its incarnation is the one that the store draws.
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
   * Creates a run, unless one of this id is there: then it answers that one's record as it is. `facts` are the first
   * of the journal; the store gives them the incarnation that it draws for the run. `due` says after how long the run
   * is work, at once by default. Fails with `TokenStoreError`.
   */
  readonly create: (
    run: NewRun,
    options?: { readonly facts?: ReadonlyArray<Unborn>; readonly due?: Duration.Duration }
  ) => Effect.Effect<{ readonly record: RunRecord; readonly created: boolean }, TokenStoreError>
  /**
   * Reads a run by its id, or by the id of a response that it opened. Answers nothing if there is none. A lease that has
   * ended is not shown. Fails with `TokenStoreError`.
   */
  readonly read: (
    id: RunId | { readonly responseId: string }
  ) => Effect.Effect<Option.Option<RunRecord>, TokenStoreError>
  /**
   * Takes a run: gives its lease to one owner, and answers the record as it is from then on. The run is work from now
   * on, until `release` says otherwise, so that a run whose holder died is found; and it is not parked any more. The same
   * owner again gets the lease that it holds, with a new end, and no second attempt is counted. Fails with `RunNotFound`,
   * with `RunLeased` if another owner holds the run, and with `TokenStoreError`.
   */
  readonly acquire: (
    id: RunId,
    options: AcquireOptions
  ) => Effect.Effect<{ readonly lease: Lease; readonly record: RunRecord }, RunNotFound | RunLeased | TokenStoreError>
  /**
   * Sets the end of a lease to `ttl` from now, and answers the facts from number `seen` on. Fails with `LeaseLost` if
   * the lease has ended or another owner holds the run, and with `TokenStoreError`.
   */
  readonly renew: (
    lease: Lease,
    ttl: Duration.Duration,
    seen: number
  ) => Effect.Effect<ReadonlyArray<Fact>, LeaseLost | TokenStoreError>
  /**
   * Gives up a lease, and says when the run is work again. A lease that another worker took over, or that was given up,
   * changes nothing, but the attempt that it counted is given back all the same. Fails with `TokenStoreError`.
   */
  readonly release: (lease: Lease, options: ReleaseOptions) => Effect.Effect<void, TokenStoreError>
  /**
   * Writes facts and the consumer's position under a lease. Answers `written` or `moved`, with the facts from `seen`
   * on. Repeated, it answers `written`, as its facts are in the journal then. Fails with `LeaseLost`, in which case
   * nothing was written, and with `TokenStoreError`.
   */
  readonly commit: (lease: Lease, commit: Commit) => Effect.Effect<Answer, LeaseLost | TokenStoreError>
  /**
   * Records a fact without a lease, and makes the run work at once. Answers the facts from number `seen` on. A fact whose
   * key is in the journal changes nothing. Fails with `Gone` if there is no record of the fact's incarnation, and with
   * `TokenStoreError`. A fact of an incarnation before a `Retried` of the same record is recorded.
   */
  readonly record: (
    id: RunId,
    fact: NewFact,
    seen: number
  ) => Effect.Effect<ReadonlyArray<Fact>, Gone | TokenStoreError>
  /**
   * Writes a decision for a run that nobody holds: takes the run, commits under the guard and releases it, in one step.
   * `due` is as in `release`, but a run that was promised to a worker's consumer (`handled`) is work at once. Answers
   * `written`, `moved` or `held`. A new incarnation cannot begin here. Fails with `Gone` and with `TokenStoreError`.
   */
  readonly conclude: (
    id: RunId,
    options: { readonly seen: number; readonly facts: ReadonlyArray<NewFact>; readonly due: Duration.Duration }
  ) => Effect.Effect<Answer, Gone | TokenStoreError>
  /**
   * Forgets a run that this lease holds. Unless `force` is set, it refuses while the outcome of a request is unknown, or
   * while a response may be running that is no turn's: then it answers false, and changes nothing. A run that is not
   * there is forgotten: true. Fails with `LeaseLost` and with `TokenStoreError`.
   */
  readonly remove: (
    lease: Lease,
    options?: { readonly force?: boolean }
  ) => Effect.Effect<boolean, LeaseLost | TokenStoreError>
  /**
   * Lists runs, a page at a time. A run that is created, changes or goes meanwhile may or may not be among them, and
   * none comes twice, but for one that is due again while `due` is listed. Fails with `TokenStoreError`.
   */
  readonly list: (filter: RunFilter) => Effect.Effect<Page<RunRecord>, TokenStoreError>
}
