import { RunRecord, type RunEngine, RunState } from "@effect-baton/core"
import { Schema } from "effect"
import { AiError, Response } from "effect/ai"

type Fact = RunRecord.Fact
type Of<F> = F extends Fact ? Omit<F, "at" | "by" | "incarnation"> : never

/** The incarnation of a record that was never retried. */
export const born = 1

export const error = (description: string): AiError.AiError =>
  AiError.make({ module: "test", method: "create", reason: new AiError.InternalProviderError({ description }) })

/** A fact as a journal has it. */
export const fact = (of: Of<Fact>, incarnation: number = born): Fact =>
  ({ ...of, incarnation, by: "somebody", at: 0 }) as Fact

/** Facts of one incarnation of a run. */
export const factsOf = (incarnation: number = born) => {
  const make = (of: Of<Fact>) => fact(of, incarnation)
  return {
    requested: (name: string, turn = 0) => make({ _tag: "Requested", turn, try: name }),
    refused: (name: string, why: { readonly error?: AiError.AiError; readonly final?: boolean } = {}, turn = 0) =>
      make({ _tag: "Refused", turn, try: name, ...why }),
    accepted: (responseId: string, name: string, turn = 0) =>
      make({ _tag: "Accepted", turn, try: name, responseId, streamed: true }),
    responseEnded: (
      responseId: string,
      how: Partial<Pick<RunRecord.FactOf<"ResponseEnded">, "calls" | "error" | "status" | "usage">> = {},
      turn = 0
    ) => make({ _tag: "ResponseEnded", turn, responseId, status: "completed", calls: [], ...how }),
    toolStarted: (callId: string, n: number, turn = 0) => make({ _tag: "ToolStarted", turn, callId, n }),
    toolEnded: (callId: string, result: unknown, turn = 0) =>
      make({ _tag: "ToolEnded", turn, callId, result, isFailure: false }),
    toolFailed: (callId: string, ends?: "failed" | "defect", turn = 0) =>
      make({
        _tag: "ToolEnded",
        turn,
        callId,
        result: "why",
        isFailure: true,
        ...(ends === undefined ? {} : { ends })
      }),
    toolDeferred: (callId: string, until?: number, turn = 0) =>
      make({ _tag: "ToolDeferred", turn, callId, ...(until === undefined ? {} : { until }) }),
    allowed: (callId: string, turn = 0) => make({ _tag: "Allowed", turn, callId }),
    approvalAsked: (callId: string, until?: number, turn = 0) =>
      make({ _tag: "ApprovalAsked", turn, callId, ...(until === undefined ? {} : { until }) }),
    approved: (callId: string, turn = 0) => make({ _tag: "Approved", turn, callId }),
    rejected: (callId: string, turn = 0) => make({ _tag: "Rejected", turn, callId, reason: "no" }),
    cancelRequested: make({ _tag: "CancelRequested" }),
    cancelSent: (responseId: string) => make({ _tag: "CancelSent", responseId }),
    limitsRaised: (limits: RunRecord.Limits) => make({ _tag: "LimitsRaised", limits }),
    ended: (status: RunRecord.FactOf<"Ended">["status"] = "completed") => make({ _tag: "Ended", status }),
    delivered: make({ _tag: "Delivered" }),
    retried: (turn = 0) => make({ _tag: "Retried", turn })
  }
}

/** A call that Baton runs. */
export const call = (callId: string, name = "tool"): RunRecord.Call => ({ callId, name, external: false, params: {} })

/** A call that the provider runs once it is approved. */
export const providerCall = (callId: string): RunRecord.Call => ({ ...call(callId), provider: true })

/** The usage of a response of this many tokens. */
export const usageOf = (tokens: number) =>
  new Response.Usage({
    inputTokens: { uncached: undefined, total: tokens, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 0, text: undefined, reasoning: undefined }
  })

const small = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

// Few of each, so that they meet.
const Said = Schema.Struct({
  tag: Schema.Literals([
    "Requested",
    "Requested",
    "Refused",
    "Refused",
    "Accepted",
    "Accepted",
    "ResponseEnded",
    "ResponseEnded",
    "ToolStarted",
    "ToolEnded",
    "ToolDeferred",
    "Allowed",
    "Allowed",
    "ApprovalAsked",
    "Approved",
    "Rejected",
    "CancelRequested",
    "CancelSent",
    "LimitsRaised",
    "Ended",
    "Delivered",
    "Retried"
  ]),
  incarnation: Schema.Literals([1, 1, 1, 2, 2, 3]),
  turn: Schema.Literals([0, 0, 0, 1, 1, 2]),
  name: Schema.Literals(["1", "2", "3"]),
  callId: Schema.Literals(["a", "b"]),
  n: small(0, 3),
  at: small(0, 4)
})
type Said = typeof Said.Type

const statuses = ["completed", "completed", "failed", "cancelled"] as const
const callsOf = [
  [],
  [call("a")],
  [call("a"), call("b")],
  [{ ...call("a"), external: true }, call("b")],
  [call("a"), providerCall("b")]
] as const
const limitsOf = (n: number, at: number): RunRecord.Limits =>
  [{}, { turns: n, cost: at }, { tokens: n, time: at }, { toolCalls: n, turns: at }][n]!

const heard = (said: Said): Fact => {
  const { at, callId, incarnation, n, name, tag, turn } = said
  // A provider's id names one response, which one incarnation opened.
  const responseId = `resp ${incarnation} ${turn} ${name}`
  const common = { incarnation, at, by: `${at}` }
  const ofCall = { ...common, turn, callId }
  switch (tag) {
    case "Requested":
      return { _tag: tag, ...common, turn, try: name }
    case "Refused":
      return {
        _tag: tag,
        ...common,
        turn,
        try: name,
        ...(n === 0 ? {} : { error: error(`${n}`), final: n === 3 })
      }
    case "Accepted":
      return { _tag: tag, ...common, turn, ...(n === 0 ? {} : { try: name }), responseId, streamed: true }
    case "ResponseEnded":
      return { _tag: tag, ...common, turn, responseId, status: statuses[n]!, calls: callsOf[at]!, usage: usageOf(n) }
    case "ToolStarted":
      return { _tag: tag, ...ofCall, n }
    case "ToolEnded":
      return { _tag: tag, ...ofCall, result: n, isFailure: n > 1, ...(n === 3 ? { ends: "failed" } : {}) }
    case "ToolDeferred":
    case "ApprovalAsked":
      return { _tag: tag, ...ofCall, ...(n === 0 ? {} : { until: n }) }
    case "Allowed":
    case "Approved":
      return { _tag: tag, ...ofCall }
    case "Rejected":
      return { _tag: tag, ...ofCall, reason: `${n}` }
    case "CancelSent":
      return { _tag: tag, ...common, responseId }
    case "LimitsRaised":
      return { _tag: tag, ...common, limits: limitsOf(n, at) }
    case "Ended":
      return { _tag: tag, ...common, status: statuses[n]! }
    case "Retried":
      return { _tag: tag, ...common, incarnation: Math.max(2, incarnation), turn }
    case "CancelRequested":
    case "Delivered":
      return { _tag: tag, ...common }
  }
}

/** Something that may be said of a run: `factIn` makes a fact of it. */
export const AnyFact = Said
export const factIn = heard

/** Any facts in any order, for a property test: `journalIn` and `distinctIn` make journals of them. */
export const AnyFacts = Schema.Array(Said).check(Schema.isMinLength(6), Schema.isMaxLength(24))

/** The facts as they are, though some have one key. */
export const journalIn = (said: ReadonlyArray<Said>): ReadonlyArray<Fact> => said.map(heard)

/** The facts as a store keeps them: of those with one key, the first. */
export const distinctIn = (said: ReadonlyArray<Said>): ReadonlyArray<Fact> => {
  const keys = new Set<string>()
  return journalIn(said).filter((one) => {
    const key = RunRecord.keyOf(one)
    return !keys.has(key) && keys.add(key)
  })
}

const Act = Schema.Struct({
  ...Said.fields,
  tag: Schema.Literals([
    "Allowed",
    "Allowed",
    "ApprovalAsked",
    "ApprovalAsked",
    "Approved",
    "Rejected",
    "ToolStarted",
    "ToolStarted",
    "ToolDeferred",
    "ToolEnded",
    "LimitsRaised",
    "CancelRequested",
    "Requested",
    "Accepted",
    "ResponseEnded"
  ]),
  incarnation: Schema.Literals([born]),
  turn: Schema.Literals([0, 0, 0, 0, 1]),
  name: Schema.Literals(["1"])
})

/** A first response that asks for calls, and what then happens to them: `actsIn` makes a journal of it. */
export const AnyActs = Schema.Struct({ calls: small(1, 4), acts: Schema.Array(Act).check(Schema.isMaxLength(12)) })

export const actsIn = ({ acts, calls }: typeof AnyActs.Type): ReadonlyArray<Fact> => {
  const first = { callId: "a", incarnation: born, turn: 0, name: "1", n: 1, at: calls } as const
  const opened = (["Requested", "Accepted", "ResponseEnded"] as const).map((tag) => ({ ...first, tag }))
  return distinctIn([...opened, ...acts])
}

export const foldOf = (journal: ReadonlyArray<Fact>): RunState.RunState => RunState.fold({ incarnation: born, journal })

/** Whose facts count: those of the last incarnation, and for each turn those of the last that opened it again. */
export const inForce = (journal: ReadonlyArray<Fact>) => {
  let incarnation = born
  const ofTurn = [born, born, born]
  for (const one of journal) {
    if (one._tag !== "Retried") continue
    incarnation = one.incarnation
    for (let turn = one.turn; turn < ofTurn.length; turn++) ofTurn[turn] = incarnation
  }
  return (one: Fact): boolean => one.incarnation === ("turn" in one ? ofTurn[one.turn] : incarnation)
}

/** Whether the order of two facts means something. */
export const isOrdered = (a: Fact, b: Fact): boolean =>
  (a._tag === "Retried" && b._tag === "Retried") ||
  (a._tag === "Accepted" && b._tag === "Accepted" && a.turn === b.turn && a.incarnation === b.incarnation)

const sorted = <A>(list: ReadonlyArray<A>): ReadonlyArray<A> =>
  list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))

/** A view in which lists without an order of their own have one. */
export const viewOf = (state: RunState.RunState): RunState.RunState => ({
  ...state,
  turns: state.turns.map((turn) => ({ ...turn, open: sorted(turn.open) })),
  loose: sorted(state.loose),
  unresolved: sorted(state.unresolved)
})

/** What a step depends on beside the state, for a property test: `contextIn` makes it. */
export const AnyContext = Schema.Struct({
  onUnconfirmed: Schema.Literals(["fail", "restart"]),
  hasInput: Schema.Boolean,
  handled: Schema.Boolean,
  background: Schema.Boolean,
  underWay: Schema.Array(Schema.Literals(["1", "0:a", "0:b", "1:a", "resp 1 0 1", "resp 2 0 1"])).check(
    Schema.isMaxLength(3)
  ),
  now: Schema.NullOr(small(0, 3)),
  onCut: Schema.Literals(["again", "again", "wait", "fail"]),
  atOnce: Schema.NullOr(small(0, 2)),
  limit: Schema.NullOr(Schema.Literals(["turns", "toolCalls", "tokens", "time", "cost"])),
  most: small(0, 3)
})

export const contextIn = ({
  atOnce,
  limit,
  most,
  now,
  onCut,
  underWay,
  ...rest
}: typeof AnyContext.Type): RunEngine.Context => ({
  ...rest,
  underWay: new Set(underWay),
  onCut: () => onCut,
  cost: ({ inputTokens }) => inputTokens.total ?? 0,
  ...(now === null ? {} : { now }),
  ...(atOnce === null ? {} : { atOnce }),
  ...(limit === null ? {} : { limits: { [limit]: most } })
})
