import { BackgroundModel, type ModelEvent } from "@effect-baton/core/BackgroundModel"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import type { Trouble } from "@effect-baton/sandbox/SandboxTrouble"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { Prompt } from "effect/ai"
import { heard, key, reasonOf, request } from "./support.ts"

const over = (client: (server: ResponsesServer["Service"]) => ReturnType<typeof OpenAiClient.layer>) =>
  OpenAiBackgroundModel.layer({ model: "lorem:20" }).pipe(
    Layer.provide(Layer.unwrap(Effect.map(ResponsesServer, client))),
    Layer.provideMerge(ResponsesServer.layer({ pace: "1 millis" }))
  )

const sandbox = over(({ url }) => OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl: url }))

const troubled = Effect.fnUntraced(function* (...troubles: ReadonlyArray<Trouble>) {
  yield* (yield* ResponsesServer).setTroubles(troubles)
})

const model = BackgroundModel

const whole = Effect.flatMap(model, ({ create }) => heard(create(request())))

const statementsOf = (events: ReadonlyArray<ModelEvent>) => events.flatMap(({ statements }) => statements)

const textOf = (events: ReadonlyArray<ModelEvent>): string =>
  statementsOf(events)
    .map((statement) => (statement._tag === "Delta" && statement.kind === "text" ? statement.delta : ""))
    .join("")

const idOf = (events: ReadonlyArray<ModelEvent>): string => events.find((event) => event.responseId)?.responseId ?? ""

describe("against the sandbox", () => {
  it.live("a response is resumed at every position as it was streamed", () =>
    Effect.gen(function* () {
      const { resume } = yield* model
      const { error, events } = yield* whole
      assert.isUndefined(error)
      assert.strictEqual(events.at(-1)?.status, "completed")
      for (const [i, { sequenceNumber }] of events.entries()) {
        const rest = yield* heard(resume(idOf(events), { after: sequenceNumber ?? -1 }))
        assert.isUndefined(rest.error)
        assert.deepEqual(rest.events, events.slice(i + 1))
      }
      assert.deepEqual((yield* heard(resume(idOf(events), {}))).events, events)
    }).pipe(Effect.provide(sandbox))
  )

  it.live("a snapshot holds what was streamed, and a removed response is gone", () =>
    Effect.gen(function* () {
      const { cancel, remove, resume, retrieve } = yield* model
      const { events } = yield* whole
      const id = idOf(events)
      const { snapshot } = yield* retrieve(id)
      const terminal = events.at(-1)?.terminal
      assert.deepEqual(snapshot.items, terminal?.items)
      assert.deepEqual(snapshot.finish, terminal?.finish)
      assert.strictEqual(
        snapshot.items.flatMap(({ lanes }) => lanes.map((lane) => (lane.kind === "text" ? lane.text : ""))).join(""),
        textOf(events)
      )
      assert.strictEqual(yield* cancel(id), "already over")
      yield* troubled({ _tag: "RefuseCancelFinished" })
      assert.strictEqual(reasonOf(yield* Effect.flip(cancel(id)))?._tag, "InvalidRequestError")
      yield* remove(id)
      yield* remove(id)
      assert.strictEqual((yield* Effect.flip(retrieve(id)))._tag, "ResponseGone")
      assert.strictEqual((yield* Effect.flip(cancel(id)))._tag, "ResponseGone")
      assert.strictEqual((yield* heard(resume(id, {}))).error?._tag, "ResponseGone")
    }).pipe(Effect.provide(sandbox))
  )

  it.live("a tool's turn: the call, its result, and the answer", () =>
    Effect.gen(function* () {
      const { create } = yield* model
      const tool = { type: "function", name: "weather", parameters: { type: "object", properties: {} }, strict: false }
      const options = { model: "analyst", tools: [tool] }
      const prompt = Prompt.make('call: weather {"city":"Paris"}')
      const first = yield* heard(create(request({ prompt, options })))
      const calls = statementsOf(first.events)
        .flatMap((statement) => (statement._tag === "ItemDone" ? (statement.lanes ?? []) : []))
        .flatMap((lane) => (lane.kind === "single" && lane.part.type === "tool-call" ? [lane.part] : []))
      assert.deepEqual(
        calls.map(({ name, params }) => ({ name, params })),
        [{ name: "weather", params: { city: "Paris" } }]
      )
      assert.strictEqual(first.events.at(-1)?.terminal?.finish?.reason, "tool-calls")
      const result = Prompt.make([
        {
          role: "tool",
          content: [{ type: "tool-result", id: calls[0]?.id ?? "", name: "weather", result: "rain", isFailure: false }]
        }
      ])
      const second = yield* heard(create(request({ prompt: result, options, previousResponseId: idOf(first.events) })))
      assert.isUndefined(second.error)
      assert.strictEqual(second.events.at(-1)?.status, "completed")
      assert.isNotEmpty(textOf(second.events))
    }).pipe(Effect.provide(sandbox))
  )

  const harmless: ReadonlyArray<Trouble> = [
    { _tag: "SplitBytes", every: 1 },
    { _tag: "Crlf" },
    { _tag: "NoFinalBlankLine" },
    { _tag: "Keepalives", before: 3, every: 4 },
    { _tag: "UnknownEvents", every: 3 }
  ]

  it.live.each(harmless)("$_tag does no harm", (trouble) =>
    Effect.gen(function* () {
      const plain = yield* whole
      yield* troubled(trouble)
      const { error, events } = yield* whole
      assert.isUndefined(error)
      assert.strictEqual(events.at(-1)?.terminal?.status, "completed")
      assert.strictEqual(textOf(events), textOf(plain.events))
    }).pipe(Effect.provide(sandbox))
  )

  const cuts: ReadonlyArray<Trouble> = [
    { _tag: "EndEarly", after: 8, times: 1 },
    { _tag: "HalfEvent", after: 8, times: 1 },
    { _tag: "Reset", after: 8, times: 1 }
  ]

  it.live.each(cuts)("after $_tag the rest is there for the asking", (trouble) =>
    Effect.gen(function* () {
      const { resume } = yield* model
      yield* troubled(trouble)
      const { error, events: all_ } = yield* whole
      const events = all_.filter((event) => event.keepalive !== true)
      if (error !== undefined) assert.strictEqual(reasonOf(error)?._tag, "NetworkError")
      assert.isUndefined(events.at(-1)?.terminal)
      const rest = yield* heard(resume(idOf(events), { after: events.at(-1)?.sequenceNumber ?? -1 }))
      assert.isUndefined(rest.error)
      const all = [...events, ...rest.events]
      assert.deepEqual(
        all.map(({ sequenceNumber }) => sequenceNumber),
        all.map((_, i) => i)
      )
      assert.strictEqual(all.at(-1)?.terminal?.status, "completed")
    }).pipe(Effect.provide(sandbox))
  )

  it.live("a dropped create request is unconfirmed, a refused replay is told, a wish for polling is heard", () =>
    Effect.gen(function* () {
      const { resume, retrieve } = yield* model
      yield* troubled({ _tag: "DropBeforeHeaders", on: "create" })
      assert.strictEqual((yield* whole).error?._tag, "CreateUnconfirmed")
      yield* troubled({ _tag: "RefuseReplay" }, { _tag: "PollAfter", millis: 700 })
      const id = idOf((yield* whole).events)
      assert.strictEqual((yield* heard(resume(id, { after: 3 }))).error?._tag, "ReplayUnavailable")
      assert.isDefined((yield* retrieve(id)).pollAfter)
    }).pipe(Effect.provide(sandbox))
  )

  it.live.each([undefined, "2025-04-01-preview"])("through Azure's routes, api version %s", (apiVersion) =>
    Effect.gen(function* () {
      const { model: name, provider, resume } = yield* model
      assert.deepStrictEqual([provider, name], ["azure.ai.openai", "lorem:20"])
      const { error, events } = yield* whole
      assert.isUndefined(error)
      assert.strictEqual(events.at(-1)?.status, "completed")
      assert.deepEqual((yield* heard(resume(idOf(events), { after: 4 }))).events, events.slice(5))
    }).pipe(
      Effect.provide(
        over(({ origin }) => OpenAiClient.layerAzure({ endpoint: origin, apiKey: Redacted.make(key), apiVersion }))
      )
    )
  )

  it.live("cancelling is asked for, and its end is seen", () =>
    Effect.gen(function* () {
      const { cancel, create, retrieve } = yield* model
      const [first] = yield* Stream.runCollect(Stream.take(create(request({ options: { model: "lorem:5000" } })), 1))
      const id = first?.responseId ?? ""
      assert.strictEqual(yield* cancel(id), "requested")
      assert.strictEqual((yield* retrieve(id)).snapshot.status, "cancelled")
    }).pipe(Effect.provide(sandbox))
  )
})
