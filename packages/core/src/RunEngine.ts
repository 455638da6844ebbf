/**
 * The next step of a run, as a pure function of its state.
 *
 * @since 0.1.0
 */
import type * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import type { RunStatus } from "./Run.ts"
import * as Used from "./internal/record/used.ts"
import type { FactOf, Limits, Try } from "./RunRecord.ts"
import { type CallState, isDone, isUndecided, type RunState, type TurnState } from "./RunState.ts"

/**
 * The cause for which a run waits.
 *
 * **Details**
 *
 * - `approval`: somebody must approve or reject a tool call.
 * - `deferred`: somebody must give the result of a tool call.
 * - `limit`: somebody must raise a limit.
 * - `tools`: tool calls are under way in this process.
 * - `unconfirmed`: a request was never answered, and a person must decide whether it is sent again.
 * - `input`: the run was never opened, and this process does not have its input.
 *
 * @since 0.1.0
 * @category models
 */
export type WaitsFor = "approval" | "deferred" | "limit" | "tools" | "unconfirmed" | "input"

/**
 * A tool call that starts, for the `n`-th time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Start {
  readonly call: CallState
  readonly n: number
}

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
 * - `AskPolicy`: ask whether these calls may run, and record `Allowed`, `ApprovalAsked` or `Rejected` for each.
 * - `RunTools`: record `ToolStarted` for these calls, and run them.
 * - `GiveUp`: the call gets no result in time, or must not run again: record `Rejected` if it waits for approval, else a
 *   `ToolEnded` with a failure.
 * - `Wait`: do nothing until a fact comes, or until the time `until`, in milliseconds since the epoch. `limit` is the limit
 *   that was reached.
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
      readonly reason?: "refused" | "unconfirmed" | "interrupted" | "tool"
      readonly error?: AiError.AiError
      readonly unresolved: ReadonlyArray<Try>
    }
  | { readonly _tag: "Open"; readonly turn: number }
  | { readonly _tag: "Follow"; readonly turn: number; readonly response: FactOf<"Accepted"> }
  | { readonly _tag: "AskPolicy"; readonly turn: number; readonly calls: ReadonlyArray<CallState> }
  | { readonly _tag: "RunTools"; readonly turn: number; readonly starts: ReadonlyArray<Start> }
  | {
      readonly _tag: "GiveUp"
      readonly turn: number
      readonly call: CallState
      readonly why: "expired" | "interrupted"
    }
  | {
      readonly _tag: "Wait"
      readonly for: WaitsFor
      readonly turn: number
      readonly until?: number
      readonly limit?: keyof Limits
    }

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
 * - `underWay`: the names of requests, the ids of responses, and the names of calls (`callName`) at which this process is
 *   working.
 * - `now`: the time, in milliseconds since the epoch. Without it, nothing is too late.
 * - `onCut`: what to do about a call that was started and that no process runs any more: run it `again` (if absent), `wait`
 *   for its result, or `fail` it.
 * - `atOnce`: how many calls may be under way at the same time; no limit if absent.
 * - `limits`: the limits of the run before any `LimitsRaised`.
 * - `cost`: the cost of one response.
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
  readonly now?: number
  readonly onCut?: (call: CallState) => "again" | "wait" | "fail"
  readonly atOnce?: number
  readonly limits?: Limits | undefined
  readonly cost?: ((usage: Response.Usage) => number) | undefined
}

/**
 * Returns the name of a call in `Context.underWay`. Call ids are unique only within a turn.
 *
 * @since 0.1.0
 * @category accessors
 */
export const callName = (turn: number, callId: string): string => `${turn}:${callId}`

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
    readonly reason?: "refused" | "unconfirmed" | "interrupted" | "tool"
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
    if (isOpened) return undefined
    // The process that runs the calls interrupts them first.
    const isBusy = calls.some((call) => isOpen(call) && underWay.has(callName(turn, call.callId)))
    return isBusy ? { _tag: "Wait", for: "tools", turn } : end("cancelled", state.unresolved)
  }
  return ofCalls(state, context, turn, calls)
}

const isOpen = (call: CallState): boolean => !isDone(call)

/** The next step of the calls of a turn; undefined if each has its result or was rejected. */
const ofCalls = (
  state: RunState,
  context: Context,
  turn: number,
  calls: ReadonlyArray<CallState>
): Step | undefined => {
  const { atOnce = Number.POSITIVE_INFINITY, now = Number.NEGATIVE_INFINITY, onCut = () => "again" } = context
  const underWay = context.underWay ?? none
  const open = calls.filter(isOpen)
  const busy = open.filter(({ callId }) => underWay.has(callName(turn, callId)))
  const busyStep: Step = { _tag: "Wait", for: "tools", turn }
  if (calls.some(({ result }) => result?.ends !== undefined)) {
    return busy.length > 0 ? busyStep : end("failed", state.unresolved, { reason: "tool" })
  }
  const fresh: Array<CallState> = []
  const ready: Array<Start> = []
  let waits: "approval" | "deferred" | undefined
  let until: number | undefined
  for (const call of open) {
    if (busy.includes(call)) continue
    const isCut = call.starts > 0
    const cut = isCut ? onCut(call) : "again"
    if (isUndecided(call) || call.deferred !== undefined || cut === "wait") {
      const latest = isUndecided(call) ? call.asked?.until : call.deferred?.until
      if (latest !== undefined && latest <= now) return { _tag: "GiveUp", turn, call, why: "expired" }
      waits ??= isUndecided(call) ? "approval" : "deferred"
      until = earlier(until, latest)
    } else if (cut === "fail") {
      return { _tag: "GiveUp", turn, call, why: "interrupted" }
    } else if (call.starts === 0 && call.allowed === undefined && call.decision === undefined) {
      fresh.push(call)
    } else {
      ready.push({ call, n: call.starts + 1 })
    }
  }
  if (fresh.length > 0) return { _tag: "AskPolicy", turn, calls: fresh }
  // A call that was cut was counted when it was started first.
  const left = Used.left(state, context, "toolCalls")
  const again = ready.filter(({ n }) => n > 1)
  const first = ready.filter(({ n }) => n === 1)
  const starts = [...again, ...first.slice(0, Math.max(0, left))].slice(0, Math.max(0, atOnce - busy.length))
  if (starts.length > 0) return { _tag: "RunTools", turn, starts }
  const timed = until === undefined ? {} : { until }
  if (busy.length > 0) return { ...busyStep, ...timed }
  if (ready.length > 0) return { _tag: "Wait", for: "limit", turn, limit: "toolCalls", ...timed }
  return waits === undefined ? undefined : { _tag: "Wait", for: waits, turn, ...timed }
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
  const limit = (["turns", "tokens", "time", "cost"] as const).find((name) => Used.left(state, context, name) <= 0)
  return limit === undefined ? { _tag: "Open", turn } : { _tag: "Wait", for: "limit", turn, limit }
}
