// A token store of your own: over a KeyValueStore, of which there are some for files, browsers and SQL databases.
//
// 07-own-store.test.ts tries it by the contract of token stores. What it cannot promise, because a KeyValueStore has no
// step that reads and writes at once:
//
// - Only one program at a time may use a place: two can both get the same run, both buy it, and write over each other.
// - What is written is as safe as the KeyValueStore makes it: the one over files may leave half a record after a crash.
// - It takes the ids that the KeyValueStore takes for keys: the one over files, no long ones that are not plain letters.
// - A listing reads every run, finished ones too: fit for hundreds of runs, not for tens of thousands.
// - Leases end by the machine's clock of the day: where that is set back, they last longer.
import { AgentError, ContinuationToken, RunRecord, TokenStore, TokenStoreError } from "@effect-baton/core"
import { Clock, Duration, Effect, Layer, Option, Schema, Semaphore } from "effect"
import { KeyValueStore } from "effect/persistence"

const make = Effect.gen(function* () {
  const values = yield* KeyValueStore.KeyValueStore
  const runs = KeyValueStore.toSchemaStore(KeyValueStore.prefix(values, "run:"), RunRecord.RunRecord)
  const counters = KeyValueStore.toSchemaStore(values, Schema.Finite)

  const find = (id: string, now: number) => Effect.map(io(runs.get(id)), Option.map(visible(now)))
  const known = (id: string, now: number) =>
    Effect.flatMap(
      find(id, now),
      Option.match({
        onNone: () => Effect.fail(new AgentError.RunNotFound({ runId: id })),
        onSome: Effect.succeed
      })
    )
  const held = ({ fence, runId }: TokenStore.Lease, now: number) =>
    known(runId, now).pipe(
      Effect.filterOrFail(
        (record) => record.lease?.fence === fence,
        () => new AgentError.LeaseLost({ runId })
      ),
      Effect.catchTag("RunNotFound", () => Effect.fail(new AgentError.LeaseLost({ runId })))
    )
  const keep = (record: RunRecord.RunRecord) => Effect.as(io(runs.set(record.runId, record)), record)
  const lend = (record: RunRecord.RunRecord, lease: TokenStore.Lease, ttl: Duration.Duration, now: number) => {
    const { fence, owner } = lease
    return keep({ ...record, lease: { owner, fence, expiresAt: now + Duration.toMillis(ttl) } })
  }
  const nextFence = Effect.fnUntraced(function* (now: number) {
    // From the clock too, so that fences go on rising after the place was emptied.
    const fence = Math.max(Option.getOrElse(yield* io(counters.get("fence")), () => 0) + 1, now)
    yield* io(counters.set("fence", fence))
    return fence
  })

  // One operation after the other, and each to its end: for this program alone, that makes them atomic.
  const alone = Semaphore.makeUnsafe(1)
  const step = <A, E>(operate: (now: number) => Effect.Effect<A, E>) =>
    alone.withPermit(Effect.uninterruptible(Effect.flatMap(Clock.currentTimeMillis, operate)))

  return TokenStore.TokenStore.of({
    create: (run) =>
      step((now) =>
        Effect.gen(function* () {
          const found = yield* find(run.runId, now)
          return Option.isSome(found)
            ? { record: found.value, created: false }
            : { record: yield* keep(fresh(run, now)), created: true }
        })
      ),
    read: (id) => step((now) => find(id, now)),
    acquire: (id, { owner, takeOver = false, ttl }) =>
      step((now) =>
        Effect.gen(function* () {
          const record = yield* known(id, now)
          const current = record.lease
          if (current !== null && current.owner !== owner && !takeOver) {
            return yield* new AgentError.RunLeased({ runId: id, owner: current.owner, until: current.expiresAt })
          }
          const fence = current?.owner === owner ? current.fence : yield* nextFence(now)
          const lease = { runId: id, owner, fence }
          return { lease, record: yield* lend(record, lease, ttl, now) }
        })
      ),
    renew: (lease, ttl) =>
      step((now) =>
        Effect.as(
          Effect.flatMap(held(lease, now), (record) => lend(record, lease, ttl, now)),
          lease
        )
      ),
    release: (lease) =>
      step((now) =>
        held(lease, now).pipe(
          Effect.flatMap((record) => keep({ ...record, lease: null })),
          Effect.catchTag("LeaseLost", () => Effect.void),
          Effect.asVoid
        )
      ),
    commit: (lease, commit) =>
      step((now) =>
        Effect.flatMap(held(lease, now), (record) =>
          Effect.as(commit.ordinal <= record.ordinal ? Effect.void : keep(next(record, commit, now)), record.signals)
        )
      ),
    signal: (id, signal) =>
      step((now) =>
        Effect.flatMap(known(id, now), (record) =>
          record.signals.some(({ _tag }) => _tag === signal._tag)
            ? Effect.void
            : Effect.asVoid(keep({ ...record, signals: [...record.signals, signal], updatedAt: now }))
        )
      ),
    remove: (id) => step(() => io(runs.remove(id))),
    list: (filter) =>
      step((now) =>
        Effect.gen(function* () {
          const ids = (yield* io(values.keys)).flatMap((key) => (key.startsWith("run:") ? [key.slice(4)] : []))
          const records = (yield* Effect.forEach(ids, (id) => find(id, now), { concurrency: 16 })).flatMap(
            Option.toArray
          )
          const matching = records.filter((record) => matches(record, filter)).toSorted(byPlace)
          const items = matching.slice(0, filter.limit)
          const last = items.at(-1)
          return { items, ...(last !== undefined && matching.length > items.length ? { cursor: place(last) } : {}) }
        })
      )
  })
})

/** A token store over the `KeyValueStore` that is provided to it. */
export const layer: Layer.Layer<TokenStore.TokenStore, never, KeyValueStore.KeyValueStore> = Layer.effect(
  TokenStore.TokenStore,
  make
)

const io = <A>(effect: Effect.Effect<A, KeyValueStore.KeyValueStoreError | Schema.SchemaError>) =>
  Effect.mapError(effect, (cause) => {
    const [operation, kind] =
      cause._tag === "SchemaError" ? (["decode", "corrupt"] as const) : ([cause.method, "unavailable"] as const)
    return new TokenStoreError.TokenStoreError({ operation, kind, description: cause.message, cause })
  })

const visible =
  (now: number) =>
  (record: RunRecord.RunRecord): RunRecord.RunRecord =>
    record.lease !== null && record.lease.expiresAt <= now ? { ...record, lease: null } : record

const fresh = (run: RunRecord.NewRun, now: number): RunRecord.RunRecord => ({
  version: 1,
  ...run,
  status: "queued",
  ordinal: 0,
  token: ContinuationToken.start(run.agent, run.runId),
  journal: [],
  signals: [],
  lease: null,
  attempts: 0,
  setAside: null,
  createdAt: now,
  updatedAt: now
})

const next = (record: RunRecord.RunRecord, commit: TokenStore.Commit, now: number): RunRecord.RunRecord => {
  const { attempts = record.attempts, journal = [], ordinal, setAside, status, token } = commit
  const aside = setAside === undefined ? record.setAside : setAside === null ? null : { reason: setAside, at: now }
  const entries = [...record.journal, ...journal]
  return { ...record, ordinal, token, status, attempts, journal: entries, setAside: aside, updatedAt: now }
}

const matches = (record: RunRecord.RunRecord, filter: TokenStore.RunFilter): boolean =>
  (filter.stage === undefined || filter.stage === RunRecord.stage(record)) &&
  (filter.status === undefined || filter.status.includes(record.status)) &&
  (filter.agent === undefined || filter.agent === record.agent) &&
  (filter.unleased !== true || record.lease === null) &&
  (filter.cursor === undefined || place(record) > filter.cursor)

// Where a run stands in a listing: the oldest first.
const place = ({ createdAt, runId }: RunRecord.RunRecord): string => `${String(createdAt).padStart(16, "0")}:${runId}`
const byPlace = (a: RunRecord.RunRecord, b: RunRecord.RunRecord): number => (place(a) < place(b) ? -1 : 1)
