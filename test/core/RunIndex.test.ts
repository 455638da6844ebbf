// What an index of rows answers is what somebody finds who looks at every row, and rows that nobody asks for cost nothing.
import { Retention, Run, RunIndex, RunKernel, RunState } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { AnyFact, distinctIn } from "../support/journals.ts"
import { law } from "../support/law.ts"

const small = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const Id = Schema.Literals(["a", "b", "c", "é", "👍", "B"])
const Agent = Schema.Literals(["analyst", "poet"])
const Owner = Schema.Literals(["w", "v"])

// Small numbers, so that they meet.
const Change = Schema.Struct({
  id: Id,
  isGone: Schema.Literals([false, false, false, true]),
  agent: Agent,
  facts: Schema.Array(AnyFact).check(Schema.isMaxLength(4)),
  createdAt: small(4),
  due: Schema.Literals([0, 1, 2, 5, "never"]),
  isParked: Schema.Boolean,
  handled: Schema.Boolean,
  lease: Schema.Literals(["none", "none", "w", "v"]),
  leaseEnd: small(6),
  ordinal: small(3)
})
type Change = typeof Change.Type

const Asked = Schema.TaggedUnion({
  Work: {
    agents: Schema.Literals(["nobody", "analyst", "poet", "both"]),
    owner: Owner,
    limit: Schema.Literals([1, 2, 4])
  },
  Listed: {
    agent: Schema.Literals(["any", "analyst", "poet"]),
    status: Schema.Literals(["any", "some"]),
    statuses: Schema.Array(Run.RunStatus).check(Schema.isMaxLength(4)),
    parked: Schema.Literals(["any", "yes", "no"]),
    after: Schema.Literals(["nowhere", "a", "c", "é"]),
    at: small(4),
    limit: small(4)
  },
  Response: { turn: small(2), name: Schema.Literals(["1", "2"]), incarnation: Schema.Literals([1, 2]) },
  Idle: { over: small(5), left: small(5), limit: small(4) }
})
type Asked = typeof Asked.Type

const idOf = Run.RunId.make
const now = RunKernel.momentOf(3)

const rowOf = (change: Change): RunKernel.Row => {
  const { agent, createdAt, due, facts, handled, id, isParked, lease, leaseEnd, ordinal } = change
  const made = RunKernel.create(
    undefined,
    TokenStoreContract.newRun(id, { agent }),
    { fence: 1, handled },
    RunKernel.momentOf(createdAt)
  )
  return {
    leaseEnd: lease === "none" ? 0n : BigInt(leaseEnd) * 1_000_000n,
    record: {
      ...made.value.record,
      journal: distinctIn(facts),
      due: due === "never" ? null : due,
      parked: isParked && lease === "none" ? { reason: "broken", at: 0 } : null,
      lease: lease === "none" ? null : { owner: lease, fence: 2, expiresAt: leaseEnd },
      ordinal
    }
  }
}

const queryOf = (asked: Asked): RunIndex.Query => {
  switch (asked._tag) {
    case "Listed":
      return {
        _tag: "Listed",
        limit: asked.limit,
        ...(asked.agent === "any" ? {} : { agent: asked.agent }),
        ...(asked.status === "any" ? {} : { status: asked.statuses }),
        ...(asked.parked === "any" ? {} : { parked: asked.parked === "yes" }),
        ...(asked.after === "nowhere" ? {} : { cursor: { at: asked.at, id: idOf(asked.after) } })
      }
    case "Response":
      return { _tag: "Response", responseId: `resp ${asked.incarnation} ${asked.turn} ${asked.name}` }
    case "Work":
      return { ...asked, agents: asked.agents === "both" ? ["analyst", "poet"] : [asked.agents] }
    case "Idle":
      return asked
  }
}

type Rows = ReadonlyArray<RunKernel.Row>

const byPlace = (at: (row: RunKernel.Row) => number) => (a: RunKernel.Row, b: RunKernel.Row) =>
  at(a) - at(b) || (a.record.runId < b.record.runId ? -1 : 1)

/** When a row can be claimed, if nothing happens before. */
const workAt = ({ leaseEnd, record }: RunKernel.Row): number | undefined =>
  record.lease !== null ? Number(leaseEnd) / 1e6 : record.parked === null ? (record.due ?? undefined) : undefined

/** Whether this owner holds the row. */
const isOf = (owner: string) => (row: RunKernel.Row) => row.record.lease?.owner === owner && RunKernel.isHeld(row, now)

/** What is wanted, by looking at every row. */
const naive = (rows: Rows, query: RunIndex.Query): Rows => {
  switch (query._tag) {
    case "Work": {
      const isOwn = isOf(query.owner)
      const own = rows.filter(isOwn)
      const others = rows
        .filter((row) => query.agents.includes(row.record.agent) && !isOwn(row) && workAt(row) !== undefined)
        .toSorted(byPlace((row) => workAt(row) ?? 0))
      // The next one is told however much the owner holds.
      return [...own.toSorted(byPlace(() => 0)), ...others.slice(0, Math.max(1, query.limit - own.length))]
    }
    case "Listed": {
      const { agent, cursor, limit, parked, status } = query
      return rows
        .filter(
          ({ record }) =>
            (agent === undefined || record.agent === agent) &&
            (status === undefined || status.includes(RunState.statusOfRecord(record))) &&
            (parked === undefined || (record.parked !== null) === parked) &&
            (cursor === undefined ||
              record.createdAt > cursor.at ||
              (record.createdAt === cursor.at && record.runId > cursor.id))
        )
        .toSorted(byPlace(({ record }) => record.createdAt))
        .slice(0, limit)
    }
    case "Response":
      return rows
        .filter(({ record }) =>
          record.journal.some((fact) => fact._tag === "Accepted" && fact.responseId === query.responseId)
        )
        .toSorted(byPlace(() => 0))
    case "Idle": {
      const idle = (isOver: boolean, before: number) =>
        rows
          .filter((row) => Retention.rest(row).isOver === isOver && Retention.rest(row).since <= before)
          .toSorted(byPlace((row) => Retention.rest(row).since))
      return [...idle(true, query.over), ...idle(false, query.left)].slice(0, query.limit)
    }
  }
}

/** What has no order of its own, in one. */
const inOrder = (found: Rows, query: RunIndex.Query): Rows => {
  if (query._tag === "Response") return found.toSorted(byPlace(() => 0))
  if (query._tag !== "Work") return found
  const own = found.filter(isOf(query.owner))
  return [...own.toSorted(byPlace(() => 0)), ...found.slice(own.length)]
}

const idsOf = (rows: Rows) => rows.map(({ record }) => `${record.runId} ${record.ordinal}`)

/** A run that was created then, and is work. */
const created = (id: string, createdAt: number, agent = "analyst"): RunKernel.Row => ({
  leaseEnd: 0n,
  record: RunKernel.create(
    undefined,
    TokenStoreContract.newRun(id, { agent }),
    { fence: 1 },
    RunKernel.momentOf(createdAt)
  ).value.record
})

/** How often a row is looked at, of so many that are no work for whoever asks, while 200 others are claimed. */
const looksAmong = (count: number): number => {
  let looks = 0
  const watched = (row: RunKernel.Row): RunKernel.Row =>
    new Proxy(row, {
      get: (target, key, receiver) => {
        looks++
        return Reflect.get(target, key, receiver)
      }
    })
  const others = function* () {
    for (let i = 0; i < count; i++) {
      const row = created(`other-${i}`, 0, i % 5 === 0 ? "poet" : "analyst")
      const { record } = row
      // Of another agent, held, over, parked, due later.
      const lease = { owner: "v", fence: 2, expiresAt: 10_000_000 }
      const kinds = [
        row,
        { leaseEnd: RunKernel.momentOf(10_000_000).nanos, record: { ...record, lease } },
        { ...row, record: { ...record, due: null } },
        { ...row, record: { ...record, parked: { reason: "broken", at: 0 } } },
        { ...row, record: { ...record, due: 10_000_000 + i } }
      ]
      yield watched(kinds[i % 5] ?? row)
    }
  }
  const index = RunIndex.of(others())
  for (let i = 0; i < 200; i++) index.set(idOf(`mine-${i}`), watched(created(`mine-${i}`, 1)))
  looks = 0
  for (let i = 0; i < 200; i++) {
    const owner = `worker-${i}`
    const [row] = index.find({ _tag: "Work", agents: ["analyst"], owner, limit: 2 }, now)
    const step = RunKernel.claim(row, { owner, ttl: Duration.minutes(1), fence: i + 2 }, now)
    assert.isDefined(step.value)
    if (step.row !== undefined) index.set(step.row.record.runId, watched(step.row))
  }
  index.count("analyst")
  return looks
}

describe("an index of rows", () => {
  law(
    "answers each query as a look at every row does, through all changes, and so does one that is made of the rows",
    [Schema.Array(Change).check(Schema.isMaxLength(24)), Schema.Array(Asked).check(Schema.isMaxLength(12))],
    ([changes, questions]) =>
      Effect.sync(() => {
        const index = RunIndex.of([])
        const rows = new Map<string, RunKernel.Row>()
        for (const change of changes) {
          const id = idOf(change.id)
          const before = rows.get(id)
          const row = rowOf(change)
          // Most writes change the position alone, and leave everything else the same object.
          const isMoved = before !== undefined && change.ordinal === 3
          const after = isMoved ? { ...before, record: { ...before.record, ordinal: 99 } } : row
          if (change.isGone) rows.delete(id)
          else rows.set(id, after)
          index.set(id, change.isGone ? undefined : after)
        }
        const all = [...rows.values()]
        assert.strictEqual(index.size, all.length)
        for (const made of [index, RunIndex.of(all)]) {
          for (const query of questions.map(queryOf)) {
            assert.deepStrictEqual(
              idsOf(inOrder(made.find(query, now), query)),
              idsOf(naive(all, query)),
              JSON.stringify(query)
            )
          }
          for (const agent of [undefined, "analyst", "poet", "nobody"]) {
            const of = all.filter(({ record }) => agent === undefined || record.agent === agent)
            const counts = made.count(agent)
            for (const status of Run.RunStatus.literals) {
              const expected = of.filter(({ record }) => RunState.statusOfRecord(record) === status).length
              assert.strictEqual(counts[status], expected, `${agent} ${status}`)
            }
            assert.strictEqual(
              counts.parked,
              of.filter(({ record }) => record.parked !== null).length,
              `${agent} parked`
            )
          }
        }
      }),
    { arbitrary: { runs: 1500 } }
  )

  it("keeps what it was given, in order, though there are thousands", () => {
    const ids = Array.from({ length: 5000 }, (_, i) => `r-${String(i).padStart(5, "0")}`)
    const index = RunIndex.of([])
    // In another order, and of few moments.
    for (const i of ids.keys()) {
      const n = (i * 1237) % ids.length
      index.set(idOf(ids[n]!), created(ids[n]!, Math.floor(n / 1000)))
    }
    const gone = (id: string) => Number(id.slice(2)) % 3 === 0
    for (const id of ids.filter(gone)) index.set(idOf(id), undefined)
    const left = ids.filter((id) => !gone(id))
    const found: Array<string> = []
    let cursor: Run.Place | undefined
    do {
      const page = index.find({ _tag: "Listed", limit: 700, ...(cursor === undefined ? {} : { cursor }) }, now)
      found.push(...page.map(({ record }) => record.runId))
      const last = page.at(-1)?.record
      cursor = last === undefined ? undefined : { at: last.createdAt, id: last.runId }
    } while (cursor !== undefined)
    assert.deepStrictEqual(found, left)
  })

  it("takes nothing that became no work since it was found", () => {
    const { leaseEnd, record } = created("r", 1)
    const lease = { owner: "v", fence: 2, expiresAt: 10 }
    const rows: ReadonlyArray<RunKernel.Row> = [
      { leaseEnd, record: { ...record, parked: { reason: "broken", at: 2 } } },
      { leaseEnd, record: { ...record, due: null } },
      { leaseEnd, record: { ...record, due: 4 } },
      { leaseEnd: RunKernel.momentOf(10).nanos, record: { ...record, lease } }
    ]
    const options = { owner: "w", ttl: Duration.minutes(1), fence: 3 }
    for (const row of rows) assert.deepStrictEqual(RunKernel.claim(row, options, now), { value: undefined, row })
    assert.isDefined(RunKernel.claim({ leaseEnd, record }, options, now).value)
  })

  it("finds work, and takes it, without a look at the runs that are none", () => {
    const few = looksAmong(1000)
    assert.isAbove(few, 200)
    assert.isBelow(looksAmong(100_000), few * 2)
  })
})
