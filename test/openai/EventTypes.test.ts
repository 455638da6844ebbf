import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ResponseStreamEvent } from "openai/resources/responses/responses"
import { completed, decoded, type Json, response } from "./support.ts"

/** What an event of a type looks like, and what becomes of it. */
interface Row {
  readonly event?: Json
  /** The lanes and types of the parts. */
  readonly parts?: ReadonlyArray<string>
  readonly becomes?: Json
}

const part = (added: Json): Json => ({ item_id: "i", output_index: 2, content_index: 1, part: added })
const summary = { item_id: "i", output_index: 2, summary_index: 1 }
const content = { item_id: "i", output_index: 2, content_index: 1 }
const item = { item_id: "i", output_index: 2 }
const call = { type: "function_call", id: "i", call_id: "c", name: "f", arguments: "", status: "in_progress" }
const raw: Row = { event: { ...item, delta: "d" } }
const underWay = (status: string): Row => ({
  event: { response: response({ status }) },
  becomes: { status, responseId: "resp_1" }
})
const over = (status: string, ...parts: ReadonlyArray<string>): Row => ({
  event: { response: response({ status }) },
  parts,
  becomes: { status, responseId: "resp_1" }
})

// A type that the SDK learns makes this table fail to compile: decide what becomes of it.
const table = {
  "response.output_text.delta": { event: { ...content, delta: "d" }, parts: ["2/1 text-delta"] },
  "response.refusal.delta": { event: { ...content, delta: "d" }, parts: ["2/1 text-delta"] },
  "response.content_part.added": {
    event: part({ type: "output_text", text: "", annotations: [] }),
    parts: ["2/1 text-start"]
  },
  "response.content_part.done": {
    event: part({ type: "output_text", text: "d", annotations: [] }),
    parts: ["2/1 text-end"]
  },
  "response.output_text.annotation.added": {
    event: { ...content, annotation_index: 0, annotation: { type: "url_citation", url: "https://a.test", title: "A" } },
    parts: ["2/1001 source"]
  },
  "response.reasoning_summary_part.added": {
    event: { ...summary, part: { type: "summary_text", text: "" } },
    parts: ["2/1 reasoning-start"]
  },
  "response.reasoning_summary_text.delta": { event: { ...summary, delta: "d" }, parts: ["2/1 reasoning-delta"] },
  "response.reasoning_summary_part.done": {
    event: { ...summary, part: { type: "summary_text", text: "d" } },
    parts: ["2/1 reasoning-end"]
  },
  "response.reasoning_text.delta": { event: { ...content, delta: "d" }, parts: ["2/1001 reasoning-delta"] },
  "response.function_call_arguments.delta": { event: { ...item, delta: "{" }, parts: ["2/0 tool-params-delta"] },
  "response.function_call_arguments.done": { event: { ...item, arguments: "{}" }, parts: ["2/0 tool-params-end"] },
  "response.custom_tool_call_input.delta": { event: { ...item, delta: "d" }, parts: ["2/0 tool-params-delta"] },
  "response.custom_tool_call_input.done": { event: { ...item, input: "d" }, parts: ["2/0 tool-params-end"] },
  "response.output_item.added": { event: { output_index: 2, item: call }, parts: ["2/0 tool-params-start"] },
  "response.output_item.done": {
    event: { output_index: 2, item: { ...call, arguments: "{}", status: "completed" } },
    parts: ["2/1 tool-call"],
    becomes: { closes: 2 }
  },
  "response.created": underWay("queued"),
  "response.queued": underWay("queued"),
  "response.in_progress": underWay("in_progress"),
  "response.completed": over("completed", "finish"),
  "response.incomplete": over("incomplete", "finish"),
  "response.failed": over("failed"),
  error: { event: { code: "server_error", message: "m", param: null }, parts: ["error"] },
  // Told by the part's own events.
  "response.output_text.done": { event: { ...content, text: "d" } },
  "response.refusal.done": { event: { ...content, refusal: "d" } },
  "response.reasoning_summary_text.done": { event: { ...summary, text: "d" } },
  "response.reasoning_text.done": { event: { ...content, text: "d" } },
  // Passed on as they are: tools that the provider runs, and sound.
  "response.audio.delta": raw,
  "response.audio.done": raw,
  "response.audio.transcript.delta": raw,
  "response.audio.transcript.done": raw,
  "response.code_interpreter_call_code.delta": raw,
  "response.code_interpreter_call_code.done": raw,
  "response.code_interpreter_call.completed": raw,
  "response.code_interpreter_call.in_progress": raw,
  "response.code_interpreter_call.interpreting": raw,
  "response.compaction.compacting": raw,
  "response.file_search_call.completed": raw,
  "response.file_search_call.in_progress": raw,
  "response.file_search_call.searching": raw,
  "response.shell_call_command.added": raw,
  "response.shell_call_command.delta": raw,
  "response.shell_call_command.done": raw,
  "response.shell_call_output_content.delta": raw,
  "response.shell_call_output_content.done": raw,
  "response.web_search_call.completed": raw,
  "response.web_search_call.in_progress": raw,
  "response.web_search_call.searching": raw,
  "response.image_generation_call.completed": raw,
  "response.image_generation_call.generating": raw,
  "response.image_generation_call.in_progress": raw,
  "response.image_generation_call.partial_image": raw,
  "response.mcp_call_arguments.delta": raw,
  "response.mcp_call_arguments.done": raw,
  "response.mcp_call.completed": raw,
  "response.mcp_call.failed": raw,
  "response.mcp_call.in_progress": raw,
  "response.mcp_list_tools.completed": raw,
  "response.mcp_list_tools.failed": raw,
  "response.mcp_list_tools.in_progress": raw
} satisfies Record<ResponseStreamEvent["type"], Row>

// On the wire, and not in the SDK's union.
const others: Record<string, Row> = {
  keepalive: { becomes: { keepalive: true } },
  "response.cancelled": over("cancelled"),
  content_filters: raw,
  "response.apply_patch_call_operation_diff.delta": raw,
  "response.never_heard_of": raw
}

const rows: ReadonlyArray<readonly [string, Row]> = [...Object.entries(table), ...Object.entries(others)]

describe("the types of events", () => {
  it.effect.each(rows)("%s", ([type, { becomes = {}, event = {}, parts = [] }]) =>
    Effect.gen(function* () {
      const whole = { type, sequence_number: 7, ...event }
      const decoding = yield* decoded(whole)
      assert.strictEqual(decoding?.sequenceNumber, 7)
      assert.deepEqual(decoding?.raw, whole)
      assert.deepEqual(
        decoding?.parts.map((told) => (told.item === undefined ? "" : `${told.item}/${told.lane} `) + told.part.type),
        [...parts]
      )
      const { parts: _, raw: __, sequenceNumber: ___, lanes, terminal, ...rest } = decoding!
      assert.deepEqual<unknown>(rest, becomes)
      assert.strictEqual(lanes !== undefined, "closes" in becomes)
      assert.strictEqual(terminal?.status, terminal === undefined ? undefined : becomes["status"])
    })
  )

  it("are the SDK's 59", () => {
    assert.strictEqual(Object.keys(table).length, 59)
  })

  // With any field missing, or of another type, an event still passes, and is never a defect.
  it.effect.each(rows)("%s without its fields passes", ([type, { event = {} }]) =>
    Effect.gen(function* () {
      if (["response.completed", "response.incomplete", "response.failed", "response.cancelled"].includes(type)) return
      for (const broken of Object.keys(event)) {
        for (const value of [undefined, null, 7, "x", {}, []]) {
          const whole = { type, sequence_number: 7, ...event, [broken]: value }
          const decoding = yield* decoded(whole)
          assert.strictEqual(decoding?.sequenceNumber, 7)
          assert.deepEqual(decoding?.raw, JSON.parse(JSON.stringify(whole)))
        }
      }
    })
  )

  it.effect("without a sequence number", () =>
    Effect.gen(function* () {
      const decoding = yield* decoded({ type: "response.output_text.delta", ...content, delta: "d" })
      assert.notProperty(decoding, "sequenceNumber")
      assert.strictEqual(decoding?.parts.length, 1)
    })
  )

  it.effect("a terminal event that cannot be read fails the stream as an invalid response", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* decoded({ type: "response.completed", sequence_number: 7 }))
      assert.isUndefined(yield* decoded({ ...completed(7), response: { id: 7 } }))
      assert.isUndefined(
        yield* decoded(completed(7, { output: [{ type: "message", content: [{ type: "output_text" }] }] }))
      )
    })
  )
})
