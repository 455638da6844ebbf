import { BackgroundModel, type Lane, type ModelEvent, type ModelSnapshot } from "@effect-baton/core/BackgroundModel"
import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Prompt, Response, Tool, Toolkit } from "effect/ai"
import { answers, type Json, over, read, sse } from "./support.ts"

export type Part = Response.StreamPartEncoded

/** The lanes of the items that the events finish, by item and lane. */
export const lanesOfEvents = (events: ReadonlyArray<ModelEvent>): Record<string, Lane> =>
  Object.fromEntries(
    events
      .flatMap(({ statements }) => statements)
      .flatMap((statement) =>
        statement._tag === "ItemDone"
          ? (statement.lanes ?? []).map((lane) => [`${statement.index}/${lane.lane}`, lane] as const)
          : []
      )
  )

/** What the events before the end of an item told of its lanes: the texts of their deltas and ends, and the sources. */
const toldBefore = (events: ReadonlyArray<ModelEvent>) => {
  const deltas = new Map<string, string>()
  const ends = new Map<string, string>()
  const sources = new Map<string, Array<unknown>>()
  for (const statement of events.flatMap(({ statements }) => statements)) {
    const at = (lane: number) => `${statement.index}/${lane}`
    const add = (lane: number, text: string) => deltas.set(at(lane), (deltas.get(at(lane)) ?? "") + text)
    if (statement._tag === "Delta") add(statement.lane, statement.delta)
    if (statement._tag === "LaneStarted") add(statement.lane.lane, statement.lane.text)
    if (statement._tag === "ItemAdded") for (const { lane, text } of statement.lanes) add(lane, text)
    if (statement._tag === "LaneEnded") ends.set(at(statement.lane), statement.text ?? "")
    if (statement._tag === "PartAdded" && statement.lane.kind === "sources") {
      const { from, lane, sources: some } = statement.lane
      const all = sources.get(at(lane)) ?? []
      all.splice(from ?? all.length, some.length, ...some)
      sources.set(at(lane), all)
    }
  }
  return { deltas, ends, sources }
}

export const lanesOfSnapshot = (snapshot: ModelSnapshot | undefined): Record<string, Lane> =>
  Object.fromEntries(
    (snapshot?.items ?? []).flatMap(({ lanes }, item) => lanes.map((lane) => [`${item}/${lane.lane}`, lane] as const))
  )

export const retrieved = (body: unknown) =>
  Effect.flatMap(BackgroundModel, (model) => model.retrieve("resp_1")).pipe(
    Effect.map(({ snapshot }) => snapshot),
    Effect.provide(over(answers(200, body)))
  )

// Toolkits decode a call by its tool. Of other tools, any part is read.
const weather = Response.StreamPart(
  Toolkit.make(Tool.make("get_weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String }))
)
const any = Response.StreamPart()
const decodePart = (part: Part) =>
  Schema.decodeUnknownEffect(part.type === "tool-call" && part.name === "get_weather" ? weather : any)(part)

const partsOfLane = (lane: Lane, id: string): ReadonlyArray<Part> => {
  if (lane.kind === "unread") return []
  if (lane.kind === "single") return [lane.part]
  if (lane.kind === "sources") {
    return lane.sources.flatMap((source, k) => (source === undefined ? [] : [{ ...source, id: `${id}:${k}` }]))
  }
  const metadata = lane.metadata === undefined ? {} : { metadata: lane.metadata }
  if (lane.kind === "params") {
    return [
      { type: "tool-params-start", id, name: lane.name ?? "", ...metadata },
      { type: "tool-params-delta", id, delta: lane.text },
      { type: "tool-params-end", id, ...metadata }
    ]
  }
  return [
    { type: `${lane.kind}-start`, id, ...metadata },
    { type: `${lane.kind}-delta`, id, delta: lane.text },
    { type: `${lane.kind}-end`, id, ...metadata }
  ]
}

/** The parts that a snapshot's lanes become, as `effect/ai` reads them. */
export const partsOf = (snapshot: ModelSnapshot) => {
  const parts = snapshot.items.flatMap(({ lanes }, item) =>
    lanes.flatMap((lane) => partsOfLane(lane, `0:${item}:${lane.lane}`))
  )
  assert.deepEqual(JSON.parse(JSON.stringify(parts)), parts)
  return Effect.forEach(parts, decodePart)
}

/** A response's parts as the next prompt. */
export const promptOf = (body: unknown) =>
  Effect.map(Effect.flatMap(retrieved(body), partsOf), (parts) => Prompt.fromResponseParts(parts))

/** Events and snapshot tell the same, lane by lane, and every part is one that `effect/ai` can read. */
export const sameBothWays = Effect.fnUntraced(function* (events: ReadonlyArray<Json>) {
  const result = yield* read(...events.map(sse))
  assert.isUndefined(result.error)
  assert.strictEqual(result.events.length, events.length)
  const terminal = result.events.at(-1)?.terminal
  assert.isDefined(terminal)
  const lanes = lanesOfEvents(result.events)
  assert.deepEqual(lanes, lanesOfSnapshot(terminal))
  const { deltas, ends, sources } = toldBefore(result.events)
  for (const [place, lane] of Object.entries(lanes)) {
    if (lane.kind === "sources") assert.deepEqual(sources.get(place), [...lane.sources])
    if (lane.kind !== "text" && lane.kind !== "reasoning" && lane.kind !== "params") continue
    assert.strictEqual(deltas.get(place) ?? "", lane.text, place)
    assert.strictEqual(ends.get(place) ?? "", lane.text, place)
  }
  const polled = yield* retrieved(events.at(-1)?.["response"])
  assert.deepEqual(lanesOfSnapshot(polled), lanesOfSnapshot(terminal))
  assert.deepEqual(polled.finish, terminal?.finish)
  yield* partsOf(polled)
  return result.events
})
