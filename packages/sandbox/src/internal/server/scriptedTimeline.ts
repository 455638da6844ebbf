import type { ResponseScript, ScriptEnd, ScriptItem } from "../../ResponseScript.ts"
import type { TroubleOf } from "../../SandboxTrouble.ts"
import { itemSegments } from "./itemSegments.ts"
import { deltasOf, type Included, itemId, itemObject, itemText, type OutputItem } from "./outputItem.ts"
import { isFinal, responseAt, type Status } from "./responseObject.ts"
import * as SegmentRow from "./segmentRow.ts"
import { interleave, type Segment, single, take } from "./segments.ts"
import type { Timeline } from "./timeline.ts"

/** Troubles that change which events a response has. */
interface Shape {
  readonly keepalives: TroubleOf<"Keepalives"> | undefined
  readonly unknownEvents: TroubleOf<"UnknownEvents"> | undefined
  readonly errorEvent: TroubleOf<"ErrorEvent"> | undefined
  readonly end: TroubleOf<"End"> | undefined
}

export interface ScriptedOptions {
  readonly id: string
  readonly base: { readonly [key: string]: unknown }
  readonly background: boolean
  readonly obfuscate: boolean
  readonly script: ResponseScript
  readonly maxOutputTokens: number | undefined
  readonly included: Included
  readonly inputTokens: number
  readonly partialSnapshots: boolean
  readonly shape: Shape
  /** In seconds. Called only once the response is over. */
  readonly completedAt: () => number | null
}

interface Plan {
  readonly items: ReadonlyArray<OutputItem>
  readonly end: ScriptEnd
}

// As in the API, a token limit cuts the item that reaches it short, and the
// items after it never appear.
const limited = (options: ScriptedOptions): Plan => {
  const items: Array<OutputItem> = []
  let left = options.maxOutputTokens ?? Number.POSITIVE_INFINITY
  let cut = false
  const add = (script: ScriptItem) => {
    const deltas = deltasOf(script)
    const whole = deltas.length <= left
    items.push({
      id: itemId(options.id, script.type, items.length),
      index: items.length,
      script:
        whole || !("deltas" in script)
          ? script
          : {
              ...script,
              deltas: { length: left, at: (index: number) => deltas.at(index) },
              ...(script.type === "message" ? { citations: [] } : {})
            },
      doneStatus: whole ? "completed" : "incomplete",
      included: options.included
    })
    left -= deltas.length
    cut = !whole
  }
  for (const script of options.script.items) {
    if (!cut) add(script)
  }
  return {
    items,
    end: cut ? { status: "incomplete", reason: "max_output_tokens" } : (options.script.end ?? { status: "completed" })
  }
}

const troubleEnd = (trouble: TroubleOf<"End">): ScriptEnd => {
  switch (trouble.status) {
    case "failed":
      return {
        status: "failed",
        code: trouble.code ?? "server_error",
        message: trouble.message ?? "The model failed to generate a response."
      }
    case "incomplete":
      return { status: "incomplete", reason: trouble.reason ?? "max_output_tokens" }
    case "cancelled":
      return { status: "cancelled" }
  }
}

const errorOf = (trouble: TroubleOf<"ErrorEvent">) => ({
  code: trouble.code ?? "server_error",
  message: trouble.message ?? "The server had an error while processing your request. Sorry about that!"
})

const errorFields = (trouble: TroubleOf<"ErrorEvent">) => {
  const { code, message } = errorOf(trouble)
  return trouble.form === "nested"
    ? { error: { type: code, code, message, param: null } }
    : { code, message, param: null }
}

const endOf = ({ shape }: ScriptedOptions, plan: Plan): ScriptEnd =>
  shape.errorEvent !== undefined
    ? { status: "failed", ...errorOf(shape.errorEvent) }
    : shape.end !== undefined
      ? troubleEnd(shape.end)
      : plan.end

const keepalive: Segment = { ...single("keepalive", () => ({})), ephemeral: true }

/** All events of a response. `last` gives the response object for the terminal event. */
const segmentsOf = (
  options: ScriptedOptions,
  plan: Plan,
  end: ScriptEnd,
  last: () => { readonly [key: string]: unknown }
): ReadonlyArray<Segment> => {
  const { shape } = options
  const opening = (status: Status) => () => ({
    response: responseAt(options.base, {
      status,
      completedAt: null,
      output: [],
      end: undefined,
      usage: undefined
    })
  })
  const first = options.background ? "queued" : "in_progress"
  const body: ReadonlyArray<Segment> = [
    single("response.created", opening(first)),
    ...(options.background ? [single("response.queued", opening("queued"))] : []),
    single("response.in_progress", opening("in_progress")),
    ...plan.items.flatMap((item) => itemSegments(item, options.obfuscate))
  ]
  // `response.created` always comes: without it the client would not know the response's id.
  const cutAfter = Math.max(1, shape.errorEvent?.after ?? shape.end?.after ?? Number.POSITIVE_INFINITY)
  const terminal = single(`response.${end.status}`, () => ({ response: last() }))
  const silent = shape.errorEvent?.thenFailed === false || (end.status === "cancelled" && shape.end?.event !== true)
  const errored = shape.errorEvent
  let segments: ReadonlyArray<Segment> = [
    ...take(body, cutAfter),
    ...(errored === undefined ? [] : [single("error", () => errorFields(errored))]),
    ...(silent ? [] : [terminal])
  ]
  const unknownEvery = shape.unknownEvents === undefined ? 0 : (shape.unknownEvents.every ?? 3)
  if (unknownEvery > 0) {
    segments = interleave(
      segments,
      unknownEvery,
      single("response.sandbox_novelty.delta", () => ({ delta: "a type that no SDK knows", novelty: { depth: 1 } }))
    )
  }
  const keepaliveEvery = shape.keepalives?.every ?? 0
  if (keepaliveEvery > 0) segments = interleave(segments, keepaliveEvery, keepalive)
  return [...Array.from({ length: shape.keepalives?.before ?? 0 }, () => keepalive), ...segments]
}

/** The timeline of a script, changed by troubles. */
export const scriptedTimeline = (options: ScriptedOptions): Timeline => {
  const plan = limited(options)
  const end = endOf(options, plan)
  const row = SegmentRow.make(segmentsOf(options, plan, end, () => snapshot(row.length)))
  const inProgressAt = row.segments.findIndex((segment) => segment.type === "response.in_progress")

  const progress = (produced: number) => {
    const reached = plan.items.map(() => ({ added: false, deltas: 0, citations: 0, done: false }))
    for (let at = 0; at < row.segments.length && row.before(at) < produced; at++) {
      const segment = row.segments[at]
      const item = segment?.item === undefined ? undefined : reached[segment.item.index]
      if (segment === undefined || item === undefined) continue
      switch (segment.item?.tells) {
        case "added":
          item.added = true
          break
        case "delta":
          item.deltas += Math.min(segment.count, produced - row.before(at))
          break
        case "citation":
          item.citations++
          break
        case "done":
          item.done = true
      }
    }
    return reached
  }

  const status = (produced: number): Status =>
    produced >= row.length
      ? end.status
      : options.background && (inProgressAt < 0 || produced <= row.before(inProgressAt))
        ? "queued"
        : "in_progress"

  const snapshot = (produced: number, cutShort = false) => {
    const now = status(produced)
    const over = cutShort || isFinal(now)
    const reached = over || options.partialSnapshots ? progress(produced) : []
    const counts = { all: 0, reasoning: 0 }
    const output = plan.items.flatMap((item) => {
      const so = reached[item.index]
      if (so === undefined || !so.added) return []
      counts.all += so.deltas
      if (item.script.type === "reasoning") counts.reasoning += so.deltas
      const itemStatus = so.done ? item.doneStatus : over ? "incomplete" : "in_progress"
      return [itemObject(item, { deltas: so.deltas, citations: so.citations, status: itemStatus })]
    })
    return responseAt(options.base, {
      status: now,
      completedAt: over ? options.completedAt() : null,
      output,
      end: over ? end : undefined,
      usage:
        now === "completed" || now === "incomplete"
          ? { inputTokens: options.inputTokens, outputTokens: counts.all, reasoningTokens: counts.reasoning }
          : undefined
    })
  }

  return {
    length: row.length,
    queued: options.background && inProgressAt >= 0 ? row.before(inProgressAt) : 0,
    at: (index) => {
      const [segment = keepalive, start] = row.of(index)
      return {
        type: segment.type,
        sequence: index,
        json: segment.json(index, segment.offset + index - start),
        ephemeral: segment.ephemeral
      }
    },
    paced: (index) => (row.of(index)[0] ?? keepalive).paced,
    after: (sequence) => Math.min(Math.max(sequence + 1, 0), row.length),
    snapshot,
    status,
    outputText: (produced) => {
      const reached = progress(produced)
      return plan.items
        .filter((item) => item.script.type === "message")
        .map((item) => itemText(item, reached[item.index]?.deltas ?? 0))
        .join("")
    }
  }
}
