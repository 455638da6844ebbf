import type { BackgroundModel, Run } from "@effect-baton/core"
import { Cause, Clock, Duration, Effect, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import type { Step } from "./step.ts"

export interface Entry {
  readonly at: number
  readonly cut?: "disconnect" | AiError.AiError
  readonly event?: BackgroundModel.ModelEvent
}

export interface Played {
  readonly responseId: string
  readonly createdAt: number
  readonly entries: ReadonlyArray<Entry>
  readonly spent: Set<Entry>
  readonly streamed: boolean
  cancelledAt: number | undefined
}

/** The events after a number, at their times; each cut ends one connection. */
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
            // Whole milliseconds: where the clock stands between two, what is left can be too short to move it at all.
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

/** The response as it stands now. */
export const snapshot = Effect.fnUntraced(function* (played: Played) {
  const now = yield* Clock.currentTimeMillis
  const until = Math.min(now, played.cancelledAt ?? now)
  let status: Run.RunStatus = "queued"
  for (const { at, event } of played.entries) {
    if (at > until || (played.cancelledAt !== undefined && at >= played.cancelledAt)) break
    if (event?.terminal !== undefined) return event.terminal
    status = event?.status ?? status
  }
  return {
    responseId: played.responseId,
    status: played.cancelledAt === undefined ? status : ("cancelled" as const),
    lanes: []
  }
})

// Behind all texts, whose items a script names itself.
const firstCall = 1000

/** What a script's steps make the provider say, and when. */
export const compile = (responseId: string, steps: ReadonlyArray<Step>, start: number): ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  const texts = new Map<number, { text: string; open: boolean }>()
  const calls: Array<BackgroundModel.SnapshotLane> = []
  let at = start
  let number = 0
  const say = (event: Omit<BackgroundModel.ModelEvent, "sequenceNumber">) =>
    entries.push({ at, event: { sequenceNumber: number++, ...event } })
  const finish = (item: number) => {
    const known = texts.get(item)
    if (known === undefined || !known.open) return
    known.open = false
    const part = { type: "text-end", id: `text_${item}` } as const
    say({ parts: [{ item, lane: 0, part, whole: known.text }], closes: item })
  }
  say({ parts: [], status: "queued", responseId })
  if (steps[0]?._tag !== "Queued") say({ parts: [], status: "in_progress", responseId })
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
        const id = `text_${step.item}`
        const known = texts.get(step.item) ?? { text: "", open: true }
        if (!texts.has(step.item)) {
          texts.set(step.item, known)
          say({ parts: [{ item: step.item, lane: 0, part: { type: "text-start", id } }] })
        }
        known.text += step.deltas.join("")
        say({
          parts: step.deltas.map((delta) => ({ item: step.item, lane: 0, part: { type: "text-delta", id, delta } }))
        })
        break
      }
      case "Close":
        finish(step.item)
        break
      case "Call": {
        const item = firstCall + calls.length
        const part = {
          type: "tool-call",
          id: step.callId ?? `call_${calls.length + 1}`,
          name: step.name,
          params: step.params,
          providerExecuted: false
        } as const
        calls.push({ item, lane: 0, parts: [part] })
        say({ parts: [{ item, lane: 0, part }], closes: item })
        break
      }
      case "End": {
        for (const item of texts.keys()) finish(item)
        const finishPart: Response.FinishPartEncoded | undefined =
          step.reason === undefined
            ? undefined
            : {
                type: "finish",
                reason: step.reason === "stop" && calls.length > 0 ? "tool-calls" : step.reason,
                usage: { inputTokens: {}, outputTokens: {} }
              }
        const terminal: BackgroundModel.ModelSnapshot = {
          responseId,
          status: step.status,
          lanes: [
            ...[...texts].map(([item, { text }]) => ({ item, lane: 0, parts: whole(`text_${item}`, text) })),
            ...calls
          ],
          ...(finishPart === undefined ? {} : { finish: finishPart }),
          ...(step.error === undefined ? {} : { error: step.error })
        }
        say({
          parts: finishPart === undefined ? [] : [{ part: finishPart }],
          status: step.status,
          responseId,
          terminal
        })
        return entries
      }
    }
  }
  return entries
}

const whole = (id: string, text: string): ReadonlyArray<Response.StreamPartEncoded> => [
  { type: "text-start", id },
  { type: "text-delta", id, delta: text },
  { type: "text-end", id }
]
