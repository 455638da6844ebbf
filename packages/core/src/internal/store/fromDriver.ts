import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Place, RunId } from "../../Run.ts"
import * as Retention from "../../Retention.ts"
import type { Query } from "../../RunIndex.ts"
import * as RunKernel from "../../RunKernel.ts"
import type { Change, Driver } from "../../StoreDriver.ts"
import type { Claimed, ClaimOptions, Operations, Page, Taken, Wakeup } from "../../StoreOperations.ts"
import type { RunRecord } from "../../RunRecord.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import { Hints, workIn } from "./hints.ts"

const shard = ""

// How many runs whose retention has ended are deleted with each creation or claim: more than one, so that they do not pile
// up.
const sweepSize = 4

const succeed = <A>(step: RunKernel.Step<A>): Result.Result<RunKernel.Step<A>, never> => Result.succeed(step)

/** Makes a token store from a driver. */
export const make = (driver: Driver, kept: Retention.Retention): Operations => {
  const own = new Hints()
  const tell = (hint: Wakeup): Effect.Effect<void> =>
    driver.hints === undefined ? Effect.sync(() => own.tell(hint)) : Effect.ignore(driver.hints.tell(hint))

  /** The driver's `modify`, which treats a run whose retention has ended as absent. */
  const modify = <A, E>(operation: string, id: RunId, change: Change<A, E>): Effect.Effect<A, E | TokenStoreError> => {
    let hints: ReadonlyArray<Wakeup> = []
    return Effect.flatMap(
      driver.modify(operation, id, (row, now) => {
        const alive = row !== undefined && Retention.isForgotten(row, kept, now) ? undefined : row
        const answer = change(alive, now)
        hints = []
        if (Result.isFailure(answer)) return answer
        const { row: next, value } = answer.success
        if (next === alive) return Result.succeed({ value, row })
        hints = hintsOf(operation, alive, next, now)
        return answer
      }),
      (value) =>
        hints.length === 0 ? Effect.succeed(value) : Effect.as(Effect.forEach(hints, tell, { discard: true }), value)
    )
  }
  const alive = (rows: ReadonlyArray<RunKernel.Row>, now: RunKernel.Moment) =>
    rows.filter((row) => !Retention.isForgotten(row, kept, now))

  const expire = (rows: ReadonlyArray<RunKernel.Row>) =>
    Effect.forEach(
      rows,
      ({ record }) =>
        driver.modify("expire", record.runId, (row, now) =>
          succeed({
            value: undefined,
            row: row !== undefined && Retention.isForgotten(row, kept, now) ? undefined : row
          })
        ),
      { concurrency: "unbounded", discard: true }
    )

  /** Deletes some of the runs whose retention has ended. */
  const sweep = Effect.gen(function* () {
    const { millis } = yield* driver.now
    const before = (duration: Duration.Duration) => millis - Duration.toMillis(duration)
    const query = { _tag: "Idle", over: before(kept.retention), left: before(kept.abandonedAfter) } as const
    const rows = yield* driver.find({ ...query, limit: sweepSize })
    yield* expire(rows)
  })

  /** The rows that are due, without those whose retention has ended. */
  const work = (
    query: Extract<Query, { _tag: "Work" }>
  ): Effect.Effect<ReadonlyArray<RunKernel.Row>, TokenStoreError> =>
    Effect.gen(function* () {
      const rows = yield* driver.find(query)
      const now = yield* driver.now
      const over = rows.filter((row) => Retention.isForgotten(row, kept, now))
      if (over.length === 0) return rows
      yield* expire(over)
      return yield* work(query)
    })

  const claim = Effect.fnUntraced(function* ({
    agents,
    limit,
    owner,
    ttl
  }: ClaimOptions): Effect.fn.Return<Claimed, TokenStoreError> {
    yield* Effect.ignore(sweep)
    const rows = yield* work({ _tag: "Work", agents, owner, limit: limit + 1 })
    const now = yield* driver.now
    const isOwn = (row: RunKernel.Row) => row.record.lease?.owner === owner && RunKernel.isHeld(row, now)
    const due = rows.filter((row) => isOwn(row) || dueOf(row, now) <= 0)
    const asked = due.slice(0, Math.max(limit, due.filter(isOwn).length))
    const claims = yield* Effect.forEach(
      asked,
      ({ record }) =>
        Effect.exit(
          Effect.flatMap(driver.draw, (fence) =>
            modify("claim", record.runId, (row, at) => succeed(RunKernel.claim(row, { owner, ttl, fence }, at)))
          )
        ),
      { concurrency: "unbounded" }
    )
    const taken = claims.flatMap((exit): ReadonlyArray<Taken> =>
      Exit.isSuccess(exit) && exit.value !== undefined ? [exit.value] : []
    )
    const failed = claims.find((exit) => Exit.isFailure(exit))
    // Returns the runs that were taken; a later claim takes the rest.
    if (taken.length === 0 && failed !== undefined) return yield* Effect.failCause(failed.cause)
    const later = rows.find((row) => !asked.includes(row))
    return {
      taken,
      ...(later === undefined ? {} : { next: Duration.millis(Math.max(0, dueOf(later, now))) })
    }
  })

  const list: Operations["list"] = Effect.fnUntraced(function* ({ cursor, labels = {}, limit: asked, ...filter }) {
    const limit = Math.max(1, Math.trunc(asked))
    const from = placeOf(cursor)
    if (from === "nowhere") return { items: [] }
    const query = { _tag: "Listed", ...filter, ...(from === undefined ? {} : { cursor: from }) } as const
    const rows = yield* driver.find({ ...query, limit: limit + 1 })
    const now = yield* driver.now
    const page = rows.slice(0, limit)
    const last = page.at(-1)?.record
    const isWanted = (record: RunRecord) =>
      Object.entries(labels).every(([name, value]) => record.labels?.[name] === value)
    const items = alive(page, now)
      .map((row) => RunKernel.read(row, now))
      .filter(isWanted)
    return {
      items,
      ...(rows.length > limit && last !== undefined ? { cursor: cursorOf(last) } : {})
    } satisfies Page<RunRecord>
  })

  const shownOf = (row: RunKernel.Row | undefined) =>
    Effect.map(driver.now, (now) =>
      Option.fromUndefinedOr(
        row === undefined || Retention.isForgotten(row, kept, now) ? undefined : RunKernel.read(row, now)
      )
    )

  return {
    create: (run, options) =>
      Effect.tap(
        Effect.flatMap(driver.draw, (fence) =>
          modify("create", run.runId, (row, now) => succeed(RunKernel.create(row, run, { ...options, fence }, now)))
        ),
        ({ created }) => (created ? Effect.ignore(sweep) : Effect.void)
      ),
    read: (id) =>
      Predicate.isString(id)
        ? Effect.flatMap(driver.read(id), shownOf)
        : Effect.flatMap(driver.find({ _tag: "Response", responseId: id.responseId }), (rows) =>
            shownOf(firstToAccept(rows, id.responseId))
          ),
    acquire: (id, options) =>
      Effect.flatMap(driver.draw, (fence) =>
        modify("acquire", id, (row, now) => RunKernel.acquire(row, id, { ...options, fence }, now))
      ),
    claim,
    renew: (lease, ttl, seen) =>
      modify("renew", lease.runId, (row, now) => RunKernel.renew(row, lease, ttl, seen, now)),
    release: (lease, options) =>
      modify("release", lease.runId, (row, now) => succeed(RunKernel.release(row, lease, options, now))),
    commit: (lease, commit) => modify("commit", lease.runId, (row, now) => RunKernel.commit(row, lease, commit, now)),
    record: (id, fact, seen) => modify("record", id, (row, now) => RunKernel.record(row, id, fact, seen, now)),
    conclude: (id, options) => modify("conclude", id, (row, now) => RunKernel.conclude(row, id, options, now)),
    remove: (lease, options = {}) =>
      modify("remove", lease.runId, (row, now) => RunKernel.remove(row, lease, options, now)),
    list,
    count: ({ agent }) => driver.count(agent),
    shards: [shard],
    // A listener that acts on the first hint must not miss those that follow.
    wakeups:
      driver.hints === undefined
        ? own.after(workIn([shard]))
        : Stream.merge(driver.hints.heard, Stream.fromIterable(workIn([shard]))),
    wake: (runId) =>
      driver.hints === undefined
        ? Effect.sync(() => own.tell({ _tag: "Run", runId }))
        : driver.hints.tell({ _tag: "Run", runId })
  }
}

/** The milliseconds until a run can be claimed; infinity for never. */
const dueOf = ({ leaseEnd, record }: RunKernel.Row, now: RunKernel.Moment): number => {
  if (record.parked !== null) return Number.POSITIVE_INFINITY
  if (record.lease !== null) return Number(leaseEnd - now.nanos) / 1e6
  return (record.due ?? Number.POSITIVE_INFINITY) - now.millis
}

/** The hints that a change of a run gives. */
const hintsOf = (
  operation: string,
  before: RunKernel.Row | undefined,
  after: RunKernel.Row | undefined,
  now: RunKernel.Moment
): ReadonlyArray<Wakeup> => {
  if (after === undefined) return []
  const { agent, due, journal, lease, parked, runId } = after.record
  const hints: Array<Wakeup> = []
  const isFreed =
    before === undefined || before.record.lease !== null || before.record.parked !== null || before.record.due !== due
  if (lease === null && due !== null && parked === null && isFreed) {
    hints.push({ _tag: "Work", shard, agent, after: Duration.millis(Math.max(0, due - now.millis)) })
  }
  const isByOthers = operation === "record" || operation === "conclude"
  const fresh = before === undefined ? [] : journal.slice(before.record.journal.length)
  const told = fresh.find((fact) => isByOthers || fact._tag === "Ended")
  if (told !== undefined) hints.push({ _tag: "Run", runId, by: told.by })
  return hints
}

/** Several runs have the same response only if it was adopted twice: then the first run counts. */
const firstToAccept = (rows: ReadonlyArray<RunKernel.Row>, responseId: string): RunKernel.Row | undefined => {
  const acceptedAt = ({ record }: RunKernel.Row) =>
    record.journal.find((fact) => fact._tag === "Accepted" && fact.responseId === responseId)?.at ?? Number.MAX_VALUE
  return rows.toSorted((a, b) => acceptedAt(a) - acceptedAt(b))[0]
}

const cursorOf = ({ createdAt, runId }: RunRecord): string => `${String(createdAt).padStart(16, "0")}:${runId}`

const placeOf = (cursor: string | undefined): Place | undefined | "nowhere" => {
  if (cursor === undefined || cursor === "") return undefined
  const [, at, id] = /^(\d{16}):(.+)$/su.exec(cursor) ?? []
  return at === undefined || id === undefined ? "nowhere" : { at: Number(at), id: id as RunId }
}
