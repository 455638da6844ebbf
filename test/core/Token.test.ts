// Guarantee 11, as far as plain tokens go: small, bound, and typed errors for all else.
import { Agent, ContinuationToken, Run, RunRecord, RunState, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema, Stream } from "effect"
import { Base64Url } from "effect/encoding"
import { NodeServices } from "@effect/platform-node"
import { law } from "../support/law.ts"
import { analyst, recordOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { decode, encode } = ContinuationToken

/** The largest position there can be: the longest names, sixteen of everything, numbers of nine digits and more. */
const largest: ContinuationToken.ContinuationToken = {
  version: 2,
  agent: "\u00e9".repeat(32),
  runId: Run.RunId.make("\u00e9".repeat(64)),
  incarnation: 9_999_999_999_999,
  turn: 999,
  sequenceNumber: 9_999_999,
  skip: 99,
  status: "in_progress",
  origin: "snapshot",
  delivered: {
    items: Array.from({ length: 8 }, (_, i) => [i * 3 + 100, i * 3 + 101] as const),
    lanes: Array.from({ length: 8 }, (_, i) => [i + 200, 0, 99] as const),
    open: Array.from({ length: 16 }, (_, i) => [i + 300, 0, 1_000_000 + i, 0xffffff - i] as const),
    overflow: false
  }
}

describe("ContinuationToken", () => {
  it.effect("encodes in at most a kilobyte, and reads back the same from text, bytes and JSON", () =>
    Effect.gen(function* () {
      const encoded = yield* encode(largest)
      assert.isAtMost(new TextEncoder().encode(encoded).length, 1024)
      assert.match(encoded, /^[\w.-]+$/)
      assert.deepStrictEqual(yield* decode(encoded), largest)
      assert.deepStrictEqual(yield* decode(new TextDecoder().decode(new TextEncoder().encode(encoded))), largest)
      const json = Schema.toCodecJson(ContinuationToken.ContinuationToken)
      const text = JSON.stringify(yield* Schema.encodeEffect(json)(largest))
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(json)(JSON.parse(text)), largest)
    })
  )

  law(
    "any sixteen texts, opening and closing in any order, keep a token below a kilobyte",
    [
      Schema.Array(
        Schema.Tuple([Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })), Schema.Boolean])
      ).check(Schema.isMaxLength(80))
    ],
    ([moves]) =>
      Effect.gen(function* () {
        // What is closed is not opened again: more text is that of another item.
        const closed = new Map<number, number>()
        const steps = moves.map(([place, closes]) => {
          const times = closed.get(place) ?? 0
          const item = place + 41 * times
          if (closes) closed.set(place, times + 1)
          return closes ? ScriptedModel.close(item) : ScriptedModel.text("word ", item)
        })
        const longest = Agent.make("\u00e9".repeat(32), { background: true })
        const updates = Agent.stream(longest, { input: "Hello", runId: "\u00e9".repeat(64) })
        yield* passing(
          Stream.runForEach(updates, ({ continuationToken }) =>
            continuationToken._tag === "None"
              ? Effect.void
              : Effect.map(encode(continuationToken.value), (text) => assert.isAtMost(text.length, 1024))
          )
        ).pipe(
          Effect.provide(ScriptedModel.layer([...steps, ScriptedModel.completed])),
          Effect.provide(TokenStore.layerMemory)
        )
      })
  )

  it.effect("refuses what is no token, with a reason each", () =>
    Effect.gen(function* () {
      const good = yield* encode(ContinuationToken.start("analyst", Run.RunId.make("r"), 1))
      const kindOf = (text: string) => Effect.map(Effect.flip(decode(text)), (error) => error.kind)
      assert.strictEqual(yield* kindOf(""), "empty")
      assert.strictEqual(yield* kindOf(" \n"), "empty")
      assert.strictEqual(yield* kindOf("hello"), "malformed")
      assert.strictEqual(yield* kindOf(good.replace("b2.", "b3.")), "unknown-version")
      assert.strictEqual(yield* kindOf(`b2.${Base64Url.encode("{}")}`), "malformed")
      assert.strictEqual(yield* kindOf(`b2.${Base64Url.encode('["analyst","missing the rest"]')}`), "malformed")
      assert.strictEqual(yield* kindOf(`b2.${Base64Url.encode("not json")}`), "malformed")
      for (let length = 1; length < good.length; length++) {
        assert.include(["malformed", "empty"], yield* kindOf(good.slice(0, length)), `cut to ${length}`)
      }
    })
  )

  it.effect("is bound to its agent, its run, its incarnation and its store", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 3)))
      const token = (yield* recordOf("r")).position
      const reasonOf = (given: ContinuationToken.ContinuationToken | string, agent: Agent.Agent = analyst) =>
        Effect.map(
          Effect.flip(Stream.runDrain(Agent.resume(agent, { continuationToken: given }))),
          ({ reason }) => reason
        )
      const other = yield* reasonOf(token, Agent.make("other", { background: true }))
      assert.strictEqual(other._tag === "TokenInvalid" && other.kind, "wrong-agent")
      const run = yield* reasonOf({ ...token, runId: Run.RunId.make("unknown") })
      assert.strictEqual(run._tag, "RunNotFound")
      const incarnation = yield* reasonOf({ ...token, incarnation: token.incarnation + 1 })
      assert.strictEqual(incarnation._tag === "TokenInvalid" && incarnation.kind, "outdated")
      const turn = yield* reasonOf({ ...token, turn: 7 })
      assert.strictEqual(turn._tag === "TokenInvalid" && turn.kind, "unknown-position")
      const empty = yield* reasonOf("")
      assert.strictEqual(empty._tag === "TokenInvalid" && empty.kind, "empty")
      // @ts-expect-error what came from elsewhere may be anything
      const junk = yield* reasonOf({ hello: "world" })
      assert.strictEqual(junk._tag === "TokenInvalid" && junk.kind, "malformed")
      assert.match(junk.message, /token/)
    }).pipe(
      Effect.provide(ScriptedModel.layer([ScriptedModel.text("a"), ScriptedModel.completed])),
      Effect.provide(TokenStore.layerMemory)
    )
  )

  it.effect("resumes from its encoded text", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 3)))
      const text = yield* encode((yield* recordOf("r")).position)
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { continuationToken: text })))
      assert.strictEqual(rest.map((update) => update.text).join(""), "a")
    }).pipe(
      Effect.provide(ScriptedModel.layer([ScriptedModel.text("a"), ScriptedModel.completed])),
      Effect.provide(TokenStore.layerMemory)
    )
  )
})

describe("version 2, read for ever", () => {
  it.effect("its tokens and records decode", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const read = (name: string) => fs.readFileString(new URL(`../fixtures/${name}`, import.meta.url).pathname)
      const tokens = (yield* read("tokens-v2.txt")).trim().split("\n")
      assert.deepStrictEqual(yield* decode(tokens[0]!), ContinuationToken.start("analyst", Run.RunId.make("r-1"), 1))
      assert.deepStrictEqual(yield* decode(tokens[1]!), largest)
      const records = Schema.decodeUnknownEffect(Schema.toCodecJson(Schema.Array(RunRecord.RunRecord)))
      const [fresh, retried] = yield* records(JSON.parse(yield* read("records-v2.json")))
      const state = RunState.fold(fresh!)
      assert.strictEqual(state.turns[0]?.winner?.responseId, "resp_r-1")
      assert.strictEqual(RunState.statusOf(state, fresh!.position), "in_progress")
      // One fact of every kind, of which the last opened the run again.
      const known = new Set(retried!.journal.map(({ _tag }) => _tag))
      assert.deepStrictEqual([...known].toSorted(), Object.keys(RunRecord.NewFact.cases).toSorted())
      assert.notStrictEqual(RunState.fold(retried!).incarnation, retried!.incarnation)
      const end = retried!.journal.find((fact) => fact._tag === "ResponseEnded")
      assert.strictEqual(end?.error?.reason._tag, "InternalProviderError")
      assert.strictEqual(end?.usage?.inputTokens.total, 12)
      // What is written of them is what was read.
      const written = yield* Schema.encodeEffect(Schema.toCodecJson(Schema.Array(RunRecord.RunRecord)))([
        fresh!,
        retried!
      ])
      assert.deepStrictEqual(yield* records(written), [fresh!, retried!])
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
