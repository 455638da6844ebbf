// Guarantee 11, as far as plain tokens go: small, bound, and typed errors for all else.
import {
  Agent,
  type AgentUpdate,
  type BackgroundModel,
  ContinuationToken,
  Run,
  RunRecord,
  RunState,
  SignedTokens,
  TokenStore
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Redacted, Schema, Stream } from "effect"
import { Base64Url } from "effect/encoding"
import { NodeServices } from "@effect/platform-node"
import { law } from "../support/law.ts"
import { modelWith } from "../support/models.ts"
import { positions } from "../support/positions.ts"
import { analyst, recordOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"

const { decode, encode } = ContinuationToken

const numbered = positions.map((position, i) => [i, position] as const)

const key = { id: "k".repeat(16), secret: Redacted.make("a secret that is long enough to be one") }
const sealing = SignedTokens.layer({ keys: [key], expiresAfter: "365 days" })

/** A token, plain and signed, is at most a kilobyte, and reads back the same. */
const fits = Effect.fnUntraced(function* (token: ContinuationToken.ContinuationToken) {
  const text = yield* encode(token)
  assert.isAtMost(text.length, 1024)
  assert.match(text, /^[\w.-]+$/)
  assert.deepStrictEqual(yield* decode(text), token)
  return text
})

/** A model whose response of this name says this, event by event, and fails in the end. */
const saying = (statements: ReadonlyArray<BackgroundModel.Statement>, responseId: string) =>
  modelWith([ScriptedModel.completed], () => ({
    create: () =>
      Stream.fromIterable([
        { sequenceNumber: 0, statements: [], responseId, status: "in_progress" },
        ...statements.map((statement, i): BackgroundModel.ModelEvent => ({
          sequenceNumber: i + 1,
          statements: [statement]
        })),
        {
          sequenceNumber: statements.length + 1,
          statements: [],
          status: "failed",
          terminal: { responseId, status: "failed", items: [] }
        }
      ] satisfies ReadonlyArray<BackgroundModel.ModelEvent>)
  }))

const Between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Kind = Schema.Literals(["text", "reasoning", "params"])
const Place = { index: Schema.NullOr(Between(0, 60)), huge: Schema.Boolean, itemId: Schema.NullOr(Between(0, 20)) }

const Said = Schema.TaggedUnion({
  Delta: { ...Place, lane: Between(0, 9), kind: Kind, delta: Schema.Literals(["word ", "\ud83d", "\ude80", "", "é"]) },
  ItemAdded: { ...Place, kind: Kind, text: Schema.Literals(["", "begun "]) },
  PartAdded: { ...Place, lane: Between(0, 9), isCall: Schema.Boolean },
  LaneEnded: { ...Place, lane: Between(0, 9), kind: Kind },
  ItemDone: Place
})

const statementOf = (said: typeof Said.Type): BackgroundModel.Statement => {
  const { huge, index, itemId } = said
  const ref = {
    ...(index === null ? {} : { index: huge ? 9_000_000_000_000_000 + index : index }),
    ...(itemId === null ? {} : { itemId: `item_${itemId}` })
  }
  switch (said._tag) {
    case "Delta":
      return { ...ref, _tag: "Delta", lane: said.lane, kind: said.kind, delta: said.delta }
    case "ItemAdded":
      return { ...ref, _tag: "ItemAdded", lanes: [{ lane: 0, kind: said.kind, text: said.text, name: "search" }] }
    case "PartAdded": {
      const { lane } = said
      const source = { type: "source", sourceType: "url", url: "https://example.com", title: "Example" } as const
      const part = {
        type: "tool-call",
        id: `call_${lane}`,
        name: "search",
        params: {},
        providerExecuted: false
      } as const
      const told = said.isCall
        ? ({ lane, kind: "single", part } as const)
        : ({ lane, kind: "sources", sources: [source] } as const)
      return { ...ref, _tag: "PartAdded", lane: told }
    }
    case "LaneEnded":
      return { ...ref, _tag: "LaneEnded", lane: said.lane, kind: said.kind }
    case "ItemDone":
      return { ...ref, _tag: "ItemDone" }
  }
}

describe("ContinuationToken", () => {
  it.effect.each(numbered)(
    "encodes in at most a kilobyte, and reads back the same from text, bytes and JSON: %i",
    ([, position]) =>
      Effect.gen(function* () {
        const encoded = yield* fits(position)
        yield* Effect.provide(fits(position), sealing)
        assert.deepStrictEqual(yield* decode(new TextDecoder().decode(new TextEncoder().encode(encoded))), position)
        const json = Schema.toCodecJson(ContinuationToken.ContinuationToken)
        const text = JSON.stringify(yield* Schema.encodeEffect(json)(position))
        assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(json)(JSON.parse(text)), position)
      })
  )

  it.effect.each(numbered)("refuses every text that is cut short: %i", ([, position]) =>
    Effect.gen(function* () {
      const text = yield* encode(position)
      for (let length = 0; length < text.length; length++) {
        const { kind } = yield* Effect.flip(decode(text.slice(0, length)))
        assert.include(["malformed", "empty"], kind, `cut to ${length}`)
      }
    })
  )

  law(
    "whatever is said, in any order, a token stays below a kilobyte, plain and signed",
    [
      Schema.Array(Said).check(Schema.isMaxLength(120)),
      Schema.Literals(["r", "r".repeat(36), "\u00e9".repeat(64), '"'.repeat(128), "\ufffd".repeat(42)]),
      Schema.Literals([
        "resp_1",
        "r".repeat(55),
        "r".repeat(128),
        "r".repeat(400),
        "\u00e9".repeat(128),
        '"\u0001'.repeat(64)
      ]),
      Between(0, 40)
    ],
    ([said, runId, responseId, crowd]) =>
      Effect.gen(function* () {
        const longest = Agent.make(runId === "r" ? "analyst" : "\u00e9".repeat(32), { background: true })
        const updates = Agent.stream(longest, { input: "Hello", runId })
        const open = Array.from({ length: crowd }, (_, i): BackgroundModel.Statement => ({
          _tag: "Delta",
          index: i * 2,
          lane: i,
          kind: "text",
          delta: "word"
        }))
        let overflow = false
        const read = Stream.runForEach(updates, ({ continuationToken }) => {
          if (continuationToken._tag === "None") return Effect.void
          const token = continuationToken.value
          if (overflow) assert.isTrue(token.delivered.overflow, "what was forgotten stays forgotten")
          overflow = token.delivered.overflow
          return Effect.andThen(fits(token), Effect.provide(fits(token), sealing))
        })
        yield* passing(
          Effect.catchReasons(read, "AgentError", { RunDiverged: () => Effect.void, RunFailed: () => Effect.void })
        ).pipe(
          Effect.provide(saying([...open, ...said.map(statementOf)], responseId)),
          Effect.provide(TokenStore.layerMemory)
        )
      }),
    { arbitrary: { runs: 150 } }
  )

  it.effect("holds 500 finished items and 16 texts that are open, with names of 24 and 36 characters", () =>
    Effect.gen(function* () {
      const all = Array.from({ length: 516 }, (_, index): ReadonlyArray<BackgroundModel.Statement> => [
        { _tag: "ItemAdded", index, lanes: [] },
        { _tag: "Delta", index, lane: 0, kind: "text", delta: index < 500 ? "done " : "word ".repeat(6000) },
        ...(index < 500 ? [{ _tag: "ItemDone", index } as const] : [])
      ])
      const agent = Agent.make("a".repeat(24), { background: true })
      const updates: Array<AgentUpdate.AgentUpdate> = []
      const read = Stream.runForEach(Agent.stream(agent, { input: "Hello", runId: "r".repeat(36) }), (update) =>
        Effect.sync(() => void updates.push(update))
      )
      yield* passing(Effect.flip(read)).pipe(
        Effect.provide(saying(all.flat(), `resp_${"0".repeat(50)}`)),
        Effect.provide(TokenStore.layerMemory)
      )
      let most = 0
      for (const { continuationToken } of updates) {
        if (continuationToken._tag === "None") continue
        const { delivered } = continuationToken.value
        assert.isFalse(delivered.overflow)
        most = Math.max(most, delivered.open.length)
        if (delivered.open.length > 14) yield* Effect.provide(fits(continuationToken.value), sealing)
      }
      assert.strictEqual(most, 16)
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
      const response = yield* reasonOf({ ...token, responseId: "resp_of_another" })
      assert.strictEqual(response._tag === "TokenInvalid" && response.kind, "unknown-position")
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

  it.effect("E15: that was kept of a run that was removed is refused by a run of the same id", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "daily" }), 3)))
      const kept = yield* encode((yield* recordOf("daily")).position)
      yield* Agent.remove(analyst, { runId: "daily" })
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "daily" }), 2)))
      const before = yield* recordOf("daily")
      for (const verb of [
        Stream.runDrain(Agent.resume(analyst, { continuationToken: kept })),
        Stream.runDrain(Agent.watch(analyst, { continuationToken: kept })),
        Effect.asVoid(Agent.poll(analyst, { continuationToken: kept })),
        Effect.asVoid(Agent.result(analyst, { continuationToken: kept }))
      ]) {
        const { reason } = yield* passing(Effect.flip(verb))
        assert.strictEqual(reason._tag === "TokenInvalid" && reason.kind, "outdated")
      }
      assert.deepStrictEqual((yield* recordOf("daily")).position, before.position)
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
      assert.deepStrictEqual(yield* Effect.forEach(tokens, decode), [...positions])
      // They are written so still, as they lie in pages and databases beside new ones.
      assert.deepStrictEqual(yield* Effect.forEach(positions, encode), tokens)
      const records = Schema.decodeUnknownEffect(Schema.toCodecJson(Schema.Array(RunRecord.RunRecord)))
      const [fresh, retried, waiting] = yield* records(JSON.parse(yield* read("records-v2.json")))
      const state = RunState.fold(fresh!)
      assert.strictEqual(state.turns[0]?.winner?.responseId, "resp_r-1")
      assert.strictEqual(RunState.statusOf(state, fresh!.position), "in_progress")
      assert.strictEqual(fresh!.position.responseId, "resp_r-1")
      assert.deepStrictEqual(retried!.position.delivered, positions[2]!.delivered)
      // One fact of every kind, of which the last opened the run again.
      const known = new Set(retried!.journal.map(({ _tag }) => _tag))
      assert.deepStrictEqual([...known].toSorted(), Object.keys(RunRecord.NewFact.cases).toSorted())
      assert.notStrictEqual(RunState.fold(retried!).incarnation, retried!.incarnation)
      const end = retried!.journal.find((fact) => fact._tag === "ResponseEnded")
      assert.strictEqual(end?.error?.reason._tag, "InternalProviderError")
      assert.strictEqual(end?.usage?.inputTokens.total, 12)
      assert.deepStrictEqual(
        end?.calls.map(({ external, provider = false }) => [external, provider]),
        [
          [false, false],
          [false, true],
          [true, false]
        ]
      )
      const ends = retried!.journal.flatMap((fact) => (fact._tag === "ToolEnded" ? [fact.ends] : []))
      assert.deepStrictEqual(ends, [undefined, "failed"])
      assert.strictEqual(RunState.statusOfRecord(waiting!), "waiting")
      const [done, asked] = RunState.fold(waiting!).turns[0]!.calls
      assert.isTrue(RunState.isDone(done!) && RunState.isUndecided(asked!))
      assert.deepInclude(waiting!.position, { turn: 1, results: 2 })
      // What is written of them is what was read.
      const written = yield* Schema.encodeEffect(Schema.toCodecJson(Schema.Array(RunRecord.RunRecord)))([
        fresh!,
        retried!,
        waiting!
      ])
      assert.deepStrictEqual(yield* records(written), [fresh!, retried!, waiting!])
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
