import { Agent, ContinuationToken, Run, SignedTokens, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import { analyst, recordOf, textOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { decode, encode } = ContinuationToken
const key = (id: string) => ({ id, secret: Redacted.make(`secret ${id}, long enough to be one`) })
const token = ContinuationToken.start("analyst", Run.RunId.make("r"))
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
      const text = yield* encode((yield* recordOf("r")).token!)
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
