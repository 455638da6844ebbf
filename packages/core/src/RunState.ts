/**
 * What a run is: a pure fold of the facts in its journal.
 *
 * @since 0.1.0
 */
import type { ContinuationToken } from "./ContinuationToken.ts"
import { keyOf } from "./internal/store/factKey.ts"
import type { RunStatus } from "./Run.ts"
import type { Call, Fact, FactOf, Limits, RunRecord, Try } from "./RunRecord.ts"

/**
 * A tool call of a turn, and what became of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallState extends Call {
  readonly asked: FactOf<"ApprovalAsked"> | undefined
  readonly decision: FactOf<"Approved"> | FactOf<"Rejected"> | undefined
  readonly deferred: FactOf<"ToolDeferred"> | undefined
  readonly result: FactOf<"ToolEnded"> | undefined
  /** How often it was started. */
  readonly starts: number
}

/**
 * A turn: one response inside a run, with the tool calls that it asks for.
 *
 * **Details**
 *
 * - `open`: tries that were about to be sent, and whose outcome is not known.
 * - `tries`: how many tries there were; `refusal` is the last one that bought nothing, or one that would be refused again.
 * - `winner`: the response of the turn. It is the first that was recorded, and never changes.
 * - `end`: how the winner ended.
 * - `cancelSent`: whether the provider took a cancel of the winner.
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
 * What the journal says about a run.
 *
 * **Details**
 *
 * - `incarnation`: the incarnation in force: that of the record, or of the last `Retried`.
 * - `turns`: the turns in force. After a retry, the turns before the one that was opened again stay.
 * - `loose`: responses that were bought, that are no turn's winner in force, and that may still be running. Once the run
 *   has ended this includes winners without an end.
 * - `unresolved`: tries of any turn, in any incarnation, whose outcome nobody knows.
 * - `cancelled`: somebody asked for the end of the run. `ended`: the run is over. `delivered`: its consumer is done.
 * - `limits`: what the run may use at most, if limits were raised.
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
  asked?: FactOf<"ApprovalAsked">
  decision?: FactOf<"Approved"> | FactOf<"Rejected">
  deferred?: FactOf<"ToolDeferred">
  result?: FactOf<"ToolEnded">
  starts: number
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

const raise = (limits: Limits, { toolCalls, tokens, turns }: Limits): Limits => {
  const next = {
    turns: larger(limits.turns, turns),
    toolCalls: larger(limits.toolCalls, toolCalls),
    tokens: larger(limits.tokens, tokens)
  }
  return Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined))
}

const weightOf = ({ error, final }: FactOf<"Refused">): number =>
  (final === true ? 2 : 0) + (error === undefined ? 0 : 1)

/** Of two refusals the one that says more, or else the later: which of them was recorded first does not matter. */
const weightier = (a: FactOf<"Refused"> | undefined, b: FactOf<"Refused">): FactOf<"Refused"> => {
  if (a === undefined) return b
  const more = weightOf(b) - weightOf(a) || b.at - a.at
  return more > 0 || (more === 0 && b.try > a.try) ? b : a
}

/** From which turn on each incarnation is in force, in order. */
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
 * Reads from a journal what a run is.
 *
 * **Details**
 *
 * `incarnation` is that of the record. The function is total, and the order of facts matters only for two `Accepted` of
 * one turn, two `Retried`, and two facts with one key, of which the first counts: an `Accepted` may come before its
 * `Requested`, and a `ResponseEnded` before its `Accepted`.
 *
 * **Example** (A run that nobody opened yet)
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
  // Of facts with one key the first counts. All but these say the same twice, or are kept only if they are the first.
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
        if (call !== undefined) call.starts = Math.max(call.starts, fact.n)
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
          const { asked, decision, deferred, result, starts = 0 } = calls.get(call.callId) ?? {}
          return { ...call, asked, decision, deferred, result, starts }
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
 * The turn that the run is in: the last one that anything is known of.
 *
 * @since 0.1.0
 * @category getters
 */
export const currentTurn = (state: RunState): number => {
  const last = Math.max(0, state.turns.length - 1)
  const turn = state.turns[last]
  // A turn that only late facts speak of was never opened.
  return turn === undefined || turn.tries > 0 || turn.winner !== undefined ? last : Math.max(0, firstUnopened(state))
}

const firstUnopened = ({ turns }: RunState): number => {
  const first = turns.findIndex(({ winner }) => winner === undefined)
  return first === -1 ? turns.length : first
}

/**
 * The responses of the run's turns, in order.
 *
 * @since 0.1.0
 * @category getters
 */
export const winners = (state: Pick<RunState, "turns">): ReadonlyArray<FactOf<"Accepted">> =>
  state.turns.flatMap(({ winner }) => (winner === undefined ? [] : [winner]))

/**
 * The ids of all responses that were bought for the run, in any incarnation.
 *
 * @since 0.1.0
 * @category getters
 */
export const responseIds = ({ journal }: Pick<RunRecord, "journal">): ReadonlyArray<string> =>
  journal.flatMap((fact) => (fact._tag === "Accepted" ? [fact.responseId] : []))

/**
 * Where the run stands, as far as the journal and the position of its consumer tell.
 *
 * @since 0.1.0
 * @category getters
 */
export const statusOf = (state: RunState, position: Pick<ContinuationToken, "status" | "turn">): RunStatus => {
  if (state.ended !== undefined) return state.ended.status
  const turn = state.turns[currentTurn(state)]
  if (turn?.end !== undefined) {
    const isPending = turn.calls.some((call) => !call.external)
    if (!isPending) return turn.end.status
    return turn.calls.some((call) => !call.external && call.result === undefined) ? "waiting" : "in_progress"
  }
  if (currentTurn(state) > 0) return "in_progress"
  return turn?.winner !== undefined && position.status === "in_progress" ? "in_progress" : "queued"
}

/**
 * Where a run stands by its record alone, as listings and counts have it: `queued` until a response was accepted,
 * `in_progress` from then on, and `waiting` if nobody holds the run and only a fact makes it work again. It is over once its
 * end is recorded.
 *
 * @since 0.1.0
 * @category getters
 */
export const statusOfRecord = (
  record: Pick<RunRecord, "due" | "incarnation" | "journal" | "lease" | "parked">
): RunStatus => {
  const { ended, turns } = fold(record)
  if (ended !== undefined) return ended.status
  const isWaiting = record.due === null && record.lease === null && record.parked === null
  if (isWaiting) return "waiting"
  return turns.some(({ winner }) => winner !== undefined) ? "in_progress" : "queued"
}
