import { Agent, type AgentError, ContinuationToken, Run, SignedTokens, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Redacted, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { analyst, count, recordOf, type Services, textOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"
import { answering, lookup, ownCalls, planner, thenTurn } from "../support/turns.ts"

const { decode, encode } = ContinuationToken
const key = (id: string) => ({ id, secret: Redacted.make(`secret ${id}, long enough to be one`) })
const token = ContinuationToken.start("analyst", Run.RunId.make("r"), 1)
const sealed = (options: SignedTokens.Options) => encode(token).pipe(Effect.provide(SignedTokens.layer(options)))
const opened = (text: string, options: SignedTokens.Options) =>
  decode(text).pipe(Effect.provide(SignedTokens.layer(options)))
const kindOf = (text: string, options: SignedTokens.Options) =>
  Effect.map(Effect.flip(opened(text, options)), (error) => ("kind" in error ? error.kind : error._tag))

describe("SignedTokens", () => {
  it.effect("opens what it sealed, and nothing that was changed, at any place", () =>
    Effect.gen(function* () {
      const text = yield* sealed({ keys: [key("1")], expiresAfter: "1 hour" })
      assert.deepStrictEqual(yield* opened(text, { keys: [key("1")] }), token)
      for (let i = 0; i < text.length; i++) {
        const changed = text.slice(0, i) + (text[i] === "A" ? "B" : "A") + text.slice(i + 1)
        assert.strictEqual(yield* kindOf(changed, { keys: [key("1")] }), "signature", `changed at ${i}`)
        assert.include(["signature", "empty"], yield* kindOf(text.slice(0, i), { keys: [key("1")] }), `cut at ${i}`)
      }
    })
  )

  it.effect("refuses plain tokens", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* kindOf(yield* encode(token), { keys: [key("1")] }), "signature")
    })
  )

  it.effect("rotates keys: the first signs, all are accepted, and one that is gone is not", () =>
    Effect.gen(function* () {
      const old = yield* sealed({ keys: [key("1")] })
      const both = { keys: [key("2"), key("1")] } as const
      assert.deepStrictEqual(yield* opened(old, both), token)
      const next = yield* sealed(both)
      assert.match(next, /^s1\.2\./)
      assert.deepStrictEqual(yield* opened(next, { keys: [key("2")] }), token)
      assert.strictEqual(yield* kindOf(old, { keys: [key("2")] }), "signature")
      // Another secret under the same name is another key.
      assert.strictEqual(yield* kindOf(old, { keys: [{ id: "1", secret: Redacted.make("another") }] }), "signature")
    })
  )

  it.effect("expires, with leeway", () =>
    Effect.gen(function* () {
      const keys = [key("1")] as const
      const text = yield* sealed({ keys, expiresAfter: "1 hour" })
      yield* TestClock.adjust("60 minutes")
      assert.deepStrictEqual(yield* opened(text, { keys, leeway: 0 }), token)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* opened(text, { keys }), token)
      assert.strictEqual(yield* kindOf(text, { keys, leeway: "10 seconds" }), "expired")
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* kindOf(text, { keys }), "expired")
    })
  )

  it.effect("binds to an audience that it does not tell", () =>
    Effect.gen(function* () {
      const keys = [key("1")] as const
      const text = yield* sealed({ keys, audience: "tenant-a" })
      assert.notInclude(text, "tenant-a")
      assert.deepStrictEqual(yield* opened(text, { keys, audience: "tenant-a" }), token)
      assert.strictEqual(yield* kindOf(text, { keys, audience: "tenant-b" }), "signature")
      assert.strictEqual(yield* kindOf(text, { keys }), "signature")
    })
  )

  it.effect("refuses keys that cannot be used, without telling them", () =>
    Effect.gen(function* () {
      for (const bad of [
        { ...key("1"), id: "a.b" },
        { ...key("1"), id: "" },
        { id: "1", secret: Redacted.make("") }
      ]) {
        const error = yield* Effect.flip(sealed({ keys: [bad] }))
        assert.strictEqual(error._tag, "InvalidInput")
        assert.notInclude(error.message, "secret 1")
      }
    })
  )

  it.effect("serves the agent's verbs", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 3)))
      const text = yield* encode((yield* recordOf("r")).position)
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { continuationToken: text })))
      assert.strictEqual(textOf(rest), "a")
      const error = yield* Effect.flip(Stream.runDrain(Agent.resume(analyst, { continuationToken: `${text}x` })))
      assert.strictEqual(error.reason._tag === "TokenInvalid" && error.reason.kind, "signature")
    }).pipe(
      Effect.provide(SignedTokens.layer({ keys: [key("1")] })),
      Effect.provide(ScriptedModel.layer([ScriptedModel.text("a"), ScriptedModel.completed])),
      Effect.provide(TokenStore.layerMemory)
    )
  )
})

describe("tokens as objects", () => {
  const { call, completed, pause, text } = ScriptedModel
  type Token = ContinuationToken.ContinuationToken
  const verbs: Record<string, (continuationToken: Token) => Effect.Effect<unknown, AgentError.AgentError, Services>> = {
    resume: (continuationToken) => Stream.runDrain(Agent.resume(analyst, { continuationToken })),
    watch: (continuationToken) => Stream.runDrain(Agent.watch(analyst, { continuationToken })),
    poll: (continuationToken) => Agent.poll(analyst, { continuationToken }),
    result: (continuationToken) => Agent.result(analyst, { continuationToken }),
    cancel: (continuationToken) => Agent.cancel(analyst, { continuationToken, wait: false }),
    remove: (continuationToken) => Agent.remove(analyst, { continuationToken })
  }
  const each = Object.entries(verbs)
  const over = (...steps: ReadonlyArray<ScriptedModel.Step>) =>
    Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)
  const signed = SignedTokens.layer({ keys: [key("1")] })
  const steps = [text("a"), text("b"), completed]

  /** Reads three updates of a run; the token of the last. */
  const begun = passing(Stream.runCollect(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 3))).pipe(
    Effect.map((updates) => Option.getOrThrow(updates[2]!.continuationToken))
  )
  /** What comes of a token that went through JSON, as one from a request of a web page does. */
  const codec = Schema.toCodecJson(ContinuationToken.ContinuationToken)
  const throughJson = (given: Token): Token => JSON.parse(JSON.stringify(Schema.encodeSync(codec)(given)))

  it.effect.each(each)("E16: %s refuses one from JSON, and one that was changed, if tokens are signed", ([, verb]) =>
    Effect.gen(function* () {
      const given = yield* begun
      const before = yield* recordOf("r")
      const parsed = throughJson(given)
      assert.deepStrictEqual(parsed, given)
      for (const forged of [
        parsed,
        Schema.decodeUnknownSync(codec)(parsed),
        { ...given, runId: Run.RunId.make("r") }
      ]) {
        const { reason } = yield* Effect.flip(passing(verb(forged)))
        assert.strictEqual(reason._tag === "TokenInvalid" && reason.kind, "signature")
      }
      assert.deepStrictEqual(yield* recordOf("r"), before)
      for (const operation of ["resume", "retrieve", "cancel", "remove"] as const) {
        assert.strictEqual(yield* count(operation), 0)
      }
    }).pipe(Effect.provide(signed), Effect.provide(over(...steps)))
  )

  it.effect.each(each)("%s takes one from an update, a response, or a text, if tokens are signed", ([, verb]) =>
    Effect.gen(function* () {
      const ofUpdate = yield* begun
      const { continuationToken } = yield* Agent.start(analyst, { input: "Hello", runId: "s" })
      const ofResponse = Option.getOrThrow(continuationToken)
      const { continuationToken: looked } = yield* Agent.poll(analyst, { runId: "s" })
      const decoded = yield* decode(yield* encode(ofUpdate))
      for (const given of [decoded, ofUpdate, ofResponse, Option.getOrThrow(looked)]) {
        const exit = yield* passing(Effect.result(verb(given)))
        // Some verbs end the run that others were to work on.
        if (exit._tag === "Failure") assert.include(["RunCancelled", "RunNotFound"], exit.failure.reason._tag)
      }
    }).pipe(Effect.provide(signed), Effect.provide(over(text("a"), pause("1 second"), text("b"), completed)))
  )

  it.effect.each(each)("%s takes one from JSON if tokens are not signed", ([, verb]) =>
    Effect.gen(function* () {
      yield* passing(verb(throughJson(yield* begun)))
    }).pipe(Effect.provide(over(...steps)))
  )

  it.effect("those between two turns and of a run that waits are taken as well, if tokens are signed", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(planner, { input: "Hello", runId: "r" })))
      const [last, beforeIt] = updates.toReversed()
      assert.strictEqual(last?.status, "waiting")
      for (const update of [beforeIt!, last!]) {
        const continuationToken = Option.getOrThrow(update.continuationToken)
        assert.strictEqual(continuationToken.turn, 1)
        const { status } = yield* Agent.poll(planner, { continuationToken })
        assert.strictEqual(status, "waiting")
        const { reason } = yield* Effect.flip(
          Agent.poll(planner, { continuationToken: throughJson(continuationToken) })
        )
        assert.strictEqual(reason._tag === "TokenInvalid" && reason.kind, "signature")
      }
    }).pipe(
      Effect.provide(signed),
      Effect.provide(Layer.merge(over(text("a"), call(lookup, { of: "sales" }), completed), ownCalls))
    )
  )

  it.effect("those between the results of calls are taken as well, if tokens are signed", () =>
    Effect.gen(function* () {
      const read = yield* passing(Stream.runCollect(Agent.stream(planner, { input: "Hello", runId: "r" })))
      const results = read.filter(({ part }) => part?.type === "tool-result")
      assert.deepStrictEqual(
        results.map(({ continuationToken }) => Option.getOrThrow(continuationToken).results),
        [1, 2]
      )
      for (const { continuationToken } of results) {
        const given = Option.getOrThrow(continuationToken)
        assert.deepStrictEqual(yield* decode(yield* encode(given)), given)
        const rest = yield* passing(Stream.runCollect(Agent.watch(planner, { continuationToken: given })))
        const after = read.slice(read.findIndex((update) => update.continuationToken === continuationToken) + 1)
        assert.deepStrictEqual(
          rest.map(({ part }) => part?.type),
          after.map(({ part }) => part?.type)
        )
      }
    }).pipe(
      Effect.provide(signed),
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(thenTurn([call(lookup, { of: "costs" })], [text("three"), completed])),
          answering(TokenStore.layerMemory),
          ownCalls
        )
      )
    )
  )
})
