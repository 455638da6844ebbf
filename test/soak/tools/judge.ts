import { RunRecord, RunState, type UpdateLog } from "@effect-baton/core"
import type { SandboxLedger } from "@effect-baton/sandbox"
import type { Line, LineOf } from "./lines.ts"
import { planOf, isLogged, type Told, wordOf } from "./plan.ts"

const nameOf = ({ callId, turn }: { readonly turn: number; readonly callId: string }) => `${turn}:${callId}`

/** What is wrong with one run with tools, when all its workers are gone. */
export const toolFindings = (options: {
  readonly seed: string
  readonly runId: string
  readonly record: RunRecord.RunRecord | undefined
  readonly log: UpdateLog.Page | undefined
  readonly lines: ReadonlyArray<Line>
  readonly told: ReadonlyArray<Told>
  readonly responses: ReadonlyArray<SandboxLedger.LedgerResponse>
}): ReadonlyArray<string> => {
  const { lines, log, record, responses, runId, seed, told } = options
  const found: Array<string> = []
  const of = <Did extends Line["did"]>(did: Did): ReadonlyArray<LineOf<Did>> =>
    lines.filter((line): line is LineOf<Did> => line.did === did)
  const updates = of("update")
  const ends = of("end")
  if (record === undefined) return ["it has no record"]
  const { journal } = record
  const state = RunState.fold(record)
  const plan = planOf(seed, runId)

  if (ends.length === 0) found.push("nobody brought it to its end")
  if (state.ended?.status !== "completed") found.push(`it is recorded as ${RunState.statusOfRecord(record)}`)
  if (new Set(journal.map(RunRecord.keyOf)).size < journal.length) found.push("a fact is in its journal twice")
  const winners = RunState.winners(state)
  if (winners.length !== plan.turns.length + 1) found.push(`it has ${winners.length} turns`)
  const known = new Set(RunState.responseIds(record))
  const unknown = responses.filter(({ id }) => !known.has(id)).length
  const unresolved = state.unresolved.length
  if (unknown > unresolved) found.push(`${unknown} responses are unknown, and ${unresolved} requests without an answer`)

  const calls = state.turns.flatMap((turn, at) => turn.calls.map((call) => ({ ...call, turn: at })))
  const words: Array<string> = []
  const results: Array<string> = []
  for (const call of calls) {
    const name = nameOf(call)
    const kind = plan.turns[call.turn]?.find(({ part }) => `call_${part}` === call.callId)?.kind
    const { decision, result: ended } = call
    const isDenied = decision?._tag === "Rejected"
    const result = isDenied ? { type: "execution-denied", reason: decision.reason } : ended?.result
    const text = JSON.stringify(result)
    results.push(text)
    words.push(isDenied ? "denied" : wordOf(text))
    const own = journal.filter((fact) => "callId" in fact && nameOf(fact) === name)
    const all = own.filter(({ _tag }) => _tag === "ToolEnded")
    if (isDenied ? all.length > 0 || call.starts > 0 : all.length !== 1) {
      found.push(`${name} has ${all.length} results${isDenied ? ", and was rejected" : ""}`)
    }
    if ((decision !== undefined) !== (kind === "asked")) found.push(`${name} is ${kind}, and has ${decision?._tag}`)
    const starts = own.flatMap((fact) => (fact._tag === "ToolStarted" ? [fact.n] : []))
    if (starts.some((n, i) => n !== i + 1)) found.push(`${name} was started as ${starts.join()}`)
    const end = own.findIndex(({ _tag }) => _tag === "ToolEnded")
    if (end >= 0 && own.findLastIndex(({ _tag }) => _tag === "ToolStarted") > end) {
      found.push(`${name} was started after its result`)
    }
    const begun = of("starts")
      .filter(({ key }) => key === `${runId}:${name}`)
      .map(({ attempt }) => attempt)
    if (new Set(begun).size < begun.length) found.push(`${name} ran twice as one attempt: ${begun.join()}`)
    if (begun.some((attempt) => !starts.includes(attempt))) found.push(`${name} ran as ${begun.join()}, not recorded`)

    // Whoever learned of a result learned of the one that is recorded.
    const mine = told.filter((one) => nameOf(one) === name)
    if (mine.length === 0) found.push(`the model was not told the result of ${name}`)
    for (const { output } of mine) {
      const same = call.result?.isFailure === true ? output === `{"error":${text}}` : output === text
      if (!same && !isDenied) found.push(`the model was told ${output} of ${name}, not ${text}`)
    }
    const views = updates.filter((update) => update.call === name)
    if (!views.some(({ reader }) => !reader.startsWith("viewer"))) found.push(`no consumer saw the result of ${name}`)
    for (const { reader, result: other } of views) {
      if (JSON.stringify(other) !== text) found.push(`${reader} saw ${JSON.stringify(other)} of ${name}, not ${text}`)
    }
    for (const { by, call: answered, did, how } of of("approve").concat(
      of("reject") as never,
      of("complete") as never
    )) {
      if (answered !== name || how !== "done") continue
      const isRight =
        did === "complete" ? JSON.stringify(result).includes(`"by":"${by}"`) : (did === "approve") === !isDenied
      if (!isRight) found.push(`${by} was told that its ${did} of ${name} counts`)
    }
  }
  for (const { results: mine, status, text } of ends) {
    if (status !== "completed") found.push(`its consumer was told that it is ${status}`)
    else if (text !== `All: ${words.join(", ")}.`) found.push(`its answer is ${text}, not of ${words.join()}`)
    else if (JSON.stringify(mine) !== `[${results.join()}]`) found.push("its answer has other results than its journal")
  }
  for (const { how, reader } of of("stop")) {
    // A viewer may come before the run is there, or was opened.
    const isEarly = reader.startsWith("viewer") && /^fatal RunNot(Found|Opened)/.test(how)
    if (/^(fatal|defect)|rewritten/.test(how) && !isEarly) found.push(`${reader} stopped: ${how}`)
  }
  return [
    ...found,
    ...storyOf(
      runId,
      seed,
      updates,
      log,
      winners.map(({ responseId }) => responseId),
      responses
    )
  ]
}

/** With a log, one story for all; without, the texts that consumers put together. */
const storyOf = (
  runId: string,
  seed: string,
  updates: ReadonlyArray<LineOf<"update">>,
  log: UpdateLog.Page | undefined,
  winners: ReadonlyArray<string>,
  responses: ReadonlyArray<SandboxLedger.LedgerResponse>
): ReadonlyArray<string> => {
  const found: Array<string> = []
  const truth = winners.map((id) => responses.find((response) => response.id === id)?.outputText ?? "")
  if (!isLogged(seed, runId)) {
    const texts = new Map<string, string>()
    for (const { end, responseId, text } of updates) {
      if (end === undefined) continue
      const before = (texts.get(responseId) ?? "").padEnd(end - text.length, "?")
      texts.set(responseId, before.slice(0, end - text.length) + text + before.slice(end))
    }
    for (const [turn, id] of winners.entries()) {
      if (texts.get(id) !== truth[turn]) found.push(`the text of turn ${turn} is ${texts.get(id)}, not ${truth[turn]}`)
    }
    return found
  }
  const story = new Map<number, LineOf<"update">>()
  const contentOf = ({ epoch, responseId, rest, result, text }: LineOf<"update">) =>
    JSON.stringify([epoch, responseId, text, rest, result])
  for (const update of updates) {
    // An update that says that the run waits is made for each consumer again.
    if (update.offset === undefined || update.rest.includes('"waiting"')) continue
    const other = story.get(update.offset)
    if (other === undefined) story.set(update.offset, update)
    else if (contentOf(other) !== contentOf(update)) {
      found.push(`${update.reader} saw another update ${update.offset} than ${other.reader}`)
    }
  }
  const length = log?.length ?? 0
  if (log?.ended !== true) found.push("its log has not ended")
  for (const [reader, own] of Map.groupBy(updates, (update) => update.reader)) {
    const offsets = own.flatMap(({ offset }) => (offset === undefined ? [] : [offset]))
    if (offsets.some((offset, i) => i > 0 && offset !== offsets[i - 1]! + 1 && offset !== offsets[i - 1])) {
      found.push(`${reader} saw ${offsets.join()}`)
    }
    if (offsets.some((offset) => offset > length)) found.push(`${reader} saw more than its log has: ${length}`)
  }
  const texts = [...story].toSorted(([a], [b]) => a - b).map(([, { text }]) => text)
  const whole = texts.join("")
  const waits = new Set(updates.flatMap((one) => (one.rest.includes('"waiting"') ? [one.offset] : []))).size
  if (story.size + waits < length) found.push(`its readers saw ${story.size} and ${waits} of ${length} updates`)
  // A turn that was opened again may have updates of a response that does not count.
  if (responses.length === winners.length && whole !== truth.join("")) found.push(`its text is ${whole}`)
  return found
}

/** What of a run shows that something happened to its calls. */
export const happened = ({ journal }: RunRecord.RunRecord): ReadonlyArray<string> =>
  journal.flatMap((fact) =>
    fact._tag === "ToolStarted" && fact.n > 1
      ? ["tools: attempt after a cut"]
      : fact._tag === "Retried"
        ? ["tools: retried"]
        : fact._tag === "ToolDeferred"
          ? ["tools: answered later"]
          : []
  )
