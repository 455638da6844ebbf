// What bad input gets: a typed error each, whose message says what to do.
import {
  Agent,
  type AgentError,
  AgentResponse,
  AgentUpdate,
  type BackgroundModel,
  RunPolicy,
  Session,
  TokenStore
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Equal, Layer, Option, Schema, Stream, Struct } from "effect"
import { analyst, count, plain, recordOf, textOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const over = (steps: ReadonlyArray<ScriptedModel.Step>, options?: ScriptedModel.Options) =>
  Layer.merge(ScriptedModel.layer(steps, options), TokenStore.layerMemory)

type Services = BackgroundModel.BackgroundModel | TokenStore.TokenStore

const refusal = <A>(effect: Effect.Effect<A, AgentError.AgentError, Services>) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(effect)
    assert.strictEqual(error._tag, "AgentError")
    assert.isAbove(error.message.length, 20)
    assert.isBelow(error.message.length, 1000)
    assert.isFalse(error.isRetryable)
    return error.reason
  })

describe("bad input", () => {
  const inputs: Record<string, Agent.RunInput["input"]> = {
    "an empty text": "",
    "a blank text": " \n\t",
    "no messages": [],
    "a message without content": [{ role: "user", content: [] }],
    "instructions alone": [{ role: "system", content: "Be brief." }],
    // @ts-expect-error a JavaScript caller may pass anything
    "no prompt": { hello: "world" },
    // @ts-expect-error a JavaScript caller may pass anything
    "no message": [{ role: "pirate", content: "Arr" }]
  }
  it.effect.each(Object.entries(inputs))("%s", ([, input]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* refusal(Stream.runDrain(Agent.stream(analyst, { input }))))._tag, "InvalidInput")
      assert.strictEqual((yield* refusal(Agent.start(analyst, { input })))._tag, "InvalidInput")
      assert.strictEqual(yield* count("create"), 0)
    }).pipe(Effect.provide(over([completed])))
  )

  const runIds: Record<string, string> = {
    "an empty run id": "",
    "a run id with slashes": "a/b",
    "a run id of 10,000 characters": "r".repeat(10_000),
    "a run id with a line break": "a\nb",
    "a run id with half a character": "a\ud83d"
  }
  it.effect.each(Object.entries(runIds))("%s", ([, runId]) =>
    Effect.gen(function* () {
      for (const verb of [
        Stream.runDrain(Agent.stream(analyst, { input: "Hello", runId })),
        Stream.runDrain(Agent.resume(analyst, { runId })),
        Stream.runDrain(Agent.watch(analyst, { runId })),
        Agent.poll(analyst, { runId }),
        Agent.cancel(analyst, { runId }),
        Agent.remove(analyst, { runId })
      ]) {
        assert.strictEqual((yield* refusal<unknown>(verb))._tag, "InvalidInput")
      }
      assert.strictEqual(yield* count("create"), 0)
    }).pipe(Effect.provide(over([completed])))
  )

  it.effect("an unknown run id, for every verb", () =>
    Effect.gen(function* () {
      const ref = { runId: "unknown" }
      for (const verb of [
        Stream.runDrain(Agent.resume(analyst, ref)),
        Stream.runDrain(Agent.watch(analyst, ref)),
        Agent.poll(analyst, ref),
        Agent.result(analyst, ref),
        Agent.cancel(analyst, ref),
        Agent.remove(analyst, ref)
      ]) {
        assert.strictEqual((yield* refusal<unknown>(verb))._tag, "RunNotFound")
      }
    }).pipe(Effect.provide(over([completed])))
  )

  it.effect("a run of another agent", () =>
    Effect.gen(function* () {
      yield* passing(Agent.run(analyst, { input: "Hello", runId: "r" }))
      const other = Agent.make("other", { background: true })
      assert.strictEqual((yield* refusal(Agent.poll(other, { runId: "r" })))._tag, "RunNotFound")
      assert.strictEqual((yield* refusal(Agent.run(other, { input: "Hello", runId: "r" })))._tag, "RunInputMismatch")
    }).pipe(Effect.provide(over([completed])))
  )

  it.effect("poll with new input beside the token: refused, and so is a start with a token beside its input", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 1)))
      const continuationToken = (yield* recordOf("r")).position
      // @ts-expect-error a continued run takes no input
      const beside = Agent.poll(analyst, { continuationToken, input: "More" })
      assert.strictEqual((yield* refusal(beside))._tag, "InvalidInput")
      // @ts-expect-error a new run has no token
      const both = Agent.run(analyst, { input: "More", continuationToken })
      assert.strictEqual((yield* refusal(both))._tag, "InvalidInput")
    }).pipe(Effect.provide(over([text("a"), completed])))
  )

  it.effect("an agent's name that is empty or too long for a token", () =>
    Effect.gen(function* () {
      for (const name of ["", "n".repeat(65), "é".repeat(33), "a\u0000b", "a\nb"]) {
        assert.strictEqual((yield* refusal(Agent.run(Agent.make(name), { input: "Hello" })))._tag, "InvalidInput")
      }
    }).pipe(Effect.provide(over([completed])))
  )

  it.effect("a provider without background support: refused, unless the call asks for none", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* refusal(Agent.run(analyst, { input: "Hello" })))._tag, "BackgroundUnsupported")
      assert.strictEqual((yield* refusal(Agent.start(analyst, { input: "Hello" })))._tag, "BackgroundUnsupported")
      assert.strictEqual(yield* count("create"), 0)
      const response = yield* passing(Agent.run(analyst, { input: "Hello", background: false }))
      assert.strictEqual(response.text, "a")
    }).pipe(Effect.provide(over([text("a"), completed], { capabilities: { background: false } })))
  )

  it.effect("another version of the agent: refused while the run is under way, unless the policy allows it", () =>
    Effect.gen(function* () {
      const agent = (version: string) => Agent.make("analyst", { background: true, version })
      const input = { input: "Hello", runId: "r" }
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(agent("1"), input), 3)))
      assert.strictEqual(
        (yield* passing(refusal(Stream.runDrain(Agent.resume(agent("2"), { runId: "r" })))))._tag,
        "AgentChanged"
      )
      const allowed = Agent.run(agent("2"), input).pipe(Effect.provide(RunPolicy.layer({ onAgentChanged: "continue" })))
      assert.strictEqual((yield* passing(allowed)).text, "a")
    }).pipe(Effect.provide(over([text("a"), pause("1 second"), completed])))
  )
})

describe("background", () => {
  it.effect("asked at both the agent and the call: the call wins, and a foreground run has no tokens", () =>
    Effect.gen(function* () {
      const updates = yield* passing(
        Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "fore", background: false }))
      )
      assert.isTrue(updates.every((update) => Option.isNone(update.continuationToken)))
      assert.strictEqual(textOf(updates), "a")
      const plainAgent = Agent.make("plain")
      const [first] = yield* passing(
        Stream.runCollect(Stream.take(Agent.stream(plainAgent, { input: "Hello", background: true }), 1))
      )
      assert.isTrue(Option.isSome(first!.continuationToken))
    }).pipe(Effect.provide(over([text("a"), completed])))
  )
})

describe("sessions", () => {
  it.effect("a finished run extends its session, and the next run continues it once", () =>
    Effect.gen(function* () {
      const first = yield* passing(Agent.run(analyst, { input: "One", session: Session.make() }))
      assert.deepStrictEqual(first.session, { previousResponseId: "resp_1" })
      yield* passing(
        Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Two", runId: "two", session: first.session }), 3))
      )
      yield* passing(Stream.runDrain(Agent.resume(analyst, { runId: "two" })))
      const second = yield* Agent.result(analyst, { runId: "two" })
      assert.deepStrictEqual(second.session, { previousResponseId: "resp_2" })
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const creates = (yield* ledger).flatMap(({ operation, request }) => (operation === "create" ? [request] : []))
      assert.deepStrictEqual(
        creates.map((request) => request?.previousResponseId),
        [undefined, "resp_1"]
      )
    }).pipe(Effect.provide(over([text("a"), completed])))
  )
})

describe("updates and responses", () => {
  it.effect("survive JSON", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId: "r" })))
      const response = yield* Agent.result(analyst, { runId: "r" })
      const Updates = Schema.toCodecJson(Schema.Array(AgentUpdate.AgentUpdate))
      const Response = Schema.toCodecJson(AgentResponse.AgentResponse)
      const again = <T, E>(schema: Schema.Codec<T, E>, value: T) =>
        Schema.encodeEffect(schema)(value).pipe(
          Effect.map((encoded) => JSON.parse(JSON.stringify(encoded))),
          Effect.flatMap(Schema.decodeUnknownEffect(schema))
        )
      assert.isTrue(Equal.equals(yield* again(Updates, updates), updates))
      assert.deepEqual(yield* again(Response, response), response)
    }).pipe(Effect.provide(over([text("a"), text(["b", "c"]), completed])))
  )

  it.effect("are the same with tracing and without, tokens too, streamed and polled", () =>
    Effect.gen(function* () {
      const read = (runId: string) => passing(Stream.runCollect(Agent.stream(analyst, { input: "Hello", runId })))
      const without = plain(yield* read("plain").pipe(Effect.withTracerEnabled(false)))
      assert.deepStrictEqual(plain(yield* read("traced").pipe(Effect.withSpan("test"))), without)
      const look = (runId: string) =>
        Effect.gen(function* () {
          const started = yield* Agent.start(analyst, { input: "Hello", runId })
          const polled = yield* passing(Agent.result(analyst, { runId }))
          return [started, polled].map((response) => ({
            text: response.text,
            token: Option.map(response.continuationToken, Struct.omit(["incarnation", "runId"]))
          }))
        })
      assert.deepStrictEqual(
        yield* look("polled, traced").pipe(Effect.withSpan("test")),
        yield* look("polled").pipe(Effect.withTracerEnabled(false))
      )
    }).pipe(Effect.provide(over([text("a"), text("b"), completed])))
  )
})
