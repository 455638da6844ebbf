// How callers find the tool that a call names, and read and write its results.
import { Agent } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

const dueDate = Tool.make("dueDate", {
  success: Schema.Date,
  failure: Schema.Struct({ at: Schema.Date }),
  failureMode: "return"
})
const shell = Tool.providerDefined({
  id: "openai.shell",
  customName: "terminal",
  providerName: "shell",
  requiresHandler: true,
  parameters: Schema.Json
})({})

const agent = Agent.make("clerk", { toolkit: Toolkit.make(dueDate, shell) })

describe("Agent.toolOf", () => {
  it("finds a tool by its name, and one that the provider defines by the provider's name too", () => {
    assert.strictEqual(Agent.toolOf(agent, "dueDate")?.name, "dueDate")
    assert.strictEqual(Agent.toolOf(agent, "shell")?.name, "terminal")
    assert.strictEqual(Agent.toolOf(agent, "terminal")?.name, "terminal")
  })

  it("finds none by another name", () => {
    for (const name of ["due", "toString", "__proto__", ""]) assert.isUndefined(Agent.toolOf(agent, name), name)
    assert.isUndefined(Agent.toolOf(Agent.make("mute"), "dueDate"))
  })
})

describe("Agent.resultCodec", () => {
  const date = "2026-11-30T00:00:00.000Z"

  it.effect("reads and writes results and failures as a run keeps them", () =>
    Effect.gen(function* () {
      const results = Agent.resultCodec(dueDate, false)
      assert.strictEqual(yield* Schema.encodeEffect(results)(new Date(date)), date)
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(results)(date), new Date(date))
      const failures = Agent.resultCodec(dueDate, true)
      assert.deepStrictEqual(yield* Schema.encodeEffect(failures)({ at: new Date(date) }), { at: date })
      const error = yield* Effect.flip(Schema.decodeUnknownEffect(results)({ at: date }))
      assert.strictEqual(error._tag, "SchemaError")
    })
  )
})
