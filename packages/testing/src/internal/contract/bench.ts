import { ContinuationToken, Run, type RunRecord, type TokenStore } from "@effect-baton/core"
import { Duration, Effect, Fiber, type Result, type Scope } from "effect"
import { equal } from "./violation.ts"

export type Store = TokenStore.TokenStore["Service"]

/** How time passes for the store, and how much is asked of it. */
export interface Terms {
  /** How long a lease is that shall end. */
  readonly ttl: Duration.Duration
  /** Longer than that. */
  readonly beyond: Duration.Duration
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  /** How many runs are many. */
  readonly runs: number
}

/** A store, and what the laws do with it all the time. */
export interface Bench extends Terms {
  readonly store: Store
  /** A lease that does not end while a law looks at something else, or one of the given length. */
  readonly acquire: (
    id: string,
    owner?: string,
    ttl?: Duration.Duration
  ) => Effect.Effect<TokenStore.Lease, Effect.Error<ReturnType<Store["acquire"]>>>
  /** The record of a run that must be there. */
  readonly recordOf: (id: string) => Effect.Effect<RunRecord.RunRecord, unknown>
  /** The ids of a listing, page by page. */
  readonly pages: (filter: TokenStore.RunFilter) => Effect.Effect<ReadonlyArray<ReadonlyArray<string>>, unknown>
}

/** A place that a store keeps runs in, opened as often as wanted: each time until its scope ends. */
export interface Place extends Terms {
  readonly open: Effect.Effect<Bench, unknown, Scope.Scope>
}

/** What holds of every store. */
export type Law = (bench: Bench) => Effect.Effect<unknown, unknown, Scope.Scope>

/** What holds of every place. */
export type PlaceLaw = (place: Place) => Effect.Effect<unknown, unknown, Scope.Scope>

export const lasting = Duration.minutes(10)
export const idOf = Run.RunId.make
export const cancel: RunRecord.Signal = { _tag: "Cancel" }

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
  ordinal,
  token: { ...ContinuationToken.start("analyst", idOf(runId)), sequenceNumber: ordinal },
  status: "in_progress",
  ...change
})

export const make = (store: Store, terms: Terms): Bench => ({
  ...terms,
  store,
  acquire: (id, owner = "a", ttl = lasting) =>
    Effect.map(store.acquire(idOf(id), { owner, ttl }), ({ lease }) => lease),
  recordOf: (id) => Effect.flatMap(store.read(idOf(id)), Effect.fromOption),
  pages: Effect.fnUntraced(function* (filter: TokenStore.RunFilter) {
    const pages: Array<ReadonlyArray<string>> = []
    let cursor: string | undefined
    do {
      const page: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
        ...filter,
        ...(cursor === undefined ? {} : { cursor })
      })
      pages.push(page.items.map(({ runId }) => runId))
      cursor = page.cursor
      yield* equal(cursor !== undefined && pages.length > terms.runs, false, "the pages of a listing have no end")
    } while (cursor !== undefined)
    return pages
  })
})

/** `0` to `count - 1`. */
export const range = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i)

/** A name that sorts as its number does. */
export const numbered = (i: number): string => `r-${String(i).padStart(6, "0")}`

/** How a result ended: the name of its error, or `Success`. */
export const ending = <A, E extends { readonly _tag: string }>(result: Result.Result<A, E>): string =>
  result._tag === "Success" ? "Success" : result.failure._tag

/** The turns of the requests in a journal. */
export const turnsOf = (record: RunRecord.RunRecord): ReadonlyArray<number> =>
  record.journal.flatMap((entry) => (entry._tag === "Ended" ? [] : [entry.turn]))

/** Starts an operation and gives up on it, after none or some turns of the scheduler: it may or may not have happened. */
export const cut = (effect: Effect.Effect<unknown, unknown>, after: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* Effect.repeat(Effect.yieldNow, { times: after })
    yield* Fiber.interrupt(fiber)
  })
