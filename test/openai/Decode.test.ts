import type { Lane } from "@effect-baton/core/BackgroundModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { added, annotations, everything, message, numbered, output, textEvents } from "./everything.ts"
import { lanesOfEvents, lanesOfSnapshot, retrieved, sameBothWays } from "./lanes.ts"
import { completed, created, decoded, type Json, read, response, sse } from "./support.ts"

const inWords = (lanes: Record<string, Lane>) =>
  Object.entries(lanes).map(
    ([place, lane]) => `${place} ${lane.kind}${"text" in lane && lane.text !== "" ? ` ${lane.text}` : ""}`
  )

describe("a response with everything", () => {
  it.effect("is the same from events and from a snapshot", () =>
    Effect.gen(function* () {
      const events = yield* sameBothWays(everything)
      const statements = events.flatMap((event) => event.statements)
      assert.deepEqual(
        statements.flatMap((statement) => (statement._tag === "ItemDone" ? [statement.index] : [])),
        [0, 1, 2, 3, 4, 5, 6]
      )
      const lanes = lanesOfEvents(events)
      assert.deepEqual(inWords(lanes), [
        "0/0 reasoning First, then second.",
        "0/1 reasoning",
        "0/1000 reasoning Thinking aloud",
        "1/1 single",
        "1/2 single",
        "2/0 text Hello, world",
        "2/1000 sources",
        "2/1 text I will not",
        "2/2 text",
        '3/0 params {"city":"Paris"}',
        "3/1 single",
        "4/0 params ls -la",
        "4/1 single",
        "5/1 single",
        "5/0 single",
        "5/2 single",
        "6/1 single",
        "6/2 single"
      ])
      assert.deepEqual<unknown>(lanes["0/1000"], {
        lane: 1000,
        kind: "reasoning",
        text: "Thinking aloud",
        metadata: { openai: { itemId: "rs_1", reasoningText: true } }
      })
      assert.deepEqual<unknown>(lanes["2/1"], {
        lane: 1,
        kind: "text",
        text: "I will not",
        metadata: { openai: { itemId: "msg_1", refusal: true } }
      })
      const cited = lanes["2/1000"]
      assert.deepEqual<unknown>(
        cited?.kind === "sources" && cited.sources.map((source) => source && [source.sourceType, source.title]),
        [
          ["url", "A"],
          ["document", "sales.csv"],
          undefined,
          undefined,
          ["document", "plot.png"],
          ["document", "file-3"]
        ]
      )
      assert.deepEqual<unknown>(lanes["3/0"], {
        lane: 0,
        kind: "params",
        text: '{"city":"Paris"}',
        name: "get_weather",
        metadata: { openai: { callId: "call_1", itemId: "fc_1" } }
      })
      assert.deepEqual<unknown>(lanes["3/1"], {
        lane: 1,
        kind: "single",
        part: {
          type: "tool-call",
          id: "call_1",
          name: "get_weather",
          params: { city: "Paris" },
          metadata: { openai: { itemId: "fc_1" } }
        }
      })
      assert.deepEqual<unknown>(lanes["4/1"], {
        lane: 1,
        kind: "single",
        part: {
          type: "tool-call",
          id: "call_2",
          name: "shell",
          params: "ls -la",
          metadata: { openai: { itemId: "ct_1", type: "custom_tool_call" } }
        }
      })
      assert.deepEqual<unknown>(lanes["5/0"], {
        lane: 0,
        kind: "single",
        part: { type: "file", mediaType: "image/webp", data: "aGVsbG8=", metadata: { openai: { itemId: "ig_1" } } }
      })
      assert.deepEqual(events.at(-1)?.statements, [])
      assert.deepEqual(events.at(-1)?.terminal?.finish, {
        type: "finish",
        reason: "tool-calls",
        usage: {
          inputTokens: { total: 100, uncached: 60, cacheRead: 40, cacheWrite: 5 },
          outputTokens: { total: 60, text: 40, reasoning: 20 }
        },
        metadata: { openai: { responseId: "resp_1", model: "gpt-test", serviceTier: "default" } }
      })
    })
  )

  it.effect("each event alone is decoded as it is among the others", () =>
    Effect.gen(function* () {
      const { events } = yield* read(...everything.map(sse))
      for (const [i, event] of everything.entries()) assert.deepEqual(yield* decoded(event), events[i])
    })
  )
})

describe("what an event says", () => {
  it.effect("an item that is announced with texts begins with them", () =>
    Effect.gen(function* () {
      const item = message([{ type: "output_text", text: "Hel", annotations }, { type: "x" }], "in_progress")
      const event = yield* decoded({ ...added(3, item), sequence_number: 1 })
      assert.deepEqual<unknown>(event?.statements, [
        {
          _tag: "ItemAdded",
          index: 3,
          itemId: undefined,
          lanes: [{ lane: 0, kind: "text", text: "Hel", metadata: { openai: { itemId: "msg_1" } } }]
        }
      ])
      const empty = yield* decoded(added(3, message([], "in_progress")))
      assert.deepInclude<unknown>(empty?.statements[0], { lanes: [] })
    })
  )

  it.effect("the end of a text says the whole text, and the citations that it repeats (C1)", () =>
    Effect.gen(function* () {
      const part = { type: "output_text", text: "Hello", annotations: annotations.slice(0, 1) }
      const at = { item_id: "msg_1", output_index: 2, content_index: 1 }
      const event = yield* decoded({ type: "response.content_part.done", ...at, part })
      const metadata = { openai: { itemId: "msg_1" } }
      const end = { _tag: "LaneEnded", index: 2, itemId: undefined, lane: 1, kind: "text", text: "Hello", metadata }
      assert.strictEqual(event?.statements.length, 2)
      assert.deepInclude<unknown>(event?.statements[0], { _tag: "PartAdded", index: 2 })
      assert.deepEqual<unknown>(event?.statements[1], end)
      const text = yield* decoded({ type: "response.output_text.done", ...at, text: "Hello" })
      assert.deepEqual<unknown>(text?.statements, [end])
      const { text: _, ...unsaid } = end
      const wordless = yield* decoded({ type: "response.output_text.done", ...at })
      assert.deepEqual<unknown>(wordless?.statements, [unsaid])
    })
  )

  it.effect.each([7, null, "x", [], {}, { type: "function_call" }, { type: "message", content: 7 }])(
    "an item %j that cannot be read is finished all the same (C4)",
    (item) =>
      Effect.gen(function* () {
        const event = yield* decoded({ type: "response.output_item.done", output_index: 4, item })
        assert.deepEqual<unknown>(event?.statements, [{ _tag: "ItemDone", index: 4, itemId: undefined }])
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
    ["incomplete", { reason: "toString" }, "other"],
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

  it.effect("a response under way has no finish, and only items that say so are done", () =>
    Effect.gen(function* () {
      for (const status of ["queued", "in_progress"]) {
        const { status: _, ...nameless } = message([{ type: "output_text", text: "?" }])
        const snapshot = yield* retrieved(
          response({
            status,
            output: [
              message([{ type: "output_text", text: "so far" }], "in_progress"),
              { ...output[3], arguments: '{"ci', status: "in_progress" },
              message([{ type: "output_text", text: "whole" }]),
              nameless,
              // Half a call of a custom tool says nothing of its status.
              { type: "custom_tool_call", call_id: "c", name: "shell", input: "rm -rf /tm" },
              { type: "image_generation_call", status: "generating", result: "aGVsbG8=" }
            ]
          })
        )
        assert.isUndefined(snapshot.finish)
        assert.deepEqual(
          snapshot.items.map(({ done }) => done),
          [false, false, true, false, false, false]
        )
        assert.deepEqual(inWords(lanesOfSnapshot(snapshot)), [
          "0/0 text so far",
          '1/0 params {"ci',
          "2/0 text whole",
          "3/0 text ?",
          "4/0 params rm -rf /tm"
        ])
      }
    })
  )

  it.effect.each([
    ["", {}],
    ['{"city":', '{"city":'],
    ["[1]", [1]]
  ] as const)("arguments %j become params %j", ([text, params]) =>
    Effect.gen(function* () {
      const item = { ...output[3], arguments: text }
      const event = yield* decoded({ type: "response.output_item.done", sequence_number: 1, output_index: 0, item })
      const lane = lanesOfEvents([event!])["0/1"]
      const part = lane?.kind === "single" ? lane.part : undefined
      assert.deepEqual(part?.type === "tool-call" ? part.params : undefined, params)
    })
  )

  it.effect("items without ids are the same in events and snapshots", () =>
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
      assert.deepInclude<unknown>(lanesOfEvents(events)["1/0"], { text: "hi", metadata: { openai: {} } })
    })
  )
})

describe("calls that were cut short (C10)", () => {
  const singles = (lanes: Record<string, Lane>) => Object.values(lanes).filter(({ kind }) => kind === "single").length
  const custom = output[4]!

  // The call's item, the status of its response, and whether it is handed out: by a snapshot, and by the item's end.
  const cases: ReadonlyArray<readonly [string, Json, string, number, number]> = [
    ["an unfinished call", { ...output[3], status: "in_progress" }, "incomplete", 0, 0],
    ["an unfinished call", { ...output[3], status: "in_progress" }, "cancelled", 0, 0],
    ["an unfinished call", { ...output[3], status: "in_progress" }, "failed", 0, 0],
    ["an unfinished call", { ...output[3], status: "in_progress" }, "completed", 0, 0],
    ["a call that a limit cut short", { ...output[3], status: "incomplete" }, "incomplete", 0, 0],
    ["a call that a limit cut short", { ...output[3], status: "incomplete" }, "completed", 0, 0],
    ["a finished call", output[3]!, "completed", 1, 1],
    ["a finished call", output[3]!, "incomplete", 1, 1],
    ["a finished call", output[3]!, "cancelled", 1, 1],
    ["a finished call", output[3]!, "in_progress", 1, 1],
    ["a call without a status", { ...custom, status: undefined }, "completed", 1, 1],
    ["a call without a status", { ...custom, status: null }, "completed", 1, 1],
    ["a call without a status", { ...custom, status: undefined }, "incomplete", 0, 1],
    ["a call without a status", { ...custom, status: undefined }, "cancelled", 0, 1],
    ["a call without a status", { ...custom, status: undefined }, "failed", 0, 1],
    ["a call without a status", { ...custom, status: undefined }, "in_progress", 0, 1]
  ]

  it.effect.each(cases)("%s in a response that is %s", ([, item, status, shown, ended]) =>
    Effect.gen(function* () {
      const snapshot = yield* retrieved(response({ status, output: [item] }))
      assert.strictEqual(singles(lanesOfSnapshot(snapshot)), shown)
      assert.strictEqual(lanesOfSnapshot(snapshot)["0/0"]?.kind, "params")
      const event = yield* decoded({ type: "response.output_item.done", output_index: 0, item })
      assert.strictEqual(singles(lanesOfEvents([event!])), ended)
      assert.strictEqual(lanesOfEvents([event!])["0/0"]?.kind, "params")
    })
  )

  it.effect("are the same from events and from a snapshot", () =>
    Effect.gen(function* () {
      const cut = { ...output[3], arguments: '{"city":"Pa', status: "incomplete" }
      const events = yield* sameBothWays(
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
      assert.strictEqual(events.at(-1)?.terminal?.finish?.reason, "length")
    })
  )
})

describe("responses that wait for their caller (C9)", () => {
  const reasonFor = (...items: ReadonlyArray<Json>) =>
    Effect.map(retrieved(response({ output: [output[0]!, ...items] })), ({ finish }) => finish?.reason)

  const action = { type: "exec", command: ["ls"], env: {} }
  const waiting: ReadonlyArray<Json> = [
    output[3]!,
    output[4]!,
    { type: "function_call", name: "f", arguments: "{}" },
    { type: "mcp_approval_request", id: "mcpr_1", name: "f", arguments: "{}", server_label: "s" },
    { type: "computer_call", id: "cu_1", call_id: "c", status: "completed", pending_safety_checks: [] },
    { type: "local_shell_call", id: "ls_1", call_id: "c", status: "completed", action },
    { type: "shell_call", id: "sh_1", call_id: "c", status: "completed", environment: { type: "local" } },
    { type: "shell_call", id: "sh_1", call_id: "c", status: "completed", environment: null },
    { type: "apply_patch_call", id: "ap_1", call_id: "c", status: "completed" },
    { type: "tool_search_call", id: "ts_1", call_id: "c", status: "completed", execution: "client" }
  ]

  it.effect.each(waiting)("for %j: tool-calls", (item) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* reasonFor(item), "tool-calls")
      assert.strictEqual((yield* decoded(completed(9, { output: [item] })))?.terminal?.finish?.reason, "tool-calls")
    })
  )

  const settled: ReadonlyArray<ReadonlyArray<Json>> = [
    [],
    [{ type: "tool_search_call", call_id: "c", execution: "server" }],
    [{ type: "shell_call", call_id: "c", environment: { type: "container_reference", container_id: "x" } }],
    [
      { type: "shell_call", id: "sh_1", call_id: "c" },
      { type: "shell_call_output", id: "so_1", call_id: "c" }
    ],
    [
      { type: "local_shell_call", id: "ls_1", call_id: "c" },
      { type: "local_shell_call_output", id: "c" }
    ],
    [
      { type: "mcp_approval_request", id: "mcpr_1" },
      { type: "mcp_approval_response", id: "x", approval_request_id: "mcpr_1" }
    ],
    [
      { type: "function_call", call_id: "c", name: "f", arguments: "{}", status: "completed" },
      { type: "function_call_output", call_id: "c", output: "x" }
    ],
    [{ ...output[3]!, status: "in_progress" }],
    [{ type: "mcp_call", id: "mc_1" }, { type: "web_search_call" }, { type: "code_interpreter_call" }]
  ]

  it.effect.each(settled)("not for %j", (items) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* reasonFor(...items), "stop")
    })
  )
})
