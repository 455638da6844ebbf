import { type RunRecord, RunState, type UpdateLog } from "@effect-baton/core"
import type { Line, ViewLine } from "./line.ts"
import type { Plan } from "./plan.ts"

/**
 * The lines of a logged run, with the place of each text in the run's text, as an unlogged run's updates have it: the
 * offsets say it.
 */
export const placed = (
  lines: ReadonlyArray<Line>,
  views: ReadonlyArray<ReadonlyArray<ViewLine>>,
  log: UpdateLog.Page | undefined
): ReadonlyArray<Line> => {
  const texts: Array<string> = []
  for (const { offset, text } of seen(lines, views)) texts[offset - 1] ??= text
  const ends: Array<number> = []
  let end = 0
  for (let i = 0; i < texts.length; i++) ends.push((end += texts[i]?.length ?? 0))
  // A run that expired, or was cancelled before it was opened, may have no last update.
  const hasLast =
    log?.ended === true &&
    lines.some((line) => line.did === "end" && /^(completed|incomplete|failed)$/.test(line.status))
  return lines.map((line) =>
    line.did === "update" && line.offset !== null
      ? {
          ...line,
          ...(line.text === "" ? {} : { end: ends[line.offset - 1]! }),
          last: hasLast && line.offset === log.length
        }
      : line
  )
}

/** Every update that somebody saw. */
const seen = (lines: ReadonlyArray<Line>, views: ReadonlyArray<ReadonlyArray<ViewLine>>) => [
  ...lines.flatMap((line) =>
    line.did === "update" && line.offset !== null && line.epoch !== undefined
      ? [{ offset: line.offset, epoch: line.epoch, text: line.text, who: line.attempt }]
      : []
  ),
  ...views.flatMap((view, i) => view.flatMap((line) => (line.did === "sees" ? [{ ...line, who: `viewer ${i}` }] : [])))
]

// What a log that loses nothing never has anybody told.
const losses =
  /rewritten|^LogFailed (lost|corrupt|newer|closed|denied)|^LogNotFound|^LogTruncated|^LogMissing|^InvalidInput|^defect/

/** What is wrong with the log of a run, and with what its consumers and viewers saw of it. */
export const logFindings = (options: {
  readonly record: RunRecord.RunRecord | undefined
  readonly log: UpdateLog.Page | undefined
  readonly lines: ReadonlyArray<Line>
  readonly views: ReadonlyArray<ReadonlyArray<ViewLine>>
  readonly plan: Plan
}): ReadonlyArray<string> => {
  const { lines, log, plan, record, views } = options
  const found: Array<string> = []
  if (!plan.logged) {
    if (log !== undefined) found.push("it is not logged, and has a log")
    if (lines.some((line) => line.did === "update" && line.epoch !== undefined))
      found.push("it is not logged, and has epochs")
    return found
  }
  const length = log?.length ?? 0
  if (record !== undefined && record.logged !== true) found.push("its record does not say that it is logged")

  let end = 0
  let epoch = 0
  for (const chunk of log?.chunks ?? []) {
    if (chunk.from !== end) found.push(`its log has a chunk from ${chunk.from} after ${end}`)
    if (chunk.epoch < epoch) found.push(`its log has epoch ${chunk.epoch} after ${epoch}`)
    end = chunk.from + chunk.count
    epoch = chunk.epoch
  }
  if (end !== length) found.push(`its log ends at ${end}, and says ${length}`)

  const acknowledged = record?.position.offset ?? 0
  if (acknowledged > length) found.push(`${acknowledged} are acknowledged, and its log has ${length}`)
  const state = record === undefined ? undefined : RunState.fold(record)
  const ended = state?.ended
  if (ended !== undefined && log !== undefined && !log.ended) found.push("it has ended, and its log has not")
  if (ended !== undefined && log === undefined && /^(completed|incomplete|failed)$/.test(ended.status)) {
    found.push("it has ended well, and has no log")
  }
  if (
    log?.ended === true &&
    ended === undefined &&
    (record?.journal.every(({ _tag }) => _tag !== "ResponseEnded") ?? true)
  ) {
    found.push("its log has ended, and none of its responses")
  }

  // Each update is in the log, and the same for all.
  const known = new Map<number, { readonly epoch: number; readonly text: string; readonly who: string }>()
  for (const update of seen(lines, views)) {
    const { offset, who } = update
    const other = known.get(offset)
    if (offset > length) found.push(`${who} saw ${offset}, and its log has ${length}`)
    if (other === undefined) known.set(offset, update)
    else if (other.text !== update.text || other.epoch !== update.epoch) {
      found.push(`${who} saw another update ${offset}.${update.epoch} than ${other.who}, ${offset}.${other.epoch}`)
    }
  }
  for (const { count, epoch: of, from } of log?.chunks ?? []) {
    for (let offset = from + 1; offset <= from + count; offset++) {
      const update = known.get(offset)
      if (update !== undefined && update.epoch !== of) {
        found.push(`${update.who} saw ${offset}.${update.epoch}, which is of epoch ${of} in its log`)
      }
    }
  }

  for (const line of lines) {
    if (line.did === "look" && line.length < line.offset) {
      found.push(`${line.attempt} was given ${line.offset} while its log had ${line.length}`)
    }
    if (line.did === "stop" && losses.test(line.how)) found.push(`${line.attempt} was told of a loss: ${line.how}`)
    if (line.did === "update" && line.offset === null) found.push(`${line.attempt} was given an update without a token`)
  }
  const whole = new Set(lines.flatMap((line) => (line.did === "update" && line.offset !== null ? [line.offset] : [])))
  const isWhole = lines.some((line) => line.did === "end" && /^(completed|incomplete|failed)$/.test(line.status))
  if (isWhole && whole.size !== length) found.push(`its consumers saw ${whole.size} of ${length} updates`)

  // Viewers do not wait for an end that the run's last consumer could not write.
  const isAwaited =
    ended?.reason !== "unconfirmed" &&
    lines.some((line) => line.did === "end" && line.unwritten !== true && line.unleft !== true)

  for (const [i, view] of views.entries()) {
    let offset = 0
    let reached = 0
    let over: string | undefined
    for (const line of view) {
      if (over !== undefined) found.push(`viewer ${i} went on after the end`)
      if (line.did === "joins") {
        if (line.offset !== reached) found.push(`viewer ${i} joined at ${line.offset}, and was at ${reached}`)
        offset = line.offset
      } else if (line.did === "sees") {
        if (line.offset !== offset + 1) found.push(`viewer ${i} saw ${line.offset} after ${offset}`)
        offset = line.offset
        reached = Math.max(reached, offset)
      } else {
        if (line.over) over = line.how
        if (losses.test(line.how)) found.push(`viewer ${i} was told of a loss: ${line.how}`)
      }
    }
    if (over !== undefined) {
      const status = ended?.status ?? over
      const isRight =
        over === "ended" ? /^(completed|incomplete|failed)$/.test(status) || ended === undefined : over === status
      if (!isRight) found.push(`viewer ${i} was told that it is ${over}, and it is ${status}`)
      if (reached !== length) found.push(`viewer ${i} saw ${reached} of ${length} updates`)
      // A run that was given up before it was opened has no log.
      if (log !== undefined && !log.ended) found.push(`viewer ${i} was told the end of a log that goes on`)
    } else if (view.length > 0 && ended !== undefined && isAwaited && plan.disordered !== true) {
      found.push(`viewer ${i} did not see the end, and was at ${reached} of ${length}`)
    }
  }
  return found
}
