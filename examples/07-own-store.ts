// A token store of your own: over a KeyValueStore, of which there are some for files, browsers and SQL databases.
//
// 07-own-store.test.ts tries it by the contract of token stores. What it cannot promise, because a KeyValueStore has no
// step that reads and writes at once:
//
// - Only one program at a time may use a place: two can both get the same run, both buy it, and write over each other.
// - What is written is as safe as the KeyValueStore makes it: the one over files may leave half a record after a crash.
// - It takes the ids that the KeyValueStore takes for keys: the one over files, no long ones that are not plain letters.
// - A listing reads every run, and so does the search for a response: fit for hundreds of runs, not for tens of thousands.
// - Leases end by the machine's clock of the day: if that is set back, they last longer.
import { AgentError, ContinuationToken, RunRecord, RunState, TokenStore, TokenStoreError } from "@effect-baton/core"
import { Clock, Duration, Effect, Layer, Option, Schema, Semaphore } from "effect"
import { KeyValueStore } from "effect/persistence"

const make = Effect.gen(function* () {
  const values = yield* KeyValueStore.KeyValueStore
  const runs = KeyValueStore.toSchemaStore(KeyValueStore.prefix(values, "run:"), RunRecord.RunRecord)
  const counters = KeyValueStore.toSchemaStore(values, Schema.Finite)

  const find = (id: string, now: number) => Effect.map(io(runs.get(id)), Option.map(visible(now)))
  const everyRun = Effect.fnUntraced(function* (now: number) {
    const ids = (yield* io(values.keys)).flatMap((key) => (key.startsWith("run:") ? [key.slice(4)] : []))
    const found = yield* Effect.forEach(ids, (id) => find(id, now), { concurrency: 16 })
    return found.flatMap(Option.toArray)
  })
  /** The run of an incarnation: of a fact that belongs to no other run of this name. */
  const known = (id: string, facts: ReadonlyArray<RunRecord.NewFact>, now: number) =>
    find(id, now).pipe(
      Effect.map(Option.filter((record) => facts.every((fact) => belongs(record, fact)))),
      Effect.flatMap(
        Option.match({
          onNone: () => Effect.fail(new TokenStore.Gone({ runId: id })),
          onSome: Effect.succeed
        })
      )
    )
  const held = ({ fence, runId }: TokenStore.Lease, now: number) =>
    find(runId, now).pipe(
      Effect.map(Option.filter((record) => record.lease?.fence === fence)),
      Effect.flatMap(
        Option.match({
          onNone: () => Effect.fail(new AgentError.LeaseLost({ runId })),
          onSome: Effect.succeed
        })
      )
    )
  const keep = (record: RunRecord.RunRecord) => Effect.as(io(runs.set(record.runId, record)), record)
  // Fences and incarnations are drawn from one counter, so that each is there once.
  const draw = Effect.fnUntraced(function* (now: number) {
    // From the clock too, so that they go on rising after the place was emptied.
    const next = Math.max(Option.getOrElse(yield* io(counters.get("fence")), () => 0) + 1, now)
    yield* io(counters.set("fence", next))
    return next
  })

  // One operation after the other, and each to its end: for this program alone, that makes them atomic.
  const alone = Semaphore.makeUnsafe(1)
  const step = <A, E>(operate: (now: number) => Effect.Effect<A, E>) =>
    alone.withPermit(Effect.uninterruptible(Effect.flatMap(Clock.currentTimeMillis, operate)))

  return TokenStore.TokenStore.of({
    create: (run, { due = Duration.zero, facts = [] } = {}) =>
      step((now) =>
        Effect.gen(function* () {
          const found = yield* find(run.runId, now)
          if (Option.isSome(found)) return { record: found.value, created: false }
          const record = fresh(run, yield* draw(now), { due: timeOf(due, now), facts }, now)
          return { record: yield* keep(record), created: true }
        })
      ),
    read: (id) =>
      step((now) =>
        typeof id === "string"
          ? find(id, now)
          : Effect.map(everyRun(now), (records) =>
              Option.fromUndefinedOr(records.find((record) => RunState.responseIds(record).includes(id.responseId)))
            )
      ),
    acquire: (id, { attempt = false, owner, steal = false, ttl }) =>
      step((now) =>
        Effect.gen(function* () {
          const found = yield* find(id, now)
          if (Option.isNone(found)) return yield* new AgentError.RunNotFound({ runId: id })
          const record = found.value
          const current = record.lease
          if (current !== null && current.owner !== owner && !steal) {
            return yield* new AgentError.RunLeased({ runId: id, owner: current.owner, until: current.expiresAt })
          }
          const fence = current?.owner === owner ? current.fence : yield* draw(now)
          const taken = yield* keep({
            ...record,
            lease: { owner, fence, expiresAt: now + Duration.toMillis(ttl) },
            due: Math.min(record.due ?? now, now),
            parked: null,
            handled: record.handled || attempt,
            attempts: attempt && !record.attempts.includes(fence) ? [...record.attempts, fence] : record.attempts
          })
          return { lease: { runId: id, owner, fence }, record: taken }
        })
      ),
    renew: (lease, ttl, seen) =>
      step((now) =>
        Effect.gen(function* () {
          const record = yield* held(lease, now)
          const { fence, owner } = lease
          yield* keep({ ...record, lease: { owner, fence, expiresAt: now + Duration.toMillis(ttl) } })
          return record.journal.slice(seen)
        })
      ),
    release: (lease, { attempt, due, parked, seen }) =>
      step((now) =>
        Effect.gen(function* () {
          // As it was left: a lease that ended, and that nobody took since, can still be given up.
          const found = yield* io(runs.get(lease.runId))
          if (Option.isNone(found)) return
          const record = found.value
          const isLast = record.lease?.fence === lease.fence
          const others = record.attempts.filter((fence) => fence !== lease.fence)
          const attempts = attempt === "keep" ? record.attempts : isLast && attempt === "reset" ? [] : others
          if (!isLast) return yield* Effect.asVoid(keep({ ...record, attempts }))
          // What came meanwhile is work, whatever the holder thought.
          const isUnseen = record.journal.length > seen
          yield* keep({
            ...record,
            attempts,
            lease: null,
            due: isUnseen ? now : timeOf(due, now),
            parked: isUnseen || parked === undefined ? null : { reason: parked, at: now },
            updatedAt: now
          })
        })
      ),
    commit: (lease, { facts = [], guard = false, position, seen }) =>
      step((now) =>
        Effect.gen(function* () {
          const record = yield* held(lease, now)
          const added = unknown(record, facts)
          const further = position !== undefined && position.ordinal > record.ordinal ? position : undefined
          const hasNews = added.length > 0 || further !== undefined
          if (guard && hasNews && record.journal.length > seen) return answer("moved", record, seen)
          if (!hasNews) return answer("written", record, seen)
          const grown = grow(record, added, now)
          const next =
            further === undefined
              ? grown
              : {
                  ...grown,
                  position: further.token,
                  ordinal: further.ordinal,
                  attempts: record.attempts.filter((fence) => fence === lease.fence)
                }
          return answer("written", yield* keep(next), seen)
        })
      ),
    record: (id, fact, seen) =>
      step((now) =>
        Effect.gen(function* () {
          const record = yield* known(id, [fact], now)
          const added = unknown(record, [fact])
          if (added.length === 0) return record.journal.slice(seen)
          const next = yield* keep({ ...grow(record, added, now), due: now, parked: null })
          return next.journal.slice(seen)
        })
      ),
    conclude: (id, { due, facts, seen }) =>
      step((now) =>
        Effect.gen(function* () {
          const record = yield* known(id, facts, now)
          const added = unknown(record, facts)
          if (added.length === 0) return answer("written", record, seen)
          if (record.lease !== null) return answer("held", record, seen)
          if (record.journal.length > seen) return answer("moved", record, seen)
          const next = { ...grow(record, added, now), due: record.handled ? now : timeOf(due, now), parked: null }
          return answer("written", yield* keep(next), seen)
        })
      ),
    remove: (lease, { force = false } = {}) =>
      step((now) =>
        Effect.gen(function* () {
          if (Option.isNone(yield* find(lease.runId, now))) return true
          const { loose, unresolved } = RunState.fold(yield* held(lease, now))
          if (!force && (loose.length > 0 || unresolved.length > 0)) return false
          yield* io(runs.remove(lease.runId))
          return true
        })
      ),
    list: (filter) =>
      step((now) =>
        Effect.map(everyRun(now), (records) => {
          const matching = records
            .filter((record) => matches(record, filter, now))
            .map((record) => ({ record, place: placeOf(record, filter) }))
            .filter(({ place }) => filter.cursor === undefined || place > filter.cursor)
            .toSorted((a, b) => (a.place < b.place ? -1 : 1))
          const page = matching.slice(0, filter.limit)
          const last = page.at(-1)
          return {
            items: page.map(({ record }) => record),
            ...(last !== undefined && matching.length > page.length ? { cursor: last.place } : {})
          }
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

const timeOf = (due: Duration.Duration, now: number): number | null =>
  Duration.isFinite(due) ? now + Duration.toMillis(due) : null

const fresh = (
  run: RunRecord.NewRun,
  incarnation: number,
  first: { readonly due: number | null; readonly facts: ReadonlyArray<TokenStore.Unborn> },
  now: number
): RunRecord.RunRecord => {
  const record: RunRecord.RunRecord = {
    version: 2,
    ...run,
    incarnation,
    journal: [],
    position: ContinuationToken.start(run.agent, run.runId, incarnation),
    ordinal: 0,
    handled: false,
    attempts: [],
    parked: null,
    due: first.due,
    lease: null,
    createdAt: now,
    updatedAt: now
  }
  const facts = first.facts.map((fact): RunRecord.NewFact => ({ ...fact, incarnation }))
  return grow(record, unknown(record, facts), now)
}

/** Whether a fact is one of this run, before a retry or after it, and of no other one of its name. */
const belongs = ({ incarnation, journal }: RunRecord.RunRecord, fact: RunRecord.NewFact): boolean =>
  fact.incarnation === incarnation ||
  journal.some((known) => known._tag === "Retried" && known.incarnation === fact.incarnation)

/** The facts that are not in the journal yet: of two with one key, the first counts. */
const unknown = (
  { journal }: RunRecord.RunRecord,
  facts: ReadonlyArray<RunRecord.NewFact>
): ReadonlyArray<RunRecord.NewFact> => {
  const keys = new Set(journal.map(RunRecord.keyOf))
  return facts.filter((fact) => {
    const isNew = !keys.has(RunRecord.keyOf(fact))
    keys.add(RunRecord.keyOf(fact))
    return isNew
  })
}

const grow = (
  record: RunRecord.RunRecord,
  facts: ReadonlyArray<RunRecord.NewFact>,
  now: number
): RunRecord.RunRecord => ({
  ...record,
  journal: [...record.journal, ...facts.map((fact) => ({ ...fact, at: now }))],
  updatedAt: now
})

const answer = (
  outcome: TokenStore.Answer["outcome"],
  { journal }: RunRecord.RunRecord,
  seen: number
): TokenStore.Answer => ({ outcome, facts: journal.slice(seen) })

const matches = (record: RunRecord.RunRecord, filter: TokenStore.RunFilter, now: number): boolean =>
  (filter.due !== true || (record.lease === null && record.due !== null && record.due <= now)) &&
  (filter.parked === undefined || filter.parked === (record.parked !== null)) &&
  (filter.status === undefined || filter.status.includes(RunState.statusOf(RunState.fold(record), record.position))) &&
  (filter.agent === undefined || filter.agent === record.agent)

// Where a run stands in a listing: what was due first comes first, or else what was created first.
const placeOf = ({ createdAt, due, runId }: RunRecord.RunRecord, filter: TokenStore.RunFilter): string =>
  `${String(filter.due === true ? (due ?? 0) : createdAt).padStart(16, "0")}:${runId}`
