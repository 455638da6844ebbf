import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { readDirectory } from "@effect-baton/sandbox/Transcript"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, Effect, Option } from "effect"
import { retrieved, sameBothWays } from "./lanes.ts"
import { answers, created, over, read, sse } from "./support.ts"

const directory = Effect.runSync(Effect.option(Config.NonEmptyString("BATON_TRANSCRIPTS")))

if (Option.isNone(directory)) {
  console.warn("BATON_TRANSCRIPTS is not set: NO recorded transcript is decoded by these tests.")
}

const recordings = Option.isNone(directory)
  ? []
  : await Effect.runPromise(readDirectory(directory.value).pipe(Effect.provide(NodeServices.layer)))

const exchanges = recordings.flatMap(({ exchanges: recorded, name }) =>
  recorded.map((exchange, i) => ({ ...exchange.response, name: `${name} ${i}` }))
)

describe.skipIf(recordings.length === 0)("recorded transcripts", () => {
  const streamed = exchanges.flatMap(({ events, name }) => (events === undefined ? [] : [{ name, events }]))

  it.effect.each(streamed)("$name: events and snapshot tell the same", ({ events }) =>
    Effect.gen(function* () {
      const first = events[0]?.["type"] === "response.created" ? events : [created(-1), ...events]
      const decodings = yield* sameBothWays(first)
      assert.strictEqual(decodings.at(-1)?.status, events.at(-1)?.["type"]?.toString().replace("response.", ""))
    })
  )

  it.effect("background-stream-resume: what is resumed decodes as what was streamed", () =>
    Effect.gen(function* () {
      const [original, replay] = streamed.filter(({ name }) => name.startsWith("background-stream-resume"))
      const whole = yield* read(...original!.events.map(sse))
      const again = yield* read(sse(created(0)), ...replay!.events.map(sse))
      assert.deepEqual(again.events.slice(1), whole.events.slice(1))
    })
  )

  const polled = exchanges.flatMap(({ json, name, status }) =>
    status === 200 && json !== undefined ? [{ name, json }] : []
  )

  it.effect.each(polled)("$name: the snapshot is read whole", ({ json }) =>
    Effect.gen(function* () {
      const snapshot = yield* retrieved(json)
      const text = snapshot.items.flatMap(({ lanes }) =>
        lanes.flatMap((lane) => (lane.kind === "text" || lane.kind === "params" ? lane.text : []))
      )
      const items = json["output"] as ReadonlyArray<{ arguments?: string; content?: ReadonlyArray<{ text: string }> }>
      assert.deepEqual(
        text,
        items.flatMap((item) => item.arguments ?? item.content?.map((part) => part.text) ?? [])
      )
    })
  )

  const refused = exchanges.flatMap(({ json, name, status }) => (status === 200 ? [] : [{ name, json, status }]))

  it.effect.each(refused)("$name: $status", ({ json, status }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.flatMap(BackgroundModel, (model) => model.retrieve("resp_1"))).pipe(
        Effect.provide(over(answers(status, json)))
      )
      assert.strictEqual(
        error._tag === "AiError" && error.reason._tag,
        status === 401 ? "AuthenticationError" : "InvalidRequestError"
      )
    })
  )
})
