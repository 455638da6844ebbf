import { ContinuationToken, Run, type RunRecord, type TokenStore } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import { ContractViolation } from "../../ContractViolation.ts"
import { equal, refused } from "./violation.ts"

export type Store = TokenStore.TokenStore["Service"]

/** How time passes for the store, and the sizes of the laws. */
export interface Terms {
  /** The length of a lease that a law lets end. */
  readonly ttl: Duration.Duration
  /** A time that is longer than `ttl`. */
  readonly beyond: Duration.Duration
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  /** The number of runs in the laws on many runs. */
  readonly runs: number
}

/** A run that was created and acquired. */
interface Begun {
  readonly lease: TokenStore.Lease
  readonly incarnation: number
  readonly facts: Facts
}

/** A store, and the operations that many laws need. */
export interface Bench extends Terms {
  readonly store: Store
  /** Acquires a run, by default with a lease that lasts longer than a law. */
  readonly acquire: (
    id: string,
    owner?: string,
    ttl?: Duration.Duration
  ) => Effect.Effect<TokenStore.Lease, Effect.Error<ReturnType<Store["acquire"]>>>
  /** Creates a run and acquires it. */
  readonly begin: (
    id: string,
    owner?: string,
    ttl?: Duration.Duration
  ) => Effect.Effect<Begun, Effect.Error<ReturnType<Store["acquire"]>>>
  /** The record of a run. Fails if there is no such run. */
  readonly recordOf: (id: string) => Effect.Effect<RunRecord.RunRecord, unknown>
  /** The ids of a listing, page by page. */
  readonly pages: (filter: TokenStore.RunFilter) => Effect.Effect<ReadonlyArray<ReadonlyArray<string>>, unknown>
  /** The ids of the runs that are work now according to their records, in the order in which they were due. Claims nothing. */
  readonly work: Effect.Effect<ReadonlyArray<string>, unknown>
  /** Claims in one shard after the other until `limit` runs are claimed. */
  readonly claim: (options?: Partial<Omit<TokenStore.ClaimOptions, "shard">>) => Effect.Effect<Found, unknown>
  /** Claims one run. Fails unless exactly one run can be claimed. */
  readonly attempt: (owner: string, ttl?: Duration.Duration) => Effect.Effect<TokenStore.Taken, unknown>
}

/** The result of claims in all shards. */
interface Found {
  readonly taken: ReadonlyArray<TokenStore.Taken>
  /** The ids of the runs that were claimed, sorted. */
  readonly ids: ReadonlyArray<string>
  /** In how many milliseconds the next run is due. */
  readonly next: number | undefined
}

/** A place where a store keeps its runs. `open` opens it, as often as needed, until the scope ends. */
export interface Place extends Terms {
  readonly open: Effect.Effect<Bench, unknown, Scope.Scope>
}

/** A law that every store must keep. */
export type Law = (bench: Bench) => Effect.Effect<unknown, unknown, Scope.Scope>

/** A law that every place must keep. */
export type PlaceLaw = (place: Place) => Effect.Effect<unknown, unknown, Scope.Scope>

export const lasting = Duration.minutes(10)
export const idOf = Run.RunId.make

/** Options to release a run so that it is work again at once. */
export const leave: TokenStore.ReleaseOptions = {
  seen: Number.MAX_SAFE_INTEGER,
  due: Duration.zero,
  attempt: "keep"
}

/** Options to release a run so that it is never work again. */
export const leaveForGood: TokenStore.ReleaseOptions = { ...leave, due: Duration.infinity }

/** As `seen`: more facts than any journal has. */
export const all = Number.MAX_SAFE_INTEGER

export const newRun = (runId: string, change: Partial<RunRecord.NewRun> = {}): RunRecord.NewRun => ({
  runId: idOf(runId),
  agent: "analyst",
  digest: "d-1",
  background: true,
  session: {},
  ...change
})

export const commitOf = (
  runId: string,
  ordinal: number,
  change: Partial<TokenStore.Commit> = {}
): TokenStore.Commit => ({
  seen: 0,
  position: { ordinal, token: { ...ContinuationToken.start("analyst", idOf(runId), 1), sequenceNumber: ordinal } },
  ...change
})

/** Makes facts of one incarnation. */
type Facts = ReturnType<typeof factsOf>

export const factsOf = (incarnation: number, by = "a") =>
  ({
    requested: (turn: number, name = "1") => ({ _tag: "Requested", incarnation, by, turn, try: name }),
    refused: (turn: number, name = "1") => ({ _tag: "Refused", incarnation, by, turn, try: name }),
    accepted: (turn: number, responseId: string, name = "1") => ({
      _tag: "Accepted",
      incarnation,
      by,
      turn,
      try: name,
      responseId,
      streamed: true
    }),
    responseEnded: (turn: number, responseId: string, status: Run.RunStatus = "completed") => ({
      _tag: "ResponseEnded",
      incarnation,
      by,
      turn,
      responseId,
      status,
      calls: []
    }),
    cancelRequested: { _tag: "CancelRequested", incarnation, by },
    cancelSent: (responseId: string) => ({ _tag: "CancelSent", incarnation, by, responseId }),
    approved: (callId: string) => ({ _tag: "Approved", incarnation, by, turn: 0, callId }),
    rejected: (callId: string) => ({ _tag: "Rejected", incarnation, by, turn: 0, callId, reason: "no" }),
    toolEnded: (callId: string, result: unknown) => ({
      _tag: "ToolEnded",
      incarnation,
      by,
      turn: 0,
      callId,
      result,
      isFailure: false
    }),
    ended: (status: Run.RunStatus) => ({ _tag: "Ended", incarnation, by, status }),
    delivered: { _tag: "Delivered", incarnation, by },
    retried: (turn = 0) => ({ _tag: "Retried", incarnation, by, turn })
  }) satisfies Record<string, RunRecord.NewFact | ((...args: ReadonlyArray<never>) => RunRecord.NewFact)>

/** Facts without the time that the store gave them. */
export const plain = (facts: ReadonlyArray<RunRecord.Fact>): ReadonlyArray<unknown> =>
  facts.map((fact) => Struct.omit(fact, ["at"]))

export const make = (store: Store, terms: Terms): Bench => {
  const acquire: Bench["acquire"] = (id, owner = "a", ttl = lasting) =>
    Effect.map(store.acquire(idOf(id), { owner, ttl }), ({ lease }) => lease)
  const records = Effect.fnUntraced(function* (filter: TokenStore.RunFilter) {
    const found: Array<ReadonlyArray<RunRecord.RunRecord>> = []
    let cursor: string | undefined
    do {
      const page: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
        ...filter,
        ...(cursor === undefined ? {} : { cursor })
      })
      found.push(page.items)
      cursor = page.cursor
      yield* equal(cursor !== undefined && found.length > terms.runs, false, "the pages of a listing have no end")
    } while (cursor !== undefined)
    return found
  })
  const pages: Bench["pages"] = (filter) =>
    Effect.map(records(filter), (found) => found.map((items) => items.map(({ runId }) => String(runId))))
  // The store's time, read from a run that is removed again. The clock of this process may differ.
  const now = Effect.gen(function* () {
    const { record } = yield* store.create(newRun("clock", { agent: "clock" }), { due: Duration.infinity })
    yield* store.remove(yield* acquire("clock", "clock"), { force: true })
    return record.createdAt
  })
  const work = Effect.gen(function* () {
    const millis = yield* now
    const found = yield* records({ parked: false, limit: 100 })
    const due = found.flat().filter((record) => record.lease === null && (record.due ?? Number.MAX_VALUE) <= millis)
    const inOrder = due.toSorted((a, b) => (a.due ?? 0) - (b.due ?? 0))
    return inOrder.map(({ runId }) => String(runId))
  })
  const claim: Bench["claim"] = Effect.fnUntraced(function* ({ limit = 1000, ...options } = {}) {
    const taken: Array<TokenStore.Taken> = []
    let next: number | undefined
    for (const shard of store.shards) {
      const wanted = { agents: ["analyst"], owner: "worker", ttl: lasting, ...options }
      const claimed = yield* store.claim({ ...wanted, limit: Math.max(0, limit - taken.length), shard })
      taken.push(...claimed.taken)
      if (claimed.next !== undefined) next = Math.min(next ?? Number.MAX_VALUE, Duration.toMillis(claimed.next))
    }
    return { taken, ids: taken.map(({ lease }) => String(lease.runId)).toSorted(), next }
  })
  const attempt: Bench["attempt"] = (owner, ttl = lasting) =>
    Effect.flatMap(claim({ owner, ttl }), ({ taken: [first, ...others] }) =>
      first === undefined || others.length > 0
        ? Effect.fail(
            new ContractViolation({ message: `a claim of ${owner} must take one run`, actual: others.length })
          )
        : Effect.succeed(first)
    )
  return {
    ...terms,
    store,
    acquire,
    claim,
    attempt,
    begin: (id, owner, ttl) =>
      Effect.gen(function* () {
        const { record } = yield* store.create(newRun(id))
        const { incarnation } = record
        return { lease: yield* acquire(id, owner, ttl), incarnation, facts: factsOf(incarnation) }
      }),
    recordOf: (id) =>
      Effect.flatMap(
        store.read(idOf(id)),
        Option.match({
          onNone: () => Effect.fail(new ContractViolation({ message: `the run '${id}' is missing` })),
          onSome: (record) => Effect.succeed(record)
        })
      ),
    pages,
    work
  }
}

/** `0` to `count - 1`. */
export const range = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i)

/** A run id that sorts like its number. */
export const numbered = (i: number): string => `r-${String(i).padStart(6, "0")}`

/** The tag of a result's error, or `Success`. */
export const ending = <A, E extends { readonly _tag: string }>(result: Result.Result<A, E>): string =>
  result._tag === "Success" ? "Success" : result.failure._tag

/** Checks that a lease which has ended writes nothing, and that its release changes nothing. */
export const writesNothing = Effect.fnUntraced(function* (
  { recordOf, store, ttl }: Bench,
  ended: TokenStore.Lease,
  its: string
) {
  const { runId } = ended
  const before = yield* recordOf(runId)
  const commit = commitOf(runId, before.ordinal + 1)
  yield* refused(store.commit(ended, commit), "LeaseLost", `a commit by ${its} lease`)
  yield* refused(store.renew(ended, ttl, 0), "LeaseLost", `renewing ${its} lease`)
  yield* refused(store.remove(ended), "LeaseLost", `removing by ${its} lease`)
  yield* store.release(ended, leave)
  yield* equal(yield* recordOf(runId), before, "the record is what it was")
})

/** The turns of the requests in a journal. */
export const turnsOf = ({ journal }: Pick<RunRecord.RunRecord, "journal">): ReadonlyArray<number> =>
  journal.flatMap((fact) => (fact._tag === "Requested" ? [fact.turn] : []))

/** Starts an operation and interrupts it after `after` turns of the scheduler: it may or may not have happened. */
export const cut = (effect: Effect.Effect<unknown, unknown>, after: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* Effect.repeat(Effect.yieldNow, { times: after })
    yield* Fiber.interrupt(fiber)
  })
