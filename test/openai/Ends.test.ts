// How runs end, end to end: an agent over the sandbox, streamed and polled, for who advances a run and for who watches it.
import { Agent, type AgentUpdate, RunPolicy, TokenStore } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer, type SandboxTrouble } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, type Duration, Effect, Fiber, Layer, Option, Redacted, Schedule, Stream } from "effect"
import { analyst, statusOf, textOf } from "../support/runs.ts"

const over = (...troubles: ReadonlyArray<SandboxTrouble.Trouble>) => paced("5 millis", troubles)

const paced = (pace: Duration.Input, troubles: ReadonlyArray<SandboxTrouble.Trouble>) =>
  OpenAiBackgroundModel.layer({ model: "lorem:40" }).pipe(
    Layer.provide(
      Layer.unwrap(
        Effect.map(ResponsesServer.ResponsesServer, ({ url }) =>
          OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: url })
        )
      )
    ),
    Layer.provideMerge(ResponsesServer.layer({ pace, troubles })),
    Layer.merge(TokenStore.layerMemory),
    Layer.merge(RunPolicy.layer({ pollEvery: Schedule.spaced("100 millis") }))
  )

const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }

/** What a consumer is given, and how its stream ended; `begun` once it has a text. */
const heard = Effect.fnUntraced(function* <E extends { readonly reason: { readonly _tag: string } }, R>(
  stream: Stream.Stream<AgentUpdate.AgentUpdate, E, R>,
  begun?: Deferred.Deferred<void>
) {
  const updates: Array<AgentUpdate.AgentUpdate> = []
  const result = yield* Effect.result(
    Stream.runForEach(stream, (update) => {
      updates.push(update)
      return begun === undefined || update.text === "" ? Effect.void : Deferred.succeed(begun, undefined)
    })
  )
  return { updates, reason: result._tag === "Failure" ? result.failure.reason._tag : undefined }
})

const ends: ReadonlyArray<readonly [string, SandboxTrouble.Trouble, string, string | undefined]> = [
  ["failed", { _tag: "End", status: "failed", after: 10 }, "failed", "RunFailed"],
  ["failed, after an error event", { _tag: "ErrorEvent", form: "nested", after: 10 }, "failed", "RunFailed"],
  [
    "failed, told by an error event alone",
    { _tag: "ErrorEvent", form: "flat", after: 10, thenFailed: false },
    "failed",
    "RunFailed"
  ],
  [
    "cancelled, with an event",
    { _tag: "End", status: "cancelled", after: 10, event: true },
    "cancelled",
    "RunCancelled"
  ],
  ["cancelled, without a word", { _tag: "End", status: "cancelled", after: 10 }, "cancelled", "RunCancelled"],
  ["incomplete", { _tag: "End", status: "incomplete", after: 10 }, "incomplete", undefined]
]

describe("a terminal failure is visible in streams", () => {
  it.live.each(ends)("%s: after its last update, to all who come, streamed and polled", ([, trouble, status, reason]) =>
    Effect.gen(function* () {
      const first = yield* heard(Agent.stream(analyst, input))
      assert.strictEqual(first.reason, reason)
      assert.strictEqual(first.updates.at(-1)?.status, status)
      assert.isTrue(Option.isNone(first.updates.at(-1)!.continuationToken))
      assert.strictEqual((yield* heard(Agent.resume(analyst, ref))).reason, reason)
      const watched = yield* heard(Agent.watch(analyst, ref))
      assert.strictEqual(watched.reason, reason)
      assert.strictEqual(textOf(watched.updates), textOf(first.updates))
      assert.strictEqual((yield* Agent.poll(analyst, ref)).status, status)
      const result = yield* Effect.result(Agent.result(analyst, ref))
      assert.strictEqual(result._tag === "Failure" ? result.failure.reason._tag : undefined, reason)
      const started = { ...input, runId: "started" }
      yield* Agent.start(analyst, started)
      const polled = yield* Effect.result(Agent.result(analyst, { runId: "started" }))
      assert.strictEqual(polled._tag === "Failure" ? polled.failure.reason._tag : undefined, reason)
    }).pipe(Effect.provide(over(trouble)))
  )
})

describe("cancel", () => {
  it.live.each([
    ["with the final body", []],
    ["with 400", [{ _tag: "RefuseCancelFinished" }]]
  ] as ReadonlyArray<readonly [string, ReadonlyArray<SandboxTrouble.Trouble>]>)(
    "answered %s because the run was over: told as it ended",
    ([, troubles]) =>
      Effect.gen(function* () {
        const { text } = yield* Agent.run(analyst, input)
        for (const wait of [true, false]) {
          const response = yield* Agent.cancel(analyst, { ...ref, wait })
          assert.strictEqual(response.status, "completed")
          assert.strictEqual(response.text, text)
        }
        assert.strictEqual(yield* statusOf("r"), "completed")
        // The same where nobody streamed it, and the store does not know of the end.
        yield* Agent.start(analyst, { ...input, runId: "started" })
        const server = yield* ResponsesServer.ResponsesServer
        while ((yield* server.ledger).responses[1]?.status !== "completed") yield* Effect.yieldNow
        const response = yield* Agent.cancel(analyst, { runId: "started" })
        assert.strictEqual(response.status, "completed")
        assert.strictEqual(yield* statusOf("started"), "completed")
      }).pipe(Effect.provide(over(...troubles)))
  )

  const forms: ReadonlyArray<readonly [string, ReadonlyArray<SandboxTrouble.Trouble>, string]> = [
    ["that ends the stream with an event", [{ _tag: "CancelEvent" }], "cancelled"],
    ["that ends the stream without a word", [], "cancelled"],
    ["that the provider ignores", [{ _tag: "IgnoreCancel" }], "completed"]
  ]
  it.live.each(forms)("%s, seen by its worker and by a watcher elsewhere", ([, troubles, status]) =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const worker = yield* Effect.forkChild(heard(Agent.stream(analyst, input), begun))
      yield* Deferred.await(begun)
      const watching = yield* Deferred.make<void>()
      const watcher = yield* Effect.forkChild(heard(Agent.watch(analyst, ref), watching))
      yield* Deferred.await(watching)
      const response = yield* Agent.cancel(analyst, ref)
      assert.strictEqual(response.status, status)
      for (const fiber of [worker, watcher]) {
        const { reason, updates } = yield* Fiber.join(fiber)
        assert.strictEqual(reason, status === "cancelled" ? "RunCancelled" : undefined)
        assert.strictEqual(updates.at(-1)?.status, status)
        if (status === "completed") assert.strictEqual(textOf(updates), response.text)
      }
      assert.strictEqual((yield* (yield* ResponsesServer.ResponsesServer).ledger).responses.length, 1)
      // Slow enough that the cancel comes first, on a busy machine too.
    }).pipe(Effect.provide(paced("150 millis", troubles)))
  )
})
