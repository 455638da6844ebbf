/**
 * The next step of a run, as a pure function of its state.
 *
 * @since 0.1.0
 */
import type * as AiError from "effect/ai/AiError"
import type { RunStatus } from "./Run.ts"
import type { FactOf, Limits, Try } from "./RunRecord.ts"
import type { CallState, RunState, TurnState } from "./RunState.ts"

/**
 * The cause for which a run waits.
 *
 * **Details**
 *
 * - `approval`: somebody must approve or reject a tool call.
 * - `deferred`: somebody must give the result of a tool call.
 * - `limit`: somebody must raise a limit.
 * - `unconfirmed`: a request was never answered, and a person must decide whether it is sent again.
 * - `input`: the run was never opened, and this process does not have its input.
 *
 * @since 0.1.0
 * @category models
 */
export type WaitsFor = "approval" | "deferred" | "limit" | "unconfirmed" | "input"

/**
 * The next step of a run.
 *
 * **Details**
 *
 * - `CancelResponse`: cancel the response at the provider, repeat that until the provider accepts it, and record
 *   `CancelSent`.
 * - `Deliver`: the run has ended, and a `handle` was promised all of its updates: deliver the rest, and record `Delivered`.
 * - `Over`: nothing is left to do.
 * - `End`: record `Ended`.
 * - `Open`: open the response of the turn.
 * - `Follow`: follow the response to its end, and record `ResponseEnded`.
 * - `AskApproval`, `RunTool`: record `ApprovalAsked`, or `ToolStarted` with this `n`, and run the call.
 * - `Wait`: do nothing until a fact comes, or until the time `until`, in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | { readonly _tag: "CancelResponse"; readonly response: FactOf<"Accepted"> }
  | { readonly _tag: "Deliver" }
  | { readonly _tag: "Over" }
  | {
      readonly _tag: "End"
      readonly status: RunStatus
      readonly reason?: "refused" | "unconfirmed" | "interrupted"
      readonly error?: AiError.AiError
      readonly unresolved: ReadonlyArray<Try>
    }
  | { readonly _tag: "Open"; readonly turn: number }
  | { readonly _tag: "Follow"; readonly turn: number; readonly response: FactOf<"Accepted"> }
  | { readonly _tag: "AskApproval"; readonly turn: number; readonly call: CallState }
  | { readonly _tag: "RunTool"; readonly turn: number; readonly call: CallState; readonly n: number }
  | { readonly _tag: "Wait"; readonly for: WaitsFor; readonly turn: number; readonly until?: number }

/**
 * Everything but the state that a step depends on.
 *
 * **Details**
 *
 * - `onUnconfirmed`: whether a request whose outcome is not known is sent again.
 * - `hasInput`: whether this process has the run's input, and can open its first turn.
 * - `handled`: whether a `handle` was promised all updates of the run.
 * - `background`: whether responses go on without the process that opened them; true if absent. A foreground response that
 *   ended as cancelled without a cancel of the run was interrupted.
 * - `underWay`: the names of requests, and the ids of responses and calls, at which this process is working.
 * - `needsApproval`: whether somebody must approve a call that is not external.
 * - `runs`: whether this process can run a call that is not external.
 * - `limits`: the limits of the run before any `LimitsRaised`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly onUnconfirmed: "fail" | "restart"
  readonly hasInput: boolean
  readonly handled: boolean
  readonly background?: boolean
  readonly underWay?: ReadonlySet<string>
  readonly needsApproval?: (call: CallState) => boolean
  readonly runs?: (call: CallState) => boolean
  readonly limits?: Limits
}

/**
 * The largest number of requests for one turn, refused ones included. It keeps journals short. After the last one the run
 * ends with the last refusal, or as unconfirmed if there was no refusal.
 *
 * @since 0.1.0
 * @category models
 */
export const maxTries = 64

const none: ReadonlySet<string> = new Set()

const end = (
  status: RunStatus,
  unresolved: ReadonlyArray<Try>,
  more: {
    readonly reason?: "refused" | "unconfirmed" | "interrupted"
    readonly error?: AiError.AiError | undefined
  } = {}
): Step => ({
  _tag: "End",
  status,
  unresolved,
  ...(more.reason === undefined ? {} : { reason: more.reason }),
  ...(more.error === undefined ? {} : { error: more.error })
})

/**
 * Returns the next step of a run.
 *
 * **Details**
 *
 * All verbs and workers use this function, and have no rules of their own. It is total. It never returns a step whose fact
 * is in the journal already.
 *
 * **Example** (The first step of a run)
 *
 * ```ts
 * import { RunEngine, RunState } from "@effect-baton/core"
 *
 * const state = RunState.fold({ incarnation: 1, journal: [] })
 * const step = RunEngine.decide(state, { onUnconfirmed: "fail", hasInput: true, handled: false })
 * step._tag // => "Open"
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const decide = (state: RunState, context: Context): Step => {
  const underWay = context.underWay ?? none
  const loose = state.loose.find(({ responseId }) => !underWay.has(responseId))
  if (loose !== undefined) return { _tag: "CancelResponse", response: loose }
  if (state.ended !== undefined) return { _tag: context.handled && !state.delivered ? "Deliver" : "Over" }
  const step = firstOf(state, context)
  if (step._tag !== "End") return step
  // A run must not end while a response of it is running, in whatever order its facts came.
  const turn = state.turns.findIndex((of) => of.winner !== undefined && of.end === undefined)
  return turn === -1 ? step : (ofTurn(state, context, turn, state.turns[turn]!) ?? step)
}

/** The next step of the first turn that has one. */
const firstOf = (state: RunState, context: Context): Step => {
  for (let turn = 0; turn < state.turns.length; turn++) {
    const step = ofTurn(state, context, turn, state.turns[turn]!)
    if (step !== undefined) return step
  }
  return openTurn(state, context, state.turns.length)
}

/** The next step of a turn; undefined if the turn has ended, and the next one can be opened. */
const ofTurn = (state: RunState, context: Context, turn: number, of: TurnState): Step | undefined => {
  const underWay = context.underWay ?? none
  if (of.winner === undefined) {
    // The fiber that sent the request records its outcome.
    if (of.open.some((name) => underWay.has(name))) return { _tag: "Wait", for: "unconfirmed", turn }
    if (of.open.length > 0) {
      if (state.cancelled) return end("failed", state.unresolved, { reason: "unconfirmed" })
      if (context.onUnconfirmed === "fail") return { _tag: "Wait", for: "unconfirmed", turn }
    }
    return openTurn(state, context, turn)
  }
  if (of.end === undefined) {
    return state.cancelled && !of.cancelSent && !underWay.has(of.winner.responseId)
      ? { _tag: "CancelResponse", response: of.winner }
      : { _tag: "Follow", turn, response: of.winner }
  }
  const calls = of.calls.filter((call) => !call.external)
  if (of.end.status === "cancelled" && context.background === false && !state.cancelled) {
    return end("failed", state.unresolved, { reason: "interrupted" })
  }
  if (of.end.status !== "completed" || calls.length === 0) {
    return end(of.end.status, state.unresolved, { error: of.end.error })
  }
  if (state.cancelled) {
    const next = state.turns[turn + 1]
    const isOpened = next !== undefined && (next.winner !== undefined || next.open.length > 0)
    return isOpened ? undefined : end("cancelled", state.unresolved)
  }
  return ofCalls(context, turn, calls, underWay)
}

const ofCalls = (
  context: Context,
  turn: number,
  calls: ReadonlyArray<CallState>,
  underWay: ReadonlySet<string>
): Step | undefined => {
  const needsApproval = context.needsApproval ?? (() => false)
  const runs = context.runs ?? (() => false)
  let waits: WaitsFor | undefined
  let until: number | undefined
  let busy = false
  for (const call of calls) {
    if (call.result !== undefined || call.decision?._tag === "Rejected") continue
    if (underWay.has(call.callId)) {
      busy = true
    } else if (call.decision === undefined && call.asked !== undefined) {
      waits ??= "approval"
      until = earlier(until, call.asked.until)
    } else if (call.decision === undefined && needsApproval(call)) {
      return { _tag: "AskApproval", turn, call }
    } else if (call.deferred !== undefined || !runs(call)) {
      waits ??= "deferred"
      until = earlier(until, call.deferred?.until)
    } else {
      return { _tag: "RunTool", turn, call, n: call.starts + 1 }
    }
  }
  if (waits === undefined && !busy) return undefined
  return { _tag: "Wait", for: waits ?? "deferred", turn, ...(until === undefined ? {} : { until }) }
}

const earlier = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

/** The step that opens a turn, or that ends the run or waits instead. */
const openTurn = (state: RunState, context: Context, turn: number): Step => {
  if (state.cancelled) return end("cancelled", state.unresolved)
  const { refusal, tries = 0 } = state.turns[turn] ?? {}
  if (refusal?.final === true || tries >= maxTries) {
    // Without a refusal, no request was answered.
    const reason = refusal === undefined ? "unconfirmed" : "refused"
    return end("failed", state.unresolved, { reason, error: refusal?.error })
  }
  if (turn === 0) return context.hasInput ? { _tag: "Open", turn } : { _tag: "Wait", for: "input", turn }
  return isOverLimit(state, context, turn) ? { _tag: "Wait", for: "limit", turn } : { _tag: "Open", turn }
}

const isOverLimit = (state: RunState, context: Context, turn: number): boolean => {
  const limitOf = (name: keyof Limits) => {
    const [own, raised] = [context.limits?.[name], state.limits[name]]
    return own === undefined ? undefined : Math.max(own, raised ?? own)
  }
  const reached = (name: keyof Limits, used: number) => used >= (limitOf(name) ?? Number.POSITIVE_INFINITY)
  const tokens = state.turns.reduce(
    (sum, { end: last }) => sum + (last?.usage?.inputTokens.total ?? 0) + (last?.usage?.outputTokens.total ?? 0),
    0
  )
  return reached("turns", turn) || reached("tokens", tokens)
}
