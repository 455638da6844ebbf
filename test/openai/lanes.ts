import { BackgroundModel, type ModelEvent, type ModelSnapshot } from "@effect-baton/core/BackgroundModel"
import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Response, Tool, Toolkit } from "effect/ai"
import { answers, type Json, over, read, sse } from "./support.ts"

export type Part = Response.StreamPartEncoded

// Parts with the deltas of one id joined: what a lane holds, however it came.
const joined = (parts: ReadonlyArray<Part>): ReadonlyArray<Part> =>
  parts.reduce<Array<Part>>((all, part) => {
    const last = all.at(-1)
    if (last !== undefined && "delta" in last && "delta" in part && last.type === part.type && last.id === part.id) {
      all[all.length - 1] = { ...last, delta: last.delta + part.delta }
    } else {
      all.push(part)
    }
    return all
  }, [])

export const lanesOfEvents = (events: ReadonlyArray<ModelEvent>) => {
  const lanes = new Map<string, Array<Part>>()
  for (const { item, lane, part } of events.flatMap(({ parts }) => parts)) {
    if (item === undefined) continue
    const key = `${item}/${lane}`
    lanes.set(key, [...(lanes.get(key) ?? []), part])
  }
  return Object.fromEntries([...lanes].map(([key, parts]) => [key, joined(parts)]))
}

const lanesOfSnapshot = (snapshot: ModelSnapshot | undefined) =>
  Object.fromEntries((snapshot?.lanes ?? []).map(({ item, lane, parts }) => [`${item}/${lane}`, joined(parts)]))

export const retrieved = (body: unknown) =>
  Effect.flatMap(BackgroundModel, (model) => model.retrieve("resp_1")).pipe(
    Effect.map(({ snapshot }) => snapshot),
    Effect.provide(over(answers(200, body)))
  )

// Toolkits decode a call by its tool.
const Decodable = Response.StreamPart(
  Toolkit.make(
    Tool.make("get_weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String }),
    Tool.make("shell", { parameters: Schema.String, success: Schema.String })
  )
)

/** Events and snapshot tell the same, lane by lane, and every part is one that `effect/ai` can read. */
export const sameBothWays = Effect.fnUntraced(function* (events: ReadonlyArray<Json>) {
  const result = yield* read(...events.map(sse))
  assert.isUndefined(result.error)
  assert.strictEqual(result.events.length, events.length)
  const terminal = result.events.at(-1)?.terminal
  assert.isDefined(terminal)
  assert.deepEqual(lanesOfEvents(result.events), lanesOfSnapshot(terminal))
  const polled = yield* retrieved(events.at(-1)?.["response"])
  assert.deepEqual(lanesOfSnapshot(polled), lanesOfSnapshot(terminal))
  assert.deepEqual(polled.finish, terminal?.finish)
  const parts = result.events.flatMap((event) => event.parts.map(({ part }) => part))
  assert.deepEqual(JSON.parse(JSON.stringify(parts)), parts)
  yield* Schema.decodeUnknownEffect(Schema.Array(Decodable))(parts)
  return result.events
})
