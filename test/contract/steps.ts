import { Run, type RunRecord, RunState, type TokenStore } from "@effect-baton/core"
import { Duration, Effect, Predicate, Result, Schema } from "effect"
import { AiError } from "effect/ai"
import { TokenStoreContract } from "@effect-baton/testing"

// What stores are asked in a comparison: random steps, and how each is carried out.

export type Service = TokenStore.TokenStore["Service"]

const { commitOf, newRun } = TokenStoreContract
export const idOf = Run.RunId.make
export const ttl = Duration.seconds(30)

export const Id = Schema.Literals(["r-1", "é👍", ".."])
const AgentName = Schema.Literals(["analyst", "analyst", "poet"])
const Owner = Schema.Literals(["a", "b"])
const small = (max: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: max }))

// Few of each, so that keys meet. `of` chooses the incarnation: 0 was never given, 1 is the first that the run had.
const Said = Schema.Struct({
  what: Schema.Literals([
    "Requested",
    "Refused",
    "Accepted",
    "ResponseEnded",
    "Allowed",
    "ApprovalAsked",
    "ToolStarted",
    "ToolDeferred",
    "ToolEnded",
    "LimitsRaised",
    "Approved",
    "Rejected",
    "CancelRequested",
    "CancelSent",
    "Ended",
    "Delivered",
    "Retried"
  ]),
  of: small(4),
  by: Schema.Literals(["x", "y"]),
  turn: small(1),
  name: Schema.Literals(["1", "2"])
})
type Said = typeof Said.Type
const Some = Schema.Array(Said).check(Schema.isMaxLength(3))
const Due = Schema.Literals([0, 10_000, 25_000, "never"])
const Seen = Schema.Literals([0, 1, 2, 4, 1000])

const Operation = Schema.TaggedUnion({
  Create: {
    id: Id,
    agent: AgentName,
    digest: Schema.Literals(["d-1", "d-2"]),
    facts: Some,
    due: Due,
    handled: Schema.Boolean,
    input: Schema.Literals(["none", "ended", "accepted"]),
    label: Schema.Literals(["none", "x", "é👍"])
  },
  Acquire: { id: Id, owner: Owner, steal: Schema.Boolean },
  // `lease` chooses among those that were ever acquired.
  Renew: { lease: small(9), seen: Seen },
  Release: {
    lease: small(9),
    seen: Seen,
    due: Due,
    parked: Schema.Boolean,
    attempt: Schema.Literals(["back", "keep", "reset"])
  },
  Commit: {
    lease: small(9),
    seen: Seen,
    guard: Schema.Boolean,
    facts: Some,
    ordinal: small(12),
    status: Run.RunStatus
  },
  Record: { id: Id, fact: Said, seen: Seen },
  Conclude: { id: Id, seen: Seen, facts: Some, due: Due },
  Remove: { lease: small(9), force: Schema.Boolean }
})
type Operation = typeof Operation.Type

const Look = Schema.TaggedUnion({
  Read: { id: Id },
  ReadResponse: { turn: small(1), name: Schema.Literals(["1", "2"]) },
  List: {
    status: Schema.Array(Run.RunStatus).check(Schema.isMaxLength(3)),
    agent: Schema.Literals(["any", "analyst", "poet"]),
    label: Schema.Literals(["any", "x", "é👍"]),
    parked: Schema.Literals(["any", "yes", "no"]),
    limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))
  },
  Count: { agent: Schema.Literals(["any", "analyst", "poet"]) }
})
type Look = typeof Look.Type

// All that is due: of which part of a store some would be is its own affair.
const Claim = Schema.Struct({
  agents: Schema.Literals(["analyst", "poet", "both"]),
  owner: Schema.Literals(["a", "w"]),
  limit: Schema.Literals([0, 100, 100])
})
type Claim = typeof Claim.Type

// Operations at the same time, then time, then claims and looks: while operations are under way, these may see either state.
const Step = Schema.Struct({
  together: Schema.Array(Operation).check(Schema.isMaxLength(6)),
  pause: Schema.Literals([0, 1, 700, 20_000, 31_000]),
  claims: Schema.Array(Claim).check(Schema.isMaxLength(2)),
  looks: Schema.Array(Look).check(Schema.isMaxLength(3))
})

export const everything: Look = { _tag: "List", status: [], agent: "any", label: "any", parked: "any", limit: 3 }
const error = AiError.make({ module: "OpenAi", method: "create", reason: new AiError.QuotaExhaustedError({}) })

/** What was ever given by a store. */
export interface Known {
  readonly leases: Array<TokenStore.Lease>
  /** By run, in the order in which they were given. */
  readonly incarnations: Map<string, Array<number>>
}

// A response is one of a run: two runs that opened the same one are not what a store is asked about.
const responseOf = (id: string, { name, turn }: { readonly name: string; readonly turn: number }) =>
  `resp ${id} ${turn} ${name}`

const factOf = (id: string, incarnation: number, said: Said): RunRecord.NewFact => {
  const { by, name, turn, what } = said
  const common = { incarnation, by }
  const responseId = responseOf(id, said)
  switch (what) {
    case "Requested":
      return { _tag: what, ...common, turn, try: name }
    case "Refused":
      return { _tag: what, ...common, turn, try: name, error }
    case "Accepted":
      return { _tag: what, ...common, turn, try: name, responseId, streamed: true }
    case "ResponseEnded":
      return { _tag: what, ...common, turn, responseId, status: by === "x" ? "completed" : "failed", calls: [] }
    case "Allowed":
    case "ApprovalAsked":
    case "ToolDeferred":
      return { _tag: what, ...common, turn, callId: name }
    case "ToolStarted":
      return { _tag: what, ...common, turn, callId: "c", n: Number(name) }
    case "LimitsRaised":
      return { _tag: what, ...common, limits: { turns: turn, cost: Number(name) / 2 } }
    case "ToolEnded":
      return { _tag: what, ...common, turn, callId: "c", result: { by, name }, isFailure: false }
    case "Approved":
      return { _tag: what, ...common, turn, callId: name }
    case "Rejected":
      return { _tag: what, ...common, turn, callId: name, reason: "é👍" }
    case "CancelSent":
      return { _tag: what, ...common, responseId }
    case "Ended":
      return { _tag: what, ...common, status: "failed", error }
    case "Retried":
      return { _tag: what, ...common, turn }
    case "CancelRequested":
    case "Delivered":
      return { _tag: what, ...common }
  }
}

export const operate = (
  store: Service,
  { incarnations, leases }: Known,
  operation: Operation
): Effect.Effect<unknown, unknown> => {
  const leaseAt = (i: number) => leases[i % Math.max(1, leases.length)] ?? { runId: idOf("r-1"), owner: "a", fence: 0 }
  const incarnationAt = (id: string, i: number) => {
    const ofRun = incarnations.get(id) ?? []
    return (i === 0 ? undefined : ofRun.at(i === 1 ? 0 : -1)) ?? 0
  }
  const factsOf = (id: string, facts: ReadonlyArray<Said>) =>
    facts.map((said) => factOf(id, incarnationAt(id, said.of), said))
  const lasting = (due: typeof Due.Type) => (due === "never" ? Duration.infinity : Duration.millis(due))
  switch (operation._tag) {
    case "Create": {
      const { agent, digest, due, facts, handled, id, input, label } = operation
      return store.create(newRun(id, { agent, digest, ...(label === "none" ? {} : { labels: { name: label } }) }), {
        facts: factsOf(id, facts),
        due: lasting(due),
        handled,
        ...(input === "none" ? {} : { input: { text: `input of ${id} é👍`, until: input } })
      })
    }
    case "Acquire": {
      const { id, owner, steal } = operation
      return store.acquire(idOf(id), { owner, ttl, steal })
    }
    case "Renew":
      return store.renew(leaseAt(operation.lease), ttl, operation.seen)
    case "Release": {
      const { attempt, due, lease, parked, seen } = operation
      return store.release(leaseAt(lease), {
        seen,
        due: lasting(due),
        attempt,
        ...(parked ? { parked: "broken" } : {})
      })
    }
    case "Commit": {
      const { facts, guard, ordinal, seen, status } = operation
      const lease = leaseAt(operation.lease)
      const position = commitOf(lease.runId, ordinal).position
      return store.commit(lease, {
        seen,
        guard,
        // A decision to retry opens the incarnation that the lease's fence names.
        facts: factsOf(lease.runId, facts).map((fact) =>
          fact._tag === "Retried" ? { ...fact, incarnation: lease.fence } : fact
        ),
        ...(position === undefined ? {} : { position: { ordinal, token: { ...position.token, status } } })
      })
    }
    case "Record": {
      const { fact, id, seen } = operation
      return store.record(idOf(id), factOf(id, incarnationAt(id, fact.of), fact), seen)
    }
    case "Conclude": {
      const { due, facts, id, seen } = operation
      return store.conclude(idOf(id), { seen, facts: factsOf(id, facts), due: lasting(due) })
    }
    case "Remove":
      return store.remove(leaseAt(operation.lease), { force: operation.force })
  }
}

const leaseOf = (result: Result.Result<unknown, unknown>): ReadonlyArray<TokenStore.Lease> =>
  Result.isSuccess(result) && Predicate.hasProperty(result.success, "lease")
    ? [result.success.lease as TokenStore.Lease]
    : []

const recordOf = (result: Result.Result<unknown, unknown>): RunRecord.RunRecord | undefined =>
  Result.isSuccess(result) && Predicate.hasProperty(result.success, "record")
    ? (result.success.record as RunRecord.RunRecord)
    : undefined

// Of a run that was created or taken: its own, and the one of its last retry.
const incarnationsOf = (result: Result.Result<unknown, unknown>): ReadonlyArray<readonly [string, number]> => {
  const record = recordOf(result)
  if (record === undefined) return []
  return [[record.runId, record.incarnation] as const, [record.runId, RunState.fold(record).incarnation] as const]
}

export const learn = (known: Known, results: ReadonlyArray<Result.Result<unknown, unknown>>): void => {
  known.leases.push(...results.flatMap(leaseOf))
  for (const [id, incarnation] of results.flatMap(incarnationsOf)) {
    const ofRun = known.incarnations.get(id) ?? []
    known.incarnations.set(id, [...ofRun.filter((other) => other !== incarnation), incarnation])
  }
}

export const look = (store: Service, what: Look): Effect.Effect<unknown, unknown> => {
  switch (what._tag) {
    case "Read":
      return store.read(idOf(what.id))
    case "ReadResponse":
      return Effect.forEach(Id.literals, (id) => store.read({ responseId: responseOf(id, what) }))
    case "List":
      return store.list({
        limit: what.limit,
        ...(what.agent === "any" ? {} : { agent: what.agent }),
        ...(what.label === "any" ? {} : { labels: { name: what.label } }),
        ...(what.parked === "any" ? {} : { parked: what.parked === "yes" }),
        ...(what.status.length === 0 ? {} : { status: what.status })
      })
    case "Count":
      return store.count(what.agent === "any" ? {} : { agent: what.agent })
  }
}

/** What is taken in all parts of a store, in order of the ids: which part comes first is the store's own affair. */
export const claim = (store: Service, { agents, limit, owner }: Claim) =>
  Effect.forEach(store.shards, (shard) =>
    store.claim({ agents: agents === "both" ? ["analyst", "poet"] : [agents], owner, ttl, limit, shard })
  ).pipe(
    Effect.map((found) =>
      found.flatMap(({ taken }) => taken).toSorted((a, b) => (a.lease.runId < b.lease.runId ? -1 : 1))
    )
  )

/** What the stores are asked: for a property test. */
export const Steps = Schema.Array(Step).check(Schema.isMaxLength(12))
