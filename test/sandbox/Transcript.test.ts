import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { readDirectory, type Transcript, TranscriptError } from "@effect-baton/sandbox/Transcript"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, Effect, Option } from "effect"
import type { ResponseCreateParamsNonStreaming } from "openai/resources/responses/responses"
import { call, connect, created, heard, idOf, refused, resumed } from "./sdk.ts"

const directory = Effect.runSync(Effect.option(Config.NonEmptyString("BATON_TRANSCRIPTS")))

if (Option.isNone(directory)) {
  console.warn("BATON_TRANSCRIPTS is not set: NO recorded transcript is replayed by these tests.")
}

const recordings = Option.isNone(directory)
  ? []
  : await Effect.runPromise(readDirectory(directory.value).pipe(Effect.provide(NodeServices.layer)))

const named = (name: string) => recordings.find((recording) => recording.name === name)?.exchanges ?? []

const replay = Effect.provide(ResponsesServer.layer({ transcripts: recordings }))

const body = (name: string, exchange: Transcript["exchanges"][number] | undefined) =>
  ({ input: "x", ...exchange?.request.body, model: `transcript:${name}` }) as ResponseCreateParamsNonStreaming

describe("Transcript", () => {
  it.effect("says which path cannot be read", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(readDirectory("/nowhere"))
      assert.instanceOf(error, TranscriptError)
      assert.strictEqual(error.path, "/nowhere")
    }).pipe(Effect.provide(NodeServices.layer))
  )
})

describe.skipIf(recordings.length === 0)("recorded transcripts, replayed", () => {
  const streamed = recordings.flatMap(({ exchanges, name }) => {
    const events = exchanges[0]?.response.events
    return events === undefined || name === "stream-nested-error-quota"
      ? []
      : [{ name, events, exchange: exchanges[0] }]
  })

  it.live.each(streamed)("$name streams its payloads", ({ events, exchange, name }) =>
    Effect.gen(function* () {
      const client = yield* connect
      const params = body(name, exchange)
      const whole = yield* heard(() => client.responses.create({ ...params, stream: true }))
      assert.isUndefined(whole.error)
      assert.deepEqual<unknown>(whole.events, events)
    }).pipe(replay)
  )

  it.live("the recorded resume is answered as it was, and so is every other cut", () =>
    Effect.gen(function* () {
      const [create, get] = named("background-stream-resume")
      const client = yield* connect
      const whole = yield* created(client, {
        ...body("background-stream-resume", create),
        background: true
      })
      const again = yield* resumed(client, idOf(whole), 0)
      assert.deepEqual<unknown>(again.events, get?.response.events)
      for (const [cut] of whole.events.entries()) {
        assert.deepStrictEqual((yield* resumed(client, idOf(whole), cut)).events, whole.events.slice(cut + 1))
      }
    }).pipe(replay)
  )

  it.live("a stream followed by a poll gives the recorded body", () =>
    Effect.gen(function* () {
      const [create, get] = named("background-stream-then-poll")
      const client = yield* connect
      const whole = yield* created(client, { ...body("background-stream-then-poll", create), background: true })
      assert.deepEqual(yield* call(() => client.get(`/responses/${idOf(whole)}?stream=false`)), get?.response.json)
    }).pipe(replay)
  )

  it.live.each(["background-poll", "background-poll-reasoning"])("%s is polled to its end as recorded", (name) =>
    Effect.gen(function* () {
      const [create, ...gets] = named(name)
      const client = yield* connect
      const params = body(name, create)
      const accepted = yield* call(() => client.post("/responses", { body: params }))
      assert.deepEqual(accepted, create?.response.json)
      const { id } = accepted as { readonly id: string }
      for (const get of [...gets, gets.at(-1)]) {
        assert.deepEqual(yield* call(() => client.get(`/responses/${id}`)), get?.response.json)
      }
    }).pipe(replay)
  )

  it.live("a recorded tool turn: the create that brings results gets the second answer", () =>
    Effect.gen(function* () {
      const exchanges = named("background-poll-function-tool")
      const client = yield* connect
      for (const { request, response } of exchanges) {
        const answer =
          request.method === "POST"
            ? client.post("/responses", {
                body: { ...request.body, model: "transcript:background-poll-function-tool" }
              })
            : client.get(request.path.slice("/v1".length))
        assert.deepEqual(yield* call(() => answer), response.json)
      }
    }).pipe(replay)
  )

  it.live.each(["error-400-mutually-exclusive", "error-401-invalid-key"])("%s is refused as recorded", (name) =>
    Effect.gen(function* () {
      const [create] = named(name)
      const client = yield* connect
      const params = body(name, create)
      const error = yield* refused(() => client.post("/responses", { body: params }))
      assert.strictEqual(error.status, create?.response.status)
      assert.deepEqual({ error: error.error }, create?.response.json)
    }).pipe(replay)
  )

  it.live("a nested error makes the SDK throw", () =>
    Effect.gen(function* () {
      const [create] = named("stream-nested-error-quota")
      const client = yield* connect
      const params = body("stream-nested-error-quota", create)
      const { error, events } = yield* heard(() => client.responses.create({ ...params, stream: true }))
      assert.strictEqual(events.length, 2)
      assert.include(String(error), "exceeded your current quota")
    }).pipe(replay)
  )
})
