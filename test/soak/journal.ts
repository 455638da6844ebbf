import { RunRecord, RunState } from "@effect-baton/core"
import type { SandboxLedger } from "@effect-baton/sandbox"
import type { Line } from "./line.ts"
import type { Plan } from "./plan.ts"

type Response = SandboxLedger.LedgerResponse

/** What is wrong with a run's record when all its consumers are done, against what they saw and the sandbox's ledger. */
export const findings = (
  record: RunRecord.RunRecord | undefined,
  lines: ReadonlyArray<Line>,
  plan: Plan,
  responses: ReadonlyArray<Response>
): ReadonlyArray<string> => {
  const ends = lines.filter((line) => line.did === "end")
  const end = ends[0]
  // Judged elsewhere: a run that nobody brought to an end.
  if (end === undefined) return []
  if (record === undefined) return ["it has no record"]
  const found: Array<string> = []
  const { due, incarnation, journal, lease, parked } = record
  const state = RunState.fold(record)
  const { ended, turns, unresolved } = state

  if (new Set(journal.map(RunRecord.keyOf)).size < journal.length) found.push("a fact is in its journal twice")
  if (journal.some((fact) => fact.incarnation !== incarnation)) found.push("a fact is of another incarnation")

  // What was bought is known, and was announced before. Only who died before the answer leaves a response unknown.
  const known = new Set(RunState.responseIds(record))
  for (const { id, status } of responses) {
    if (!known.has(id) && unresolved.length === 0) found.push(`${id} is unknown, and no request is without an answer`)
    if (known.has(id) && /^(queued|in_progress)$/.test(status)) found.push(`${id} runs on after the end: ${status}`)
  }
  for (const id of known) if (!responses.some((response) => response.id === id)) found.push(`${id} was never bought`)
  const requested = new Set(journal.flatMap((fact) => (fact._tag === "Requested" ? [fact.try] : [])))
  for (const fact of journal) {
    // Of a write that failed nobody knows if it was applied: what it announced is withdrawn in any case.
    const isAnswer = fact._tag === "Accepted" || (fact._tag === "Refused" && fact.error !== undefined)
    if (isAnswer && !requested.has(fact.try ?? "none")) {
      found.push(`${fact._tag} of a request that nobody announced: ${fact.try}`)
    }
    if (fact._tag !== "ResponseEnded") continue
    const at = responses.find(({ id }) => id === fact.responseId)?.status
    if (fact.status !== at && !(fact.status === "expired" && plan.expires === true)) {
      found.push(`${fact.responseId} ended as ${fact.status}, at the server ${at}`)
    }
  }
  if (turns.length > 1) found.push("it has a second turn")
  if (state.loose.length > 0) found.push("a response of it was left without a cancel")

  const isUnwritten = ends.some(({ unwritten }) => unwritten === true)
  // Whoever was killed, or lost the run, gave nothing back. A rival's attempts are known by what it got.
  const left = new Set(lines.flatMap((line) => (line.did === "stop" || line.did === "end" ? [line.attempt] : [])))
  const isUnheard = ends.some(({ unleft }) => unleft === true)
  const isUnleft =
    isUnheard ||
    lines.some((line) => !left.has(line.attempt) || (line.did === "stop" && /not written|LeaseLost/.test(line.how)))
  // Facts of others make a run work again, whatever was said of it before.
  const hasNews = !/^(Requested|Ended|Delivered)$/.test(journal.at(-1)?._tag ?? "")
  if (end.status === "unconfirmed" && ended === undefined) {
    if (unresolved.length === 0) found.push("it is unconfirmed, but no request is without an answer")
    // Who asked for its end was gone before that was recorded: whoever takes the run next does so.
    if (state.cancelled && due === null) found.push("it is cancelled, and nobody will end it")
    if (!isUnheard && !hasNews && (parked === null || due !== null || lease !== null)) {
      found.push(`nobody can open it, and it is not parked: due ${due}, lease ${lease?.owner}`)
    }
    return found
  }
  // Its consumers were told that what they have is not its output: whether it ends is for them to say.
  if (end.status.startsWith("RunDiverged")) return found
  if (ended === undefined) {
    if (!isUnwritten) found.push(`its end is not recorded: ${end.status}`)
    return found
  }
  const status = end.status === "unconfirmed" ? "failed" : end.status
  if (ended.status !== status) found.push(`it is recorded as ${ended.status}, and was seen as ${end.status}`)
  if ((ended.reason === "unconfirmed") !== (end.status === "unconfirmed")) found.push(`it ended as ${ended.reason}`)
  if ((ended.unresolved ?? []).length !== unresolved.length) found.push("its end does not name what is unresolved")
  if (parked !== null) found.push(`it is over, and parked: ${parked.reason}`)

  // Who was given the last update, and asked for more, is done with it.
  const isRead = ends.some(({ attempt }) =>
    lines.some((line) => line.did === "update" && line.attempt === attempt && line.last)
  )
  // A stream that fails writes this as it leaves the run: who could not leave it could not write it.
  if (isRead && !state.delivered && !isUnwritten && !isUnheard) {
    found.push("that its consumer is done is not recorded")
  }
  if (!isUnleft && !isUnwritten && !hasNews && (due !== null || lease !== null)) {
    found.push(`it is over, and work: due ${due}, lease ${lease?.owner}`)
  }
  return found
}

/** What others had to carry out, as they were gone who asked for it. */
export const carriedOut = ({ journal }: RunRecord.RunRecord): ReadonlyArray<string> => {
  const asked = journal.find(({ _tag }) => _tag === "CancelRequested")
  const sent = journal.find(({ _tag }) => _tag === "CancelSent")
  const withdrawn = journal.some((fact) => fact._tag === "Refused" && fact.error === undefined)
  return [
    ...(asked !== undefined && sent !== undefined && sent.by !== asked.by ? ["cancel by the holder"] : []),
    ...(withdrawn ? ["request withdrawn"] : [])
  ]
}
