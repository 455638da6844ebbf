import type { BackgroundModel, Run } from "@effect-baton/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Output from "./output.ts"
import type { End, Step, Used } from "../ScriptStep.ts"

export interface Entry {
  readonly at: number
  readonly cut?: "disconnect" | AiError.AiError
  readonly event?: BackgroundModel.ModelEvent
  /** The snapshot that `retrieve` returns from here on. */
  readonly look?: BackgroundModel.ModelSnapshot
}

export interface Played {
  readonly responseId: string
  readonly createdAt: number
  readonly entries: ReadonlyArray<Entry>
  readonly spent: Set<Entry>
  readonly streamed: boolean
  readonly background: boolean | undefined
  cancelledAt: number | undefined
}

/** The events after a sequence number, each at its time. Each cut ends one connection. */
export const attach = (played: Played, after: number): Stream.Stream<BackgroundModel.ModelEvent, AiError.AiError> =>
  Stream.fromPull(
    Effect.sync(() => {
      let next = 0
      return Effect.gen(function* () {
        const batch: Array<BackgroundModel.ModelEvent> = []
        while (true) {
          const entry = played.entries[next]
          if (entry === undefined) return yield* batch.length > 0 ? full(batch) : Cause.done()
          const now = yield* Clock.currentTimeMillis
          if (played.cancelledAt !== undefined && entry.at >= played.cancelledAt) return yield* Cause.done()
          if (entry.at > now) {
            if (batch.length > 0) return yield* full(batch)
            // Rounded up to whole milliseconds: a fraction of one can be too short to move the clock at all.
            yield* Effect.sleep(Math.ceil(entry.at - now))
            continue
          }
          const unread = entry.event?.sequenceNumber === undefined || entry.event.sequenceNumber > after
          if (entry.cut !== undefined && !played.spent.has(entry)) {
            if (batch.length > 0) return yield* full(batch)
            played.spent.add(entry)
            return yield* entry.cut === "disconnect" ? Cause.done() : Effect.fail(entry.cut)
          }
          next++
          if (entry.event !== undefined && unread) batch.push(entry.event)
        }
      })
    })
  )

type Batch = readonly [BackgroundModel.ModelEvent, ...Array<BackgroundModel.ModelEvent>]
const full = (batch: ReadonlyArray<BackgroundModel.ModelEvent>) => Effect.succeed(batch as Batch)

/** The response at this moment. */
export const snapshot = Effect.fnUntraced(function* (played: Played): Effect.fn.Return<BackgroundModel.ModelSnapshot> {
  const now = yield* Clock.currentTimeMillis
  const until = Math.min(now, played.cancelledAt ?? now)
  const { background, responseId } = played
  let status: Run.RunStatus = "queued"
  for (const { at, event, look } of played.entries) {
    if (at > until || (played.cancelledAt !== undefined && at >= played.cancelledAt)) break
    if (look !== undefined) return look
    status = event?.status ?? status
  }
  const common = { responseId, items: [], ...(background === undefined ? {} : { background }) }
  return played.cancelledAt === undefined
    ? { ...common, status }
    : { ...common, status: "cancelled", finish: finishOf("other") }
})

/** The response that a script is played for. */
export interface Heading {
  readonly responseId: string
  readonly start: number
  readonly background: boolean | undefined
}

/** Turns the steps of a script into events of the provider and their times. */
export const compile = (heading: Heading, steps: ReadonlyArray<Step>): ReadonlyArray<Entry> => {
  const { background, responseId, start } = heading
  const entries: Array<Entry> = []
  const output = Output.empty()
  const open = new Map<number, string>()
  const behind = behindAll(steps)
  let at = start
  let number = 0
  let calls = 0
  const say = (event: Omit<BackgroundModel.ModelEvent, "sequenceNumber">, more: Partial<Entry> = {}) => {
    for (const statement of event.statements) Output.add(output, statement)
    entries.push({ at, event: { sequenceNumber: number++, ...event }, ...more })
  }
  const close = (item: number) => {
    const whole = open.get(item)
    if (whole !== undefined) say({ statements: ended(item, whole) })
    open.delete(item)
  }
  say({ statements: [], status: "queued", responseId, ...(background === undefined ? {} : { background }) })
  if (steps[0]?._tag !== "Queued") say({ statements: [], status: "in_progress", responseId })
  for (const step of steps) {
    switch (step._tag) {
      case "Queued":
        break
      case "Pause":
        at += Duration.toMillis(step.duration)
        break
      case "Disconnect":
        entries.push({ at, cut: "disconnect" })
        break
      case "Fail":
        entries.push({ at, cut: step.error })
        break
      case "Event":
        say(step.event)
        break
      case "Text": {
        const { deltas, item: index } = step
        if (!open.has(index)) say({ statements: begun(index) })
        open.set(index, `${open.get(index) ?? ""}${deltas.join("")}`)
        say({ statements: deltas.map((delta) => ({ _tag: "Delta", index, lane: 0, kind: "text", delta })) })
        break
      }
      case "Whole":
        say({ statements: [{ _tag: "ItemAdded", index: step.item, lanes: [] }] })
        say({ statements: ended(step.item, step.text) })
        break
      case "Close":
        close(step.item)
        break
      case "Call": {
        const id = step.callId ?? `call_${++calls}`
        say({ statements: called(Math.max(behind, output.next), id, step) })
        break
      }
      case "End": {
        for (const item of open.keys()) close(item)
        const { event: terminal, retrieve: look } = ending(heading, step, output)
        say({ statements: [], status: step.status, responseId, terminal }, { look })
        return entries
      }
    }
  }
  return entries
}

type Statements = ReadonlyArray<BackgroundModel.Statement>

const begun = (index: number): Statements => [
  { _tag: "ItemAdded", index, lanes: [] },
  { _tag: "LaneStarted", index, lane: { lane: 0, kind: "text", text: "" } }
]

const ended = (index: number, text: string): Statements => [
  { _tag: "LaneEnded", index, lane: 0, kind: "text", text },
  { _tag: "ItemDone", index, lanes: [{ lane: 0, kind: "text", text }] }
]

// Lane 0 is for parameters, which a script does not stream.
const called = (index: number, id: string, { name, params }: Extract<Step, { readonly _tag: "Call" }>): Statements => {
  const lane = {
    lane: 1,
    kind: "single",
    part: { type: "tool-call", id, name, params, providerExecuted: false }
  } as const
  return [
    { _tag: "PartAdded", index, lane },
    { _tag: "ItemDone", index, lanes: [lane] }
  ]
}

// The first place after all items that the script names.
const behindAll = (steps: ReadonlyArray<Step>): number => {
  const named = steps.flatMap((step) => {
    if (step._tag === "Text" || step._tag === "Whole") return [step.item]
    return step._tag === "Event" ? step.event.statements.map(({ index }) => index ?? -1) : []
  })
  return named.reduce((next, index) => Math.max(next, index + 1), 0)
}

const finishOf = (reason: Response.FinishReason, used?: Used): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage:
    used === undefined
      ? { inputTokens: {}, outputTokens: {} }
      : { inputTokens: { total: used.input }, outputTokens: { total: used.output } }
})

const ending = (
  { background, responseId }: Heading,
  { error, reason, shown, status, used }: End,
  output: Output.Output
) => {
  const items = Output.snapshotOf(output)
  const asks = items.some(({ lanes }) => lanes.some((lane) => lane.kind === "single" && isCall(lane)))
  const whole: BackgroundModel.ModelSnapshot = {
    responseId,
    status,
    items,
    finish: finishOf(reason === "stop" && asks ? "tool-calls" : reason, used),
    ...(error === undefined ? {} : { error }),
    ...(background === undefined ? {} : { background })
  }
  return {
    event: shown?.event === undefined ? whole : { ...whole, items: shown.event },
    retrieve: shown?.retrieve === undefined ? whole : { ...whole, items: shown.retrieve }
  }
}

const isCall = ({ part }: BackgroundModel.SingleLane) => part.type === "tool-call"
