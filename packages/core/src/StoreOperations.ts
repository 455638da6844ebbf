/**
 * What a token store does: its operations, and what they take and answer.
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
 * A run that was taken: its lease, its record as it is from then on, and its input if the store keeps it.
 *
 * **Details**
 *
 * `input` is the text that `create` was given. It is content, so that only who holds the run gets it.
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
 * Which work a worker asks for.
 *
 * **Details**
 *
 * - `agents`: only runs of these agents.
 * - `owner`: who asks. The same owner again gets the runs that it holds, before others: so a claim whose answer was lost is
 *   repeated under the same name.
 * - `ttl`: how long the leases last unless they are renewed.
 * - `limit`: how many runs are taken at most. With 0 the answer is what the owner holds already.
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
 * What a claim came to: the runs that were taken, those that were due first coming first; and after how long the next run
 * of these agents is due in this shard, if there is one: a lease that ends counts too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claimed {
  readonly taken: ReadonlyArray<Taken>
  readonly next?: Duration.Duration
}

/**
 * A hint that a look may pay. Hints may be lost, and may come for nothing.
 *
 * **Details**
 *
 * - `Work`: a run of this agent is work in this shard `after` so long. Without an agent, any may have work there.
 * - `Run`: something came for a run: a fact that was recorded without its lease, its end, or a `wake`. `by` is who wrote it.
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
 * How a run is created.
 *
 * **Details**
 *
 * - `facts`: the first of the journal. The store gives them the incarnation that it draws for the run.
 * - `due`: after how long the run is work, at once by default. `Duration.infinity` is never.
 * - `handled`: a worker's consumer is promised the run to its end.
 * - `input`: the run's input, for whoever opens it: `text` is kept `until` the run has ended well, or until its first
 *   response is accepted. Nobody but a holder of the run gets it.
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
 * Which runs to list. What is absent does not matter.
 *
 * **Details**
 *
 * - `agent`, `status`: only runs of this agent, or that stand there (see `RunState.statusOfRecord`). A store finds them by an
 *   index.
 * - `parked`: only runs that workers leave alone, or only those that they do not.
 * - `labels`: only runs that have all these labels. They are looked for on the page that is read, so that a page may have
 *   fewer runs than it has room for, or none, though another page follows.
 * - `cursor`: where the page before this one ended. `limit`: how many runs a page has at most.
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
 * How many runs stand where, and how many of them are parked.
 *
 * @since 0.1.0
 * @category models
 */
export type Counts = Readonly<Record<RunStatus | "parked", number>>

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
  /** Whether the same call can succeed later. */
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
   * Creates a run, unless one of this id is there: then it answers that one's record as it is. Repeated, it answers the
   * record that it created, and `created` is false. Fails with `TokenStoreError`.
   */
  readonly create: (
    run: NewRun,
    options?: CreateOptions
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
   * owner again gets the lease that it holds, with a new end. Fails with `RunNotFound`, with `RunLeased` if another owner
   * holds the run, and with `TokenStoreError`.
   */
  readonly acquire: (
    id: RunId,
    options: AcquireOptions
  ) => Effect.Effect<Taken, RunNotFound | RunLeased | TokenStoreError>
  /**
   * Takes runs that are due, that are not parked, and that nobody holds, each in one atomic step, for a worker: counts an
   * attempt of each, and promises it to the worker's consumer (`handled`). What is paid for does not grow with the runs of
   * other agents, nor with those that are leased, over or due later. Repeated by the same owner, it answers the runs that
   * the owner holds, and counts no second attempt. A run that cannot be read is left alone, and keeps no other from being
   * taken. Fails with `TokenStoreError`.
   */
  readonly claim: (options: ClaimOptions) => Effect.Effect<Claimed, TokenStoreError>
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
   * Lists runs, those that were created first coming first, a page at a time. A run that is created, changes or goes
   * meanwhile may or may not be among them, and none comes twice. Fails with `TokenStoreError`.
   */
  readonly list: (filter: RunFilter) => Effect.Effect<Page<RunRecord>, TokenStoreError>
  /**
   * Counts runs by where they stand, all of them or those of one agent, without reading them. A run whose time to be kept is
   * over may still be counted for a while. Fails with `TokenStoreError`.
   */
  readonly count: (filter: { readonly agent?: string }) => Effect.Effect<Counts, TokenStoreError>
  /**
   * The parts of the store that `claim` asks one by one; most stores have one. They never change.
   */
  readonly shards: ReadonlyArray<string>
  /**
   * Hints that there may be work, or that something came for a run, from all processes that the store can hear. It never
   * ends. Whoever relies on it must look now and then all the same, as hints may be lost. Fails with `TokenStoreError`, and
   * can be run again then; it then begins with a `Work` for each shard, as hints may have been lost meanwhile.
   */
  readonly wakeups: Stream.Stream<Wakeup, TokenStoreError>
  /**
   * Gives the hint `Run` for this run: for an approval, a result or a webhook that came some other way. It changes nothing,
   * and does no harm if it is repeated, or if there is no such run. Fails with `TokenStoreError`.
   */
  readonly wake: (id: RunId) => Effect.Effect<void, TokenStoreError>
}
