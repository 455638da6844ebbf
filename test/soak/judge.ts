import type { SandboxLedger } from "@effect-baton/sandbox"
import type { Line, Update } from "./line.ts"
import type { Plan } from "./plan.ts"

type Response = SandboxLedger.LedgerResponse

/** What was found in one run's file, against the sandbox's ledger. */
export interface Verdict {
  readonly updates: number
  /** Updates that came again after a kill, an interruption or an early token: dropped by position. */
  readonly again: number
  readonly lost: number
  readonly repeated: number
  /** Updates of a consumer that had lost the run to another, beyond the one in its hands. */
  readonly stale: number
  readonly creates: number
  readonly unconfirmed: boolean
  /** The run ended as `RunDiverged`, as one may whose replays come out of order. */
  readonly diverged: boolean
  /** How the run ended, where it should not have. */
  readonly wrongEnd?: string
  readonly notes: ReadonlyArray<string>
}

/** Judges a run by what its consumers kept. `isAway`: its store is a server that goes away. */
export const judge = (
  lines: ReadonlyArray<Line>,
  plan: Plan,
  responses: ReadonlyArray<Response>,
  isAway: boolean
): Verdict => {
  const notes: Array<string> = []
  const truth = responses[0]?.outputText ?? ""
  const status = responses[0]?.status
  let text = ""
  let again = 0
  let lost = 0
  let repeated = 0
  // Updates whose text differs from what was delivered in their place.
  let others = 0

  const by = new Map(lines.flatMap((line) => (line.did === "try" ? [[line.attempt, line.by] as const] : [])))
  const stops = new Map<string, string>()
  const ended = new Set(lines.flatMap((line) => (line.did === "end" ? [line.attempt] : [])))
  // Whose token is the latest, and whose was when a consumer began.
  let cut: string | undefined
  const tokens = new Map<string, string | undefined>()
  const last = new Map<string, Update>()
  const superseded = new Map<string, number>()
  let current: string | undefined
  // The last update of the consumer before, and how many of its updates may come again.
  let floor: { readonly update: Update; readonly may: number } | undefined
  let floorRepeats = 0

  for (const line of lines) {
    if (line.did === "try") tokens.set(line.attempt, cut)
    if (line.did === "stop") {
      stops.set(line.attempt, line.how)
      if (line.token !== undefined) cut = line.attempt
    }
    if (line.did !== "update") continue
    if (line.attempt !== current) {
      if (superseded.has(line.attempt)) superseded.set(line.attempt, superseded.get(line.attempt)! + 1)
      else {
        const previous = current === undefined ? undefined : last.get(current)
        const how = current === undefined ? undefined : stops.get(current)
        const may = how === "cut" || how === "failed" ? 0 : how === "interrupted" ? 1 : Infinity
        const mode = by.get(line.attempt)
        // The latest token is that of the last cut before the try: earlier than what others finished with since.
        const isView = mode === "early token" || (mode === "token" && tokens.get(line.attempt) !== current)
        floor = previous === undefined || isView ? undefined : { update: previous, may }
        floorRepeats = 0
        if (current !== undefined) superseded.set(current, 0)
        current = line.attempt
      }
    }
    if (floor !== undefined && line.attempt === current && !isAfter(line, floor.update)) {
      if (++floorRepeats > floor.may) {
        repeated++
        notes.push(`${line.attempt}: came again after ${floor.update.attempt} had finished with it`)
      }
    }
    const before = last.get(line.attempt)
    if (before !== undefined && !isAfter(line, before)) {
      repeated++
      notes.push(`${line.attempt}: ${line.sequence ?? "snapshot"} after ${before.sequence ?? "snapshot"}`)
    }
    last.set(line.attempt, line)

    if (line.text === "") continue
    const end = line.end ?? text.length + line.text.length
    const start = end - line.text.length
    if (start > text.length) {
      notes.push(`${line.attempt}: ${start - text.length} characters missing at ${text.length}`)
      text += "\u0000".repeat(start - text.length)
    }
    if (start < text.length) again++
    const known = text.slice(start, end)
    if (!line.text.startsWith(known)) {
      others++
      notes.push(`${line.attempt}: another text at ${start}: ${JSON.stringify([known, line.text])}`)
    }
    // What others delivered after it stays.
    text = text.slice(0, start) + line.text + text.slice(end)
  }
  const stale = [...superseded].reduce(
    (sum, [attempt, count]) => sum + (attempt === current ? 0 : Math.max(0, count - 1)),
    0
  )
  if (stale > 0 && !plan.logged) notes.push(`${stale} updates delivered after another consumer had taken over`)

  const ends = lines.flatMap((line) => (line.did === "end" ? [line.status] : []))
  // Who goes on from an earlier token may meet replays that are in order.
  const end = ends.find((how) => plan.disordered !== true || !how.startsWith("RunDiverged")) ?? ends[0] ?? "unfinished"
  // Its consumers were told that what they have is not the run's output.
  const diverged = plan.disordered === true && end.startsWith("RunDiverged")
  // A consumer that was killed before it was told: what came again in another place of its text is what counts.
  if (plan.disordered !== true) lost += others
  const whole = end === "completed" || end === "incomplete"
  const should = whole ? truth : text.length <= truth.length ? truth.slice(0, text.length) : truth
  if (text !== should && !diverged) {
    const mine = words(text)
    const theirs = words(should)
    const missing = theirs.filter((word) => !mine.includes(word)).length
    repeated += mine.length - new Set(mine).size
    lost += missing
    if (missing === 0 && mine.length === new Set(mine).size) lost++
    notes.push(`the text differs from the ledger's: ${text.length} of ${truth.length} characters`)
  }

  // Where events alone were delivered, and all have a number that is kept, each must be there, with text or without.
  const numbers = new Set<number>()
  // A consumer that leaves right after an event that overtook another, one without text, does not hear of it.
  const left = plan.disordered === true && lines.filter(({ did }) => did === "try").length > 1
  let numbered = whole && !left && !plan.troubles.some(({ _tag }) => _tag === "Keepalives")
  for (const line of lines) {
    if (line.did !== "update") continue
    if (line.origin === "snapshot" || line.sequence === undefined) numbered = false
    else numbers.add(line.sequence)
  }
  const produced = responses[0]?.eventsProduced ?? 0
  if (numbered && numbers.size !== produced) {
    lost += Math.max(1, produced - numbers.size)
    notes.push(`${numbers.size} of ${produced} events`)
  }

  const updates = lines.filter(({ did }) => did === "update").length
  const unconfirmed = end === "unconfirmed"
  // An opening that nobody saw the answer of: by a trouble, or because whoever asked was killed, or interrupted for longer
  // than leaving may take. A store that was away for a moment is no excuse, unless its server was.
  const excuse = isAway ? /^(interrupted|StoreFailed|LeaseLost)/ : /^interrupted/
  const unanswered = lines.some((line) => {
    if (line.did !== "try") return false
    const how = stops.get(line.attempt)
    return how === undefined ? !ended.has(line.attempt) : excuse.test(how)
  })
  const isRight =
    // Two consumers of a run may notice at different places that its replays contradict each other.
    ends.every((other) => other === end || (plan.disordered === true && other.startsWith("RunDiverged"))) &&
    (unconfirmed
      ? updates === 0 &&
        (plan.unconfirmed === true || (unanswered && lines.filter(({ did }) => did === "try").length > 1))
      : end === "expired"
        ? plan.expires === true
        : diverged
          ? true
          : status === undefined
            ? end === "cancelled" && plan.cancel === "early"
            : end === status)
  return {
    updates,
    again,
    lost,
    repeated,
    // What the log has is the same for all its readers, also for one from whom the run was taken.
    stale: plan.logged ? 0 : stale,
    creates: responses.length,
    unconfirmed,
    diverged,
    ...(isRight ? {} : { wrongEnd: `${[...new Set(ends)].join(" and ") || end}, at the server ${status}` }),
    notes
  }
}

const words = (text: string): ReadonlyArray<string> => text.split(" ").filter((word) => word !== "")

/** Whether an update is further on than another, as far as their positions tell. */
const isAfter = (a: Update, b: Update): boolean => {
  if (a.epoch !== undefined && b.epoch !== undefined && a.offset !== null && b.offset !== null)
    return a.offset > b.offset
  if (a.end !== undefined && b.end !== undefined) return a.end - a.text.length >= b.end
  if (a.origin === "snapshot" || b.origin === "snapshot" || a.sequence === undefined || b.sequence === undefined) {
    return true
  }
  if (a.sequence !== b.sequence) return a.sequence > b.sequence
  // Of one event the last update has no skip.
  if (a.skip !== b.skip) return b.skip > 0 && (a.skip === 0 || a.skip > b.skip)
  return a.skip > 0 && a.offset !== null && b.offset !== null && a.offset > b.offset
}
