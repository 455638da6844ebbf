// What an application calls its runs by.
import { Agent, Runs } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { analyst, count, recordOf } from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { completed, text } = ScriptedModel
const good = { customer: "c-42", kind: "report" }
const input = { input: "Hello", labels: good }

describe.each(stores)("labels ($name)", ({ layer: store }) => {
  const over = Layer.merge(ScriptedModel.layer([text("a"), completed]), store)

  it.effect("are set by every verb that records a run, and shown by Runs.get and Runs.list", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(analyst, { ...input, runId: "stream" })))
      yield* passing(Agent.run(analyst, { ...input, runId: "run" }))
      yield* passing(Agent.start(analyst, { ...input, runId: "start" }))
      yield* Agent.enqueue(analyst, { ...input, runId: "enqueue" })
      yield* passing(Agent.start(analyst, { input: "Hello", runId: "none" }))
      yield* Agent.adopt(analyst, { responseId: "resp_4", runId: "adopt", labels: good })
      for (const runId of ["stream", "run", "start", "enqueue", "adopt"]) {
        assert.deepStrictEqual((yield* Runs.get(runId)).labels, good, runId)
      }
      assert.isUndefined((yield* Runs.get("none")).labels)
      const found = yield* Stream.runCollect(Runs.list({ labels: { customer: "c-42" } }))
      assert.deepStrictEqual(found.map(({ runId }) => runId).toSorted(), ["adopt", "enqueue", "run", "start", "stream"])
      assert.strictEqual((yield* Stream.runCollect(Runs.list({ labels: { ...good, customer: "c-43" } }))).length, 0)
    }).pipe(Effect.provide(over))
  )

  it.effect("are those of the first call: they are no part of the task", () =>
    Effect.gen(function* () {
      yield* Agent.enqueue(analyst, { ...input, runId: "r" })
      yield* Agent.enqueue(analyst, { ...input, runId: "r", labels: { customer: "c-43" } })
      yield* passing(Agent.run(analyst, { input: "Hello", runId: "r" }))
      assert.deepStrictEqual((yield* recordOf("r")).labels, good)
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over))
  )

  const bad: ReadonlyArray<readonly [string, Readonly<Record<string, string>>]> = [
    ["nine of them", Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`l${i}`, "x"]))],
    ["an empty name", { customer: "c-42", "": "x" }],
    ["a name of 66 bytes", { ["é".repeat(33)]: "x" }],
    ["a value of 257 bytes", { name: "x".repeat(257) }],
    ["half a character", { name: "a\ud83d" }],
    // @ts-expect-error a JavaScript caller may pass anything
    ["a number", { name: 5 }],
    // @ts-expect-error a JavaScript caller may pass anything
    ["null", null]
  ]
  it.effect.each(bad)("are refused before anything is recorded: %s", ([, given]) =>
    Effect.gen(function* () {
      yield* passing(Agent.start(analyst, { input: "Hello", runId: "other" }))
      const bought = yield* count("create")
      for (const verb of [
        Stream.runDrain(Agent.stream(analyst, { ...input, labels: given, runId: "r" })),
        Effect.asVoid(Agent.run(analyst, { ...input, labels: given, runId: "r" })),
        Effect.asVoid(Agent.start(analyst, { ...input, labels: given, runId: "r" })),
        Effect.asVoid(Agent.enqueue(analyst, { ...input, labels: given, runId: "r" })),
        Effect.asVoid(Agent.adopt(analyst, { responseId: "resp_1", runId: "r", labels: given }))
      ]) {
        const { message, reason } = yield* Effect.flip(verb)
        assert.strictEqual(reason._tag, "InvalidInput")
        assert.match(message, /at most 8, with names of 1 to 64 bytes and values of at most 256/)
      }
      assert.strictEqual((yield* Effect.flip(Runs.get("r"))).reason._tag, "RunNotFound")
      assert.strictEqual(yield* count("create"), bought)
    }).pipe(Effect.provide(over))
  )

  it.effect("may be as many and as long as they may be", () =>
    Effect.gen(function* () {
      const most = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`${i}`.padEnd(64, "n"), "é".repeat(128)]))
      yield* Agent.enqueue(analyst, { ...input, labels: most, runId: "r" })
      assert.deepStrictEqual((yield* Runs.get("r")).labels, most)
    }).pipe(Effect.provide(store))
  )
})
