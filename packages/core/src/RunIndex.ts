/**
 * An index of a store's rows in memory, which answers every query of a store.
 *
 * @since 0.1.0
 */
import { Ordered } from "./internal/kernel/ordered.ts"
import { type Place, type RunId, RunStatus } from "./Run.ts"
import { rest } from "./Retention.ts"
import { isHeld, type Moment, type Row } from "./RunKernel.ts"
import * as RunState from "./RunState.ts"
import type { Counts, RunFilter } from "./StoreOperations.ts"

/**
 * A query that a driver must answer.
 *
 * **Details**
 *
 * - `Work`: the rows of these agents, by the time at which they are due: those that are due, then the one that is due next.
 *   A row that a worker holds is due when its lease ends; a parked row is never due. The rows that `owner` holds come
 *   first. The answer has `limit` rows, but at least one row that `owner` does not hold if there is one; more rows do no
 *   harm.
 * - `Listed`: the rows in the order of `createdAt` and id, after `cursor`; at most `limit`.
 * - `Response`: the rows whose journals have an `Accepted` with this response.
 * - `Idle`: at most `limit` rows for which `since` of `Retention.rest` is at or before `over`, if they are over, or at or
 *   before `left`, if they are not.
 *
 * @since 0.1.0
 * @category models
 */
export type Query =
  | { readonly _tag: "Work"; readonly agents: ReadonlyArray<string>; readonly owner: string; readonly limit: number }
  | (Omit<RunFilter, "cursor" | "labels"> & { readonly _tag: "Listed"; readonly cursor?: Place })
  | { readonly _tag: "Response"; readonly responseId: string }
  | { readonly _tag: "Idle"; readonly over: number; readonly left: number; readonly limit: number }

/** The places of a row in the orders of the index. */
interface Entry {
  readonly row: Row
  readonly status: RunStatus
  readonly isOver: boolean
  readonly since: number
}

const statuses = RunStatus.literals

/** The runs of one agent. */
class OfAgent {
  /** Ordered by the time at which they are due. */
  readonly free = new Ordered()
  /** Ordered by the end of their leases, by the monotonic clock. */
  readonly held = new Ordered()
  readonly byStatus = new Map(statuses.map((status) => [status, new Ordered()]))
  parked = 0
}

/**
 * An index of rows in memory.
 *
 * **When to use**
 *
 * Use it in a driver for a single process, which keeps all rows in memory, or in one that reads all rows for each query.
 *
 * **Example** (Answering a query from some rows)
 *
 * ```ts
 * import { RunIndex, type RunKernel } from "@effect-baton/core"
 *
 * export const find = (rows: ReadonlyArray<RunKernel.Row>, query: RunIndex.Query, now: RunKernel.Moment) =>
 *   RunIndex.of(rows).find(query, now)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export class RunIndex {
  private readonly entries = new Map<RunId, Entry>()
  private readonly agents = new Map<string, OfAgent>()
  private readonly created = new Ordered()
  private readonly over = new Ordered()
  private readonly left = new Ordered()
  private readonly owners = new Map<string, Set<RunId>>()
  private readonly responses = new Map<string, Set<RunId>>()

  /** The number of rows. */
  get size(): number {
    return this.entries.size
  }

  /** The row of a run, if there is one. */
  get(id: RunId): Row | undefined {
    return this.entries.get(id)?.row
  }

  /** All rows, in no particular order. */
  *rows(): Generator<Row> {
    for (const { row } of this.entries.values()) yield row
  }

  /** Replaces the row of a run, or removes it if `row` is undefined. */
  set(id: RunId, row: Row | undefined): void {
    const before = this.entries.get(id)
    if (row !== undefined && before !== undefined && isAlike(before.row, row)) {
      // Most writes change only the consumer's position, which moves the row in no order.
      this.entries.set(id, { ...before, row })
      return
    }
    if (before !== undefined) this.drop(id, before)
    if (row === undefined) {
      this.entries.delete(id)
      return
    }
    const { isOver, since } = rest(row)
    const entry = { row, isOver, since, status: RunState.statusOfRecord(row.record) }
    this.entries.set(id, entry)
    this.add(id, entry)
  }

  /** The rows that a query selects at this time. */
  find(query: Query, now: Moment): ReadonlyArray<Row> {
    switch (query._tag) {
      case "Work":
        return this.work(query, now)
      case "Listed":
        return this.listed(query)
      case "Response":
        return this.rowsOf(this.responses.get(query.responseId) ?? [])
      case "Idle":
        return [
          ...this.idle(this.over, query.over, query.limit),
          ...this.idle(this.left, query.left, query.limit)
        ].slice(0, query.limit)
    }
  }

  /** The numbers of runs by status, of all agents or of one. */
  count(agent?: string): Counts {
    const counts = Object.fromEntries([...statuses, "parked"].map((name) => [name, 0])) as Record<keyof Counts, number>
    for (const found of agent === undefined ? this.agents.values() : [this.agents.get(agent)]) {
      for (const [status, runs] of found?.byStatus ?? []) counts[status] += runs.size
      counts.parked += found?.parked ?? 0
    }
    return counts
  }

  private add(id: RunId, { isOver, row, since, status }: Entry): void {
    const { record } = row
    let of = this.agents.get(record.agent)
    if (of === undefined) this.agents.set(record.agent, (of = new OfAgent()))
    of.byStatus.get(status)!.add(record.createdAt, id)
    if (record.lease !== null) {
      of.held.add(Number(row.leaseEnd) / 1e6, id)
      addTo(this.owners, record.lease.owner, id)
    } else if (record.parked !== null) of.parked++
    else if (record.due !== null) of.free.add(record.due, id)
    this.created.add(record.createdAt, id)
    ;(isOver ? this.over : this.left).add(since, id)
    for (const fact of record.journal) if (fact._tag === "Accepted") addTo(this.responses, fact.responseId, id)
  }

  private drop(id: RunId, { isOver, row, since, status }: Entry): void {
    const { record } = row
    const of = this.agents.get(record.agent)!
    of.byStatus.get(status)!.delete(record.createdAt, id)
    if (record.lease !== null) {
      of.held.delete(Number(row.leaseEnd) / 1e6, id)
      dropFrom(this.owners, record.lease.owner, id)
    } else if (record.parked !== null) of.parked--
    else if (record.due !== null) of.free.delete(record.due, id)
    this.created.delete(record.createdAt, id)
    ;(isOver ? this.over : this.left).delete(since, id)
    for (const fact of record.journal) if (fact._tag === "Accepted") dropFrom(this.responses, fact.responseId, id)
  }

  private work({ agents, limit, owner }: Extract<Query, { _tag: "Work" }>, now: Moment): ReadonlyArray<Row> {
    const own = this.rowsOf(this.owners.get(owner) ?? []).filter((row) => isHeld(row, now))
    const found: Array<Place> = []
    const millis = Number(now.nanos) / 1e6
    for (const agent of agents) {
      const of = this.agents.get(agent)
      if (of === undefined) continue
      for (const place of first(of.free.after(), limit)) found.push(place)
      // Converts the end of the lease to the clock by which free runs are due.
      for (const { at, id } of first(of.held.after(), limit + own.length))
        found.push({ at: now.millis + at - millis, id })
    }
    const known = new Set(own.map(({ record }) => record.runId))
    const others = found.toSorted(byPlace).filter(({ id }) => !known.has(id))
    const wanted = Math.max(1, limit - own.length)
    return [...own, ...this.rowsOf(others.slice(0, wanted).map(({ id }) => id))]
  }

  private listed({ agent, cursor, limit, parked, status }: Extract<Query, { _tag: "Listed" }>): ReadonlyArray<Row> {
    const ofAgents = agent === undefined ? [...this.agents.values()] : [this.agents.get(agent)]
    const sources =
      agent === undefined && status === undefined
        ? [this.created]
        : ofAgents.flatMap((of) =>
            of === undefined ? [] : Array.from(new Set(status ?? statuses), (name) => of.byStatus.get(name)!)
          )
    const isWanted = ({ id }: Place) =>
      parked === undefined || (this.entries.get(id)?.row.record.parked !== null) === parked
    const found = sources.flatMap((source) => first(filtered(source.after(cursor), isWanted), limit))
    return this.rowsOf(
      found
        .toSorted(byPlace)
        .slice(0, limit)
        .map(({ id }) => id)
    )
  }

  private idle(order: Ordered, before: number, limit: number): ReadonlyArray<Row> {
    const found = first(order.after(), limit).filter(({ at }) => at <= before)
    return this.rowsOf(found.map(({ id }) => id))
  }

  private rowsOf(ids: Iterable<RunId>): ReadonlyArray<Row> {
    const rows: Array<Row> = []
    for (const id of ids) {
      const row = this.get(id)
      if (row !== undefined) rows.push(row)
    }
    return rows
  }
}

/**
 * Makes an index of rows.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (rows: Iterable<Row>): RunIndex => {
  const index = new RunIndex()
  for (const row of rows) index.set(row.record.runId, row)
  return index
}

/** Whether two rows of a run have the same places in all orders. */
const isAlike = ({ leaseEnd, record: a }: Row, { leaseEnd: other, record: b }: Row): boolean =>
  leaseEnd === other &&
  a.journal === b.journal &&
  a.due === b.due &&
  a.parked === b.parked &&
  a.lease === b.lease &&
  a.handled === b.handled &&
  a.incarnation === b.incarnation

const byPlace = (a: Place, b: Place): number => a.at - b.at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

function* filtered<A>(all: Iterable<A>, isWanted: (one: A) => boolean): Generator<A> {
  for (const one of all) if (isWanted(one)) yield one
}

const first = <A>(all: Iterable<A>, count: number): ReadonlyArray<A> => {
  const found: Array<A> = []
  for (const one of all) {
    if (found.length >= count) break
    found.push(one)
  }
  return found
}

const addTo = (map: Map<string, Set<RunId>>, key: string, id: RunId): void => {
  const known = map.get(key)
  if (known === undefined) map.set(key, new Set([id]))
  else known.add(id)
}

const dropFrom = (map: Map<string, Set<RunId>>, key: string, id: RunId): void => {
  const known = map.get(key)
  known?.delete(id)
  if (known?.size === 0) map.delete(key)
}
