/**
 * The state of a run: a pure fold of the facts in its journal.
 *
 * @since 0.1.0
 */
import type { ContinuationToken } from "./ContinuationToken.ts"
import { keyOf } from "./internal/record/factKey.ts"
import type { RunStatus } from "./Run.ts"
import type { Call, Fact, FactOf, Limits, RunRecord, Try } from "./RunRecord.ts"

/**
 * The state of a tool call of a turn.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallState extends Call {
  readonly allowed: FactOf<"Allowed"> | undefined
  readonly asked: FactOf<"ApprovalAsked"> | undefined
  readonly decision: FactOf<"Approved"> | FactOf<"Rejected"> | undefined
  readonly deferred: FactOf<"ToolDeferred"> | undefined
  readonly result: FactOf<"ToolEnded"> | undefined
  /** How often the call was started. */
  readonly starts: number
  /** When the call was started first, by the store's clock. */
  readonly startedAt: number | undefined
}

/**
 * The state of a turn: one response inside a run, with the tool calls that it asks for.
 *
 * **Details**
 *
 * - `open`: the requests whose intent was recorded, and whose outcome is not known.
 * - `tries`: how many requests there were.
 * - `refusal`: the refusal of the last request that bought nothing, or of one that would be refused again.
 * - `winner`: the response of the turn. It is the first response that was recorded, and never changes.
 * - `end`: how the winner ended.
 * - `cancelSent`: whether the provider accepted a cancel of the winner.
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnState {
  readonly open: ReadonlyArray<string>
  readonly tries: number
  readonly refusal: FactOf<"Refused"> | undefined
  readonly winner: FactOf<"Accepted"> | undefined
  readonly end: FactOf<"ResponseEnded"> | undefined
  readonly cancelSent: boolean
  readonly calls: ReadonlyArray<CallState>
}

/**
 * The state of a run.
 *
 * **Details**
 *
 * - `incarnation`: the current incarnation: that of the record, or of the last `Retried`.
 * - `turns`: the current turns. A retry keeps the turns before the one that it opens again.
 * - `loose`: responses that were bought, that are not the winner of a current turn, and that may still be running. After
 *   the run has ended, winners without an end are loose too.
 * - `unresolved`: requests of all turns and incarnations whose outcome is not known.
 * - `cancelled`: a cancel of the run was recorded.
 * - `ended`: the fact that ended the run, if it has ended.
 * - `delivered`: the consumer has acknowledged the last update.
 * - `limits`: the raised limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunState {
  readonly incarnation: number
  readonly turns: ReadonlyArray<TurnState>
  readonly loose: ReadonlyArray<FactOf<"Accepted">>
  readonly unresolved: ReadonlyArray<Try>
  readonly cancelled: boolean
  readonly ended: FactOf<"Ended"> | undefined
  readonly delivered: boolean
  readonly limits: Limits
}

interface MutableCall {
  allowed?: FactOf<"Allowed">
  asked?: FactOf<"ApprovalAsked">
  decision?: FactOf<"Approved"> | FactOf<"Rejected">
  deferred?: FactOf<"ToolDeferred">
  result?: FactOf<"ToolEnded">
  starts: number
  startedAt?: number
}

class Turn {
  readonly requested = new Set<string>()
  readonly answered = new Set<string>()
  readonly calls = new Map<string, MutableCall>()
  refusal: FactOf<"Refused"> | undefined
  winner: FactOf<"Accepted"> | undefined

  call(callId: string): MutableCall {
    let call = this.calls.get(callId)
    if (call === undefined) this.calls.set(callId, (call = { starts: 0 }))
    return call
  }
}

const larger = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.max(a, b)

const raise = (limits: Limits, { cost, time, toolCalls, tokens, turns }: Limits): Limits => {
  const next = {
    cost: larger(limits.cost, cost),
    time: larger(limits.time, time),
    turns: larger(limits.turns, turns),
    toolCalls: larger(limits.toolCalls, toolCalls),
    tokens: larger(limits.tokens, tokens)
  }
  return Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined))
}

const weightOf = ({ error, final }: FactOf<"Refused">): number =>
  (final === true ? 2 : 0) + (error === undefined ? 0 : 1)

/** Of two refusals the one with more information, else the later one. The order in the journal does not matter. */
const weightier = (a: FactOf<"Refused"> | undefined, b: FactOf<"Refused">): FactOf<"Refused"> => {
  if (a === undefined) return b
  const more = weightOf(b) - weightOf(a) || b.at - a.at
  return more > 0 || (more === 0 && b.try > a.try) ? b : a
}

/** The first turn of each current incarnation, in order of turns. */
const inForce = (born: number, journal: ReadonlyArray<Fact>): ReadonlyArray<readonly [turn: number, of: number]> => {
  let segments: ReadonlyArray<readonly [number, number]> = [[0, born]]
  const known = new Set<number>()
  for (const fact of journal) {
    if (fact._tag !== "Retried" || known.has(fact.incarnation)) continue
    known.add(fact.incarnation)
    segments = [...segments.filter(([turn]) => turn < fact.turn), [fact.turn, fact.incarnation]]
  }
  return segments
}

/**
 * Computes the state of a run from its journal.
 *
 * **Details**
 *
 * `incarnation` is that of the record. The function is total. The order of facts matters only for two `Accepted` of one
 * turn, two `Retried`, and two facts with one key: of these, the first counts. An `Accepted` may come before its
 * `Requested`, and a `ResponseEnded` before its `Accepted`.
 *
 * **Example** (The state of a new run)
 *
 * ```ts
 * import { RunState } from "@effect-baton/core"
 *
 * RunState.fold({ incarnation: 1, journal: [] }).turns // => []
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fold = ({ incarnation: born, journal }: Pick<RunRecord, "incarnation" | "journal">): RunState => {
  const segments = inForce(born, journal)
  const incarnation = segments.at(-1)?.[1] ?? born
  const owner = (turn: number) => segments.findLast(([from]) => from <= turn)?.[1] ?? born

  const turns: Array<Turn> = []
  const turnOf = (fact: { readonly incarnation: number; readonly turn: number }): Turn | undefined => {
    if (fact.incarnation !== owner(fact.turn)) return undefined
    while (turns.length <= fact.turn) turns.push(new Turn())
    return turns[fact.turn]
  }
  const accepted: Array<FactOf<"Accepted">> = []
  const ends = new Map<string, FactOf<"ResponseEnded">>()
  const cancelsSent = new Set<string>()
  const tries: Array<FactOf<"Requested">> = []
  const answers = new Set<string>()
  const nameOf = (fact: { readonly incarnation: number; readonly turn: number; readonly try: string }) =>
    `${fact.incarnation} ${fact.turn} ${fact.try}`
  let cancelled = false
  let ended: FactOf<"Ended"> | undefined
  let delivered = false
  let limits: Limits = {}
  // Of facts with one key, the first counts. Only these three kinds need the check: of all others, a second fact with the
  // same key changes nothing below.
  const named = new Set<string>()
  const isAgain = (fact: FactOf<"Requested" | "Refused" | "Accepted">): boolean => {
    const { size } = named
    return named.add(keyOf(fact)).size === size
  }

  for (const fact of journal) {
    if ((fact._tag === "Requested" || fact._tag === "Refused" || fact._tag === "Accepted") && isAgain(fact)) continue
    switch (fact._tag) {
      case "Requested":
        turnOf(fact)?.requested.add(fact.try)
        tries.push(fact)
        break
      case "Refused": {
        const turn = turnOf(fact)
        if (turn !== undefined) {
          turn.answered.add(fact.try)
          turn.refusal = weightier(turn.refusal, fact)
        }
        answers.add(nameOf(fact))
        break
      }
      case "Accepted": {
        const turn = turnOf(fact)
        if (turn !== undefined) {
          if (fact.try !== undefined) turn.answered.add(fact.try)
          turn.winner ??= fact
        }
        if (fact.try !== undefined) answers.add(nameOf({ ...fact, try: fact.try }))
        accepted.push(fact)
        break
      }
      case "ResponseEnded":
        if (!ends.has(fact.responseId)) ends.set(fact.responseId, fact)
        break
      case "CancelSent":
        cancelsSent.add(fact.responseId)
        break
      case "ToolStarted": {
        const call = turnOf(fact)?.call(fact.callId)
        if (call !== undefined) {
          call.starts = Math.max(call.starts, fact.n)
          call.startedAt = Math.min(call.startedAt ?? fact.at, fact.at)
        }
        break
      }
      case "ToolEnded": {
        const call = turnOf(fact)?.call(fact.callId)
        if (call !== undefined) call.result ??= fact
        break
      }
      case "ToolDeferred": {
        const call = turnOf(fact)?.call(fact.callId)
        if (call !== undefined) call.deferred ??= fact
        break
      }
      case "Allowed": {
        const call = turnOf(fact)?.call(fact.callId)
        if (call !== undefined) call.allowed ??= fact
        break
      }
      case "ApprovalAsked": {
        const call = turnOf(fact)?.call(fact.callId)
        if (call !== undefined) call.asked ??= fact
        break
      }
      case "Approved":
      case "Rejected": {
        const call = turnOf(fact)?.call(fact.callId)
        if (call !== undefined) call.decision ??= fact
        break
      }
      case "CancelRequested":
        cancelled ||= fact.incarnation === incarnation
        break
      case "LimitsRaised":
        if (fact.incarnation === incarnation) limits = raise(limits, fact.limits)
        break
      case "Ended":
        if (fact.incarnation === incarnation) ended ??= fact
        break
      case "Delivered":
        delivered ||= fact.incarnation === incarnation
        break
    }
  }

  const winners = new Set(turns.map(({ winner }) => winner?.responseId))
  const mayRun = ({ responseId }: FactOf<"Accepted">) => !ends.has(responseId) && !cancelsSent.has(responseId)
  return {
    incarnation,
    turns: turns.map(({ answered, calls, refusal, requested, winner }): TurnState => {
      const end = winner === undefined ? undefined : ends.get(winner.responseId)
      return {
        open: winner === undefined ? [...requested].filter((name) => !answered.has(name)) : [],
        tries: requested.size,
        refusal,
        winner,
        end,
        cancelSent: winner !== undefined && cancelsSent.has(winner.responseId),
        calls: (end?.calls ?? []).map((call) => {
          const { allowed, asked, decision, deferred, result, startedAt, starts = 0 } = calls.get(call.callId) ?? {}
          return { ...call, allowed, asked, decision, deferred, result, starts, startedAt }
        })
      }
    }),
    loose: accepted.filter((fact) => mayRun(fact) && (ended !== undefined || !winners.has(fact.responseId))),
    unresolved: tries.filter((fact) => !answers.has(nameOf(fact))).map((fact) => ({ turn: fact.turn, try: fact.try })),
    cancelled,
    ended,
    delivered,
    limits
  }
}

/**
 * Returns the current turn of a run: the last turn that was opened, or that a fact names.
 *
 * @since 0.1.0
 * @category accessors
 */
export const currentTurn = (state: RunState): number => {
  const last = Math.max(0, state.turns.length - 1)
  const turn = state.turns[last]
  // A turn that appears only in late facts was never opened.
  return turn === undefined || turn.tries > 0 || turn.winner !== undefined ? last : Math.max(0, firstUnopened(state))
}

const firstUnopened = ({ turns }: RunState): number => {
  const first = turns.findIndex(({ winner }) => winner === undefined)
  return first === -1 ? turns.length : first
}

/**
 * Returns the responses of the current turns, in order.
 *
 * @since 0.1.0
 * @category accessors
 */
export const winners = (state: Pick<RunState, "turns">): ReadonlyArray<FactOf<"Accepted">> =>
  state.turns.flatMap(({ winner }) => (winner === undefined ? [] : [winner]))

/**
 * Returns the ids of all responses that were bought for a run, in all incarnations.
 *
 * @since 0.1.0
 * @category accessors
 */
export const responseIds = ({ journal }: Pick<RunRecord, "journal">): ReadonlyArray<string> =>
  journal.flatMap((fact) => (fact._tag === "Accepted" ? [fact.responseId] : []))

/**
 * Returns the status of a run, as the journal and a position in the run show it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const statusOf = (state: RunState, position: Pick<ContinuationToken, "status" | "turn">): RunStatus => {
  if (state.ended !== undefined) return state.ended.status
  const turn = state.turns[currentTurn(state)]
  if (turn?.end !== undefined) {
    return turn.calls.some((call) => !call.external) ? "in_progress" : turn.end.status
  }
  if (currentTurn(state) > 0) return "in_progress"
  return turn?.winner !== undefined && position.status === "in_progress" ? "in_progress" : "queued"
}

/** Whether each call without a result waits for somebody. */
const waitsForCalls = (turns: ReadonlyArray<TurnState>): boolean => {
  const open = turns.at(-1)?.calls.filter((call) => !call.external && !isDone(call)) ?? []
  return open.length > 0 && open.every((call) => call.deferred !== undefined || isUndecided(call))
}

/**
 * Whether nothing about a call is open: it has its result, or was rejected, or the provider runs it and it was decided.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isDone = ({ allowed, decision, provider, result }: CallState): boolean =>
  result !== undefined ||
  decision?._tag === "Rejected" ||
  (provider === true && (decision !== undefined || allowed !== undefined))

/**
 * Whether a call waits for somebody to approve or reject it.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isUndecided = ({ asked, decision }: CallState): boolean => asked !== undefined && decision === undefined

/**
 * Returns the status of a run as its record alone shows it. Listings and counts use it.
 *
 * **Details**
 *
 * A run is `queued` until a response is accepted, and `in_progress` from then on. It is `waiting` if no worker holds it and
 * it is not due before a new fact comes, or before an approval or a result is too late. It has ended once its end is
 * recorded.
 *
 * @since 0.1.0
 * @category accessors
 */
export const statusOfRecord = (
  record: Pick<RunRecord, "due" | "incarnation" | "journal" | "lease" | "parked">
): RunStatus => {
  const { ended, turns } = fold(record)
  if (ended !== undefined) return ended.status
  const isFree = record.lease === null && record.parked === null
  if (isFree && (record.due === null || waitsForCalls(turns))) return "waiting"
  return turns.some(({ winner }) => winner !== undefined) ? "in_progress" : "queued"
}
