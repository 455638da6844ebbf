import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { added, annotations, everything, message, numbered, output, textEvents } from "./everything.ts"
import { lanesOfEvents, type Part, retrieved, sameBothWays } from "./lanes.ts"
import { completed, created, decoded, type Json, read, response, sse } from "./support.ts"

describe("a response with everything", () => {
  it.effect("is the same from events and from a snapshot", () =>
    Effect.gen(function* () {
      const events = yield* sameBothWays(everything)
      assert.deepEqual(
        events.flatMap(({ closes }) => closes ?? []),
        [0, 1, 2, 3, 4, 5, 6]
      )
      const lanes = lanesOfEvents(events)
      assert.deepEqual(Object.keys(lanes).toSorted(), [
        "0/0",
        "0/1",
        "0/1000",
        "2/0",
        "2/1",
        "2/1000",
        "2/2",
        "3/0",
        "3/1",
        "4/0",
        "4/1",
        "5/0"
      ])
      assert.deepEqual(lanes["0/0"], [
        { type: "reasoning-start", id: "rs_1:0" },
        { type: "reasoning-delta", id: "rs_1:0", delta: "First, then second." },
        { type: "reasoning-end", id: "rs_1:0" }
      ])
      assert.deepEqual(lanes["0/1000"]?.[1], {
        type: "reasoning-delta",
        id: "rs_1:1000",
        delta: "Thinking aloud"
      } as Part)
      assert.deepEqual(lanes["2/1"]?.[0], {
        type: "text-start",
        id: "msg_1:1",
        metadata: { openai: { refusal: true } }
      } as Part)
      assert.deepEqual(lanes["2/2"], [
        { type: "text-start", id: "msg_1:2" },
        { type: "text-end", id: "msg_1:2" }
      ])
      assert.deepEqual(
        lanes["2/1000"]?.map((part) => part.type === "source" && [part.sourceType, part.id, part.title]),
        [
          ["url", "msg_1:1000:0", "A"],
          ["document", "msg_1:1000:1", "sales.csv"],
          ["document", "msg_1:1000:4", "plot.png"],
          ["document", "msg_1:1000:5", "file-3"]
        ]
      )
      assert.deepEqual(lanes["3/0"]?.[0], {
        type: "tool-params-start",
        id: "fc_1",
        name: "get_weather",
        metadata: { openai: { callId: "call_1" } }
      } as Part)
      assert.deepEqual(lanes["3/1"], [
        {
          type: "tool-call",
          id: "call_1",
          name: "get_weather",
          params: { city: "Paris" },
          metadata: { openai: { itemId: "fc_1" } }
        }
      ])
      assert.deepEqual(lanes["4/1"], [
        {
          type: "tool-call",
          id: "call_2",
          name: "shell",
          params: "ls -la",
          metadata: { openai: { itemId: "ct_1", custom: true } }
        }
      ])
      assert.deepEqual(lanes["5/0"], [
        { type: "file", mediaType: "image/webp", data: "aGVsbG8=", metadata: { openai: { itemId: "ig_1" } } }
      ])
      assert.deepEqual(events.at(-1)?.parts, [
        {
          part: {
            type: "finish",
            reason: "tool-calls",
            usage: {
              inputTokens: { total: 100, uncached: 60, cacheRead: 40, cacheWrite: 5 },
              outputTokens: { total: 60, text: 40, reasoning: 20 }
            },
            metadata: { openai: { responseId: "resp_1", model: "gpt-test", serviceTier: "default" } }
          }
        }
      ])
    })
  )

  it.effect("each event alone is decoded as it is among the others", () =>
    Effect.gen(function* () {
      const { events } = yield* read(...everything.map(sse))
      for (const [i, event] of everything.entries()) {
        const alone = yield* decoded(event)
        const { terminal: _, ...rest } = alone!
        const { terminal: __, ...among } = events[i]!
        assert.deepEqual(rest, among)
      }
    })
  )
})

describe("ends", () => {
  const finish = (status: string, more: Json = {}) =>
    Effect.map(retrieved(response({ status, ...more })), (snapshot) => snapshot.finish)

  it.effect.each([
    ["completed", null, "stop"],
    ["incomplete", { reason: "max_output_tokens" }, "length"],
    ["incomplete", { reason: "content_filter" }, "content-filter"],
    ["incomplete", { reason: "steered" }, "other"],
    ["incomplete", { reason: "max_messages" }, "other"],
    ["incomplete", null, "unknown"],
    ["failed", null, "error"],
    ["cancelled", null, "other"]
  ] as const)("%s %j finishes with %s", ([status, incomplete_details, reason]) =>
    Effect.gen(function* () {
      const part = yield* finish(status, { incomplete_details })
      assert.strictEqual(part?.reason, reason)
      assert.deepEqual(part?.usage, { inputTokens: {}, outputTokens: {} })
    })
  )

  it.effect("a response under way has no finish, and its open items no ends", () =>
    Effect.gen(function* () {
      for (const status of ["queued", "in_progress"]) {
        const snapshot = yield* retrieved(
          response({
            status,
            output: [
              message([{ type: "output_text", text: "so far" }], "in_progress"),
              { ...output[3], arguments: '{"ci', status: "in_progress" },
              message([{ type: "output_text", text: "whole" }])
            ]
          })
        )
        assert.isUndefined(snapshot.finish)
        assert.deepEqual(
          snapshot.lanes.map(({ item, lane, parts }) => `${item}/${lane} ${parts.map(({ type }) => type).join(" ")}`),
          ["0/0 text-start text-delta", "1/0 tool-params-start tool-params-delta", "2/0 text-start text-delta text-end"]
        )
      }
    })
  )

  it.effect("a call that a limit cut short is not one to carry out", () =>
    Effect.gen(function* () {
      const cut = { ...output[3], arguments: '{"city":"Pa', status: "incomplete" }
      yield* sameBothWays(
        numbered([
          created(),
          added(0, { ...cut, arguments: "", status: "in_progress" }),
          { type: "response.function_call_arguments.delta", item_id: "fc_1", output_index: 0, delta: '{"city":"Pa' },
          { type: "response.function_call_arguments.done", item_id: "fc_1", output_index: 0, arguments: '{"city":"Pa' },
          { type: "response.output_item.done", output_index: 0, item: cut },
          {
            type: "response.incomplete",
            response: response({
              status: "incomplete",
              incomplete_details: { reason: "max_output_tokens" },
              output: [cut]
            })
          }
        ])
      )
    })
  )

  it.effect.each([
    ["", {}],
    ['{"city":', '{"city":'],
    ["[1]", [1]]
  ] as const)("arguments %j become params %j", ([text, params]) =>
    Effect.gen(function* () {
      const event = yield* decoded({
        type: "response.output_item.done",
        sequence_number: 1,
        output_index: 0,
        item: { ...output[3], arguments: text }
      })
      const part = event?.parts[0]?.part
      assert.deepEqual(part?.type === "tool-call" ? part.params : undefined, params)
    })
  )

  it.effect("items without ids go by their index, in events and snapshots alike", () =>
    Effect.gen(function* () {
      const { id: _, ...call } = output[3]!
      const { id: __, ...text } = message([{ type: "output_text", text: "hi", annotations: [annotations[0]!] }])
      const events = yield* sameBothWays(
        numbered([
          created(),
          added(0, { ...call, arguments: "", status: "in_progress" }),
          { type: "response.function_call_arguments.delta", output_index: 0, delta: call["arguments"] },
          { type: "response.function_call_arguments.done", output_index: 0, arguments: call["arguments"] },
          { type: "response.output_item.done", output_index: 0, item: call },
          added(1, { ...text, content: [] }),
          ...textEvents({ output_index: 1, content_index: 0 }, "output_text", ["h", "i"], [annotations[0]!]),
          { type: "response.output_item.done", output_index: 1, item: text },
          completed(0, { output: [call, text] })
        ])
      )
      assert.strictEqual(lanesOfEvents(events)["1/0"]?.[0]?.type, "text-start")
    })
  )
})
