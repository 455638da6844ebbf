// Every recorded transcript through the whole of Baton: the sandbox replays it, the provider decodes it, the agent's
// stream is cut after every update, and resumed.
import { Agent, type AgentUpdate, BackgroundModel, RunPolicy, TokenStore } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer, Transcript } from "@effect-baton/sandbox"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, Duration, Effect, Exit, Layer, Option, Redacted, Result, Schedule, Stream, Struct } from "effect"

const directory = Effect.runSync(Effect.option(Config.NonEmptyString("BATON_TRANSCRIPTS")))
const inCi = Effect.runSync(Config.Boolean("CI").pipe(Config.withDefault(false)))

if (Option.isNone(directory)) console.warn("BATON_TRANSCRIPTS is not set: NO recorded transcript is replayed.")

// What was recorded in the foreground is replayed as if it had run in the background: only that can be resumed.
const inBackground = (json: unknown): unknown =>
  JSON.parse(JSON.stringify(json), (key, value: unknown) => (key === "background" && value === false ? true : value))

const recordings = Option.isNone(directory)
  ? []
  : (await Effect.runPromise(Transcript.readDirectory(directory.value).pipe(Effect.provide(NodeServices.layer)))).map(
      (recording) => inBackground(recording) as Transcript.Transcript
    )

/** The whole of Baton over the sandbox, which replays one recording. */
const replaying = (name: string) =>
  Layer.unwrap(
    Effect.map(ResponsesServer.ResponsesServer, ({ url }) =>
      OpenAiBackgroundModel.layer({ model: `transcript:${name}` }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: url }))
      )
    )
  ).pipe(
    Layer.merge(TokenStore.layerMemory),
    Layer.merge(RunPolicy.layer({ pollEvery: Schedule.spaced("1 millis"), checkpointEvery: Duration.zero }))
  )

const agent = Agent.make("replayer", { background: true })

/** What the consumer of a stream was given: the updates, and the failure after them, if there was one. */
const heard = Effect.fnUntraced(function* <E, R>(stream: Stream.Stream<AgentUpdate.AgentUpdate, E, R>) {
  const updates: Array<AgentUpdate.AgentUpdate> = []
  const exit = yield* Effect.exit(Stream.runForEach(stream, (update) => Effect.sync(() => updates.push(update))))
  return { updates, failure: Exit.isSuccess(exit) ? undefined : Option.getOrThrow(Exit.findErrorOption(exit)) }
})

/** An update but for what must differ: the run's id, and how it came. */
const content = (update: AgentUpdate.AgentUpdate) => ({
  ...Struct.omit(update, ["continuationToken", "origin", "runId"]),
  token: Option.map(update.continuationToken, Struct.omit(["incarnation", "runId"]))
})

const streamed = (recording: Transcript.Transcript) => recording.exchanges[0]?.response.events !== undefined
const refused = (recording: Transcript.Transcript) => recording.exchanges[0]?.response.status !== 200

/** Cuts the run after each of its updates, and resumes it by id and by token; answers how many cuts there were. */
const cutEverywhere = Effect.fnUntraced(function* () {
  const whole = yield* heard(Agent.stream(agent, { input: "x", runId: "whole" }))
  assert.isAbove(whole.updates.length, 2)
  for (let k = 1; k < whole.updates.length; k++) {
    for (const by of ["id", "token"] as const) {
      const runId = `${by}-${k}`
      const head = yield* heard(Stream.take(Agent.stream(agent, { input: "x", runId }), k))
      const token = Option.getOrThrow(head.updates.at(-1)!.continuationToken)
      const tail = yield* heard(Agent.resume(agent, by === "id" ? { runId } : { continuationToken: token }))
      assert.deepEqual([...head.updates, ...tail.updates].map(content), whole.updates.map(content), `cut after ${k}`)
      assert.strictEqual(tail.failure?.reason._tag, whole.failure?.reason._tag)
    }
  }
  return (whole.updates.length - 1) * 2
})

/** The same, for what was recorded without a stream: a model that cannot resume one is asked for none. */
const unstreamed = Layer.effect(
  BackgroundModel.BackgroundModel,
  Effect.map(BackgroundModel.BackgroundModel, (model) => ({
    ...model,
    capabilities: { ...model.capabilities, resume: false }
  }))
)

/** Starts the run and polls it to its end. */
const pollToTheEnd = Effect.fnUntraced(function* (recording: Transcript.Transcript) {
  const started = yield* Agent.start(agent, { input: "x", runId: "polled" })
  assert.isTrue(Option.isSome(started.continuationToken))
  const response = yield* Agent.result(agent, { runId: "polled" })
  const output = recording.exchanges.find((exchange) => {
    const { json } = exchange.response
    return json !== undefined && json["status"] === "completed"
  })?.response.json?.["output"] as ReadonlyArray<{ readonly content?: ReadonlyArray<{ readonly text: string }> }>
  assert.strictEqual(response.text, output.flatMap((item) => item.content?.map((part) => part.text) ?? []).join(""))
  assert.strictEqual(response.content.length, output.length)
  assert.isTrue(Option.isNone(response.continuationToken))
  return 0
})

const refuse = Effect.fnUntraced(function* () {
  const result = yield* Effect.result(Agent.run(agent, { input: "x", runId: "refused" }))
  assert.isTrue(Result.isFailure(result) && result.failure.reason._tag === "AiError" && !result.failure.isRetryable)
  return 0
})

describe("recorded transcripts", () => {
  it.live(
    "every update is equal at every cut",
    () =>
      Effect.gen(function* () {
        let cuts = 0
        for (const recording of recordings) {
          const replay = refused(recording) ? refuse() : streamed(recording) ? cutEverywhere() : pollToTheEnd(recording)
          const model = replaying(recording.name)
          const isPolled = !refused(recording) && !streamed(recording)
          cuts += yield* replay.pipe(Effect.provide(isPolled ? Layer.provideMerge(unstreamed, model) : model))
        }
        console.log(`replayed ${recordings.length} transcripts, ${cuts} cuts`)
        if (inCi) assert.isAtLeast(recordings.length, 10)
      }).pipe(Effect.provide(ResponsesServer.layer({ transcripts: recordings }))),
    300_000
  )
})
