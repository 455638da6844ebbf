// Responses that do not look as they should: what can be read of them counts.
import type { Lane } from "@effect-baton/core/BackgroundModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { law } from "../support/law.ts"
import { message, output } from "./everything.ts"
import { partsOf, retrieved } from "./lanes.ts"
import { completed, decoded, type Json, key, reasonOf, response } from "./support.ts"

/** A response, as a poll and as a terminal event show it: the same. */
const bothWays = (more: Json) =>
  Effect.gen(function* () {
    const polled = yield* retrieved(response(more))
    const event = yield* decoded(completed(7, more))
    const { error: _, raw: __, ...snapshot } = polled
    const { error: ___, raw: ____, ...terminal } = event!.terminal!
    assert.deepEqual(terminal, snapshot)
    return polled
  })

/** The same, of parts that `effect/ai` can read. */
const shown = (more: Json) => Effect.tap(bothWays(more), partsOf)

const words = (lanes: ReadonlyArray<Lane>) =>
  lanes
    .map((lane) => `${lane.lane}:${lane.kind}${"text" in lane && lane.text !== "" ? ` ${lane.text}` : ""}`)
    .join(", ")

const good = message([{ type: "output_text", text: "good" }])

describe("one item that cannot be read takes nothing with it (C3, C4)", () => {
  // An item, and the lanes that it has; `unread` if none of it can be read.
  const items: ReadonlyArray<readonly [string, unknown, string]> = [
    ["a text", "x", "unread"],
    ["a number", 7, "unread"],
    ["null", null, "unread"],
    ["a list", [], "unread"],
    ["nothing", {}, "unread"],
    ["no type", { id: "x", status: "completed" }, "unread"],
    ["a type that is none", { type: 7 }, "unread"],
    ["a search without id", { type: "web_search_call" }, ""],
    ["an unknown kind", { type: "never_heard_of", call_id: 7 }, ""],
    ["a message without content", { type: "message" }, "unread"],
    ["a message with content that is a text", { type: "message", content: "x" }, "unread"],
    ["a message with a text that is none", message([{ type: "output_text", text: 7 }]), "0:unread"],
    ["a message with a text that is null", message([{ type: "output_text", text: null }]), "0:unread"],
    ["a message with an empty part", message([{}]), "0:unread"],
    [
      "a message with something in the middle",
      {
        type: "message",
        content: [{ type: "refusal", refusal: "a" }, null, { type: "x" }, { type: "output_text", text: "b" }]
      },
      "0:text a, 1:unread, 3:text b"
    ],
    ["a refusal without its text", message([{ type: "refusal" }]), "0:unread"],
    [
      "citations that are no list",
      message([{ type: "output_text", text: "a", annotations: "x" }]),
      "0:text a, 1000:unread"
    ],
    [
      "citations that cannot be read",
      message([{ type: "output_text", text: "a", annotations: [null, 7, {}] }]),
      "0:text a, 1000:sources"
    ],
    ["reasoning without anything", { type: "reasoning" }, ""],
    [
      "reasoning with a summary that is null",
      { type: "reasoning", summary: [null, { text: "a" }, { text: 7 }], content: null },
      "0:unread, 1:reasoning a, 2:unread"
    ],
    ["a summary that is a text", { type: "reasoning", summary: "x", content: 7 }, "0:unread, 1000:unread"],
    ["a call without call_id", { ...output[3], call_id: undefined }, "unread"],
    ["a call with a call_id that is a number", { ...output[3], call_id: 7 }, "unread"],
    ["a call without a name", { ...output[3], name: undefined }, "unread"],
    ["a call without parameters", { ...output[3], arguments: undefined }, "unread"],
    ["a call with parsed parameters", { ...output[3], arguments: { city: "Paris" } }, "0:unread, 1:single"],
    ["a custom call with parsed parameters", { ...output[4], input: {} }, "unread"],
    ["an image without id", { type: "image_generation_call", status: "completed", result: "aGVsbG8=" }, "0:single"],
    ["an image of an unknown format", { ...output[5], output_format: { a: 1 } }, "1:single, 0:single, 2:single"],
    ["an image of no base64", { ...output[5], result: "*hello*" }, "1:single, 0:unread, 2:single"],
    ["an image cut short", { ...output[5], result: "aGVsbG8" }, "1:single, 0:unread, 2:single"],
    ["an image that is a link", { ...output[5], result: "https://a.test/x.png" }, "1:single, 0:unread, 2:single"],
    ["an image that is an object", { ...output[5], result: { b64: "aGVsbG8=" } }, "1:single, 0:unread, 2:single"],
    [
      "an image as a data URL",
      { ...output[5], result: "data:image/gif;base64,aGVsbG8=" },
      "1:single, 0:single, 2:single"
    ],
    [
      "an image as a data URL of no base64",
      { ...output[5], result: "data:image/svg+xml,<svg/>" },
      "1:single, 0:unread, 2:single"
    ],
    ["an empty image", { ...output[5], result: "" }, "1:single, 2:single"],
    ["an empty data URL", { ...output[5], result: "data:image/png;base64," }, "1:single, 2:single"],
    ["an image that failed", output[6], "1:single, 2:single"]
  ]

  it.effect.each(items)("%s", ([, item, lanes]) =>
    Effect.gen(function* () {
      const usage = { input_tokens: 3, output_tokens: 4 }
      const snapshot = yield* shown({ output: [good, item, good], usage })
      assert.strictEqual(snapshot.status, "completed")
      assert.deepEqual(
        snapshot.items.map((each) => (each.unread === true ? "unread" : words(each.lanes))),
        ["0:text good", lanes, "0:text good"]
      )
      assert.isTrue(snapshot.items.every(({ done }) => done))
      assert.strictEqual(snapshot.finish?.usage.inputTokens.total, 3)
      const event = yield* decoded({ type: "response.output_item.done", sequence_number: 7, output_index: 1, item })
      const [statement] = event!.statements
      assert.strictEqual(statement?._tag, "ItemDone")
      const told = statement?._tag === "ItemDone" ? statement.lanes : undefined
      assert.strictEqual(told === undefined ? "unread" : words(told), lanes)
    })
  )

  it.effect("an image's media type and data", () =>
    Effect.gen(function* () {
      const files = [
        [{ result: "aGVsbG8=" }, "image/png", "aGVsbG8="],
        [{ result: "aGVsbG8=", output_format: "svg" }, "image/svg+xml", "aGVsbG8="],
        [{ result: "aGVsbG8=", output_format: "a b" }, "image/png", "aGVsbG8="],
        [{ result: "data:image/gif;base64,aGVsbG8=", output_format: "webp" }, "image/gif", "aGVsbG8="],
        [{ result: "data:image/svg+xml;charset=utf-8;base64,aGVsbG8=" }, "image/svg+xml", "aGVsbG8="],
        [{ result: "aGVs\r\nbG8=\n" }, "image/png", "aGVsbG8="]
      ] as const
      for (const [more, mediaType, data] of files) {
        const { items: all } = yield* shown({ output: [{ type: "image_generation_call", ...more }] })
        const lane = all[0]?.lanes[0]
        assert.deepInclude<unknown>(lane?.kind === "single" ? lane.part : {}, { type: "file", mediaType, data })
      }
    })
  )

  it.effect.each([undefined, null, {}, "x", 7])("an output that is %j shows nothing", (none) =>
    Effect.gen(function* () {
      assert.deepEqual((yield* shown({ output: none })).items, [])
    })
  )

  // Whatever stands in whatever field, the rest is read.
  const fields = [
    "id",
    "type",
    "status",
    "content",
    "summary",
    "call_id",
    "name",
    "arguments",
    "input",
    "result",
    "phase"
  ]
  law(
    "any JSON in any field of any item",
    [Schema.Json, Schema.Literals(fields), Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 }))],
    ([value, field, which]) =>
      Effect.gen(function* () {
        const snapshot = yield* bothWays({ output: [{ ...output[which], [field]: value }, good] })
        assert.strictEqual(snapshot.items.length, 2)
        assert.strictEqual(words(snapshot.items[1]!.lanes), "0:text good")
      })
  )
})

describe("a response's own fields (C3)", () => {
  it.effect("usage keeps what is a number of tokens", () =>
    Effect.gen(function* () {
      const usages: ReadonlyArray<readonly [unknown, unknown, unknown]> = [
        [{ input_tokens: 1.5, output_tokens: 4 }, {}, { total: 4, text: 4 }],
        [{ input_tokens: "7", output_tokens: -1 }, {}, {}],
        [{ input_tokens: 7, input_tokens_details: { cached_tokens: 0.5 } }, { total: 7, uncached: 7 }, {}],
        [{ input_tokens: 7, input_tokens_details: { cached_tokens: 9 } }, { total: 7, cacheRead: 9 }, {}],
        [{ output_tokens: 7, output_tokens_details: { reasoning_tokens: 9 } }, {}, { total: 7, reasoning: 9 }],
        [{ output_tokens: 7, output_tokens_details: 7 }, {}, { total: 7, text: 7 }],
        [{ input_tokens: 1e300, output_tokens: 2 ** 53 }, {}, {}],
        ["a lot", {}, {}],
        [[], {}, {}]
      ]
      for (const [usage, inputTokens, outputTokens] of usages) {
        const { finish } = yield* shown({ usage })
        assert.deepEqual<unknown>(finish?.usage, { inputTokens, outputTokens }, JSON.stringify(usage))
      }
    })
  )

  it.effect("a model, a tier, details and a reason that are none", () =>
    Effect.gen(function* () {
      const { finish, model } = yield* shown({ model: 7, service_tier: {}, incomplete_details: "x", usage: null })
      assert.isUndefined(model)
      assert.deepEqual(finish?.metadata, { openai: { responseId: "resp_1" } })
    })
  )

  // What a failed response may say of why, the reason and the words that come of it.
  const errors: ReadonlyArray<readonly [unknown, string, string]> = [
    [{ code: 500, message: "boom" }, "InternalProviderError", "boom"],
    [{ code: 429, message: "slow" }, "RateLimitError", "slow"],
    [{ code: "server_error", message: 7 }, "InternalProviderError", "7"],
    [{ code: { a: 1 }, message: ["x"], type: 7, param: {} }, "UnknownError", "gave no reason"],
    ["it broke", "UnknownError", "it broke"],
    [7, "UnknownError", "7"],
    ["", "UnknownError", "gave no reason"],
    [[], "UnknownError", "gave no reason"],
    [null, "UnknownError", "gave no reason"],
    [{ type: "insufficient_quota", message: "pay" }, "QuotaExhaustedError", "pay"],
    [{ code: "server_error", message: `the key ${key} broke` }, "InternalProviderError", "the key <redacted> broke"]
  ]

  it.effect.each(errors)("a failed response with the error %j", ([error, tag, text]) =>
    Effect.gen(function* () {
      for (const snapshot of [
        yield* retrieved(response({ status: "failed", error, output: [good] })),
        (yield* decoded({ type: "response.failed", response: { id: "resp_1", error, output: [good] } }))!.terminal!
      ]) {
        assert.strictEqual(snapshot.status, "failed")
        assert.strictEqual(reasonOf(snapshot.error)?._tag, tag)
        const reason = JSON.stringify(reasonOf(snapshot.error))
        assert.include(reason, text)
        assert.notInclude(reason, key)
        assert.strictEqual(words(snapshot.items[0]!.lanes), "0:text good")
      }
    })
  )

  // A status that is missing or unknown, what else there is, and what it comes to in a poll.
  const evidence: ReadonlyArray<readonly [Json, string]> = [
    [{ status: "canceled", error: { code: "x" } }, "cancelled"],
    [{ error: { code: "x" } }, "failed"],
    [{ error: "x", usage: {} }, "failed"],
    [{ incomplete_details: { reason: "max_output_tokens" }, completed_at: 7 }, "incomplete"],
    [{ completed_at: 7 }, "completed"],
    [{ usage: { output_tokens: 7 } }, "completed"],
    [{}, "in_progress"],
    [{ error: null, incomplete_details: {}, completed_at: null, usage: null }, "in_progress"]
  ]

  it.effect.each(evidence)("without a known status, %j", ([more, status]) =>
    Effect.gen(function* () {
      for (const unknown of [undefined, null, "sideways", "expired", "waiting", 7, {}]) {
        const snapshot = yield* retrieved({ ...response({ usage: undefined, status: unknown }), ...more })
        assert.strictEqual(snapshot.status, status)
        assert.strictEqual(snapshot.finish !== undefined, status !== "in_progress")
      }
    })
  )

  it.effect("whether it runs in the background (P2)", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* shown({ background: false })).background, false)
      assert.strictEqual((yield* shown({ background: true })).background, true)
      assert.notProperty(yield* shown({ background: null }), "background")
    })
  )
})
