import type { Statement } from "@effect-baton/core/BackgroundModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ResponseStreamEvent } from "openai/resources/responses/responses"
import { completed, decoded, type Json, response } from "./support.ts"

/** What an event of a type looks like, and what becomes of it. */
interface Row {
  readonly event?: Json
  /** What it says: of which item and lane, and what. */
  readonly says?: ReadonlyArray<string>
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
const over = (status: string): Row => ({
  event: { response: response({ status }) },
  becomes: { status, responseId: "resp_1" }
})

// A type that the SDK learns makes this table fail to compile: decide what becomes of it.
const table = {
  "response.output_text.delta": { event: { ...content, delta: "d" }, says: ["2/1 Delta text d"] },
  "response.refusal.delta": { event: { ...content, delta: "d" }, says: ["2/1 Delta text d"] },
  "response.content_part.added": {
    event: part({ type: "output_text", text: "", annotations: [] }),
    says: ["2/1 LaneStarted text "]
  },
  "response.content_part.done": {
    event: part({ type: "output_text", text: "d", annotations: [] }),
    says: ["2/1 LaneEnded text d"]
  },
  "response.output_text.annotation.added": {
    event: { ...content, annotation_index: 0, annotation: { type: "url_citation", url: "https://a.test", title: "A" } },
    says: ["2/1001 PartAdded sources"]
  },
  "response.reasoning_summary_part.added": {
    event: { ...summary, part: { type: "summary_text", text: "" } },
    says: ["2/1 LaneStarted reasoning "]
  },
  "response.reasoning_summary_text.delta": { event: { ...summary, delta: "d" }, says: ["2/1 Delta reasoning d"] },
  "response.reasoning_summary_part.done": {
    event: { ...summary, part: { type: "summary_text", text: "d" } },
    says: ["2/1 LaneEnded reasoning d"]
  },
  "response.reasoning_text.delta": { event: { ...content, delta: "d" }, says: ["2/1001 Delta reasoning d"] },
  "response.function_call_arguments.delta": { event: { ...item, delta: "{" }, says: ["2/0 Delta params {"] },
  "response.function_call_arguments.done": { event: { ...item, arguments: "{}" }, says: ["2/0 LaneEnded params {}"] },
  "response.custom_tool_call_input.delta": { event: { ...item, delta: "d" }, says: ["2/0 Delta params d"] },
  "response.custom_tool_call_input.done": { event: { ...item, input: "d" }, says: ["2/0 LaneEnded params d"] },
  "response.mcp_call_arguments.delta": { event: { ...item, delta: "{" }, says: ["2/0 Delta params {"] },
  "response.mcp_call_arguments.done": { event: { ...item, arguments: "{}" }, says: ["2/0 LaneEnded params {}"] },
  "response.code_interpreter_call_code.delta": { event: { ...item, delta: "d" }, says: ["2/0 Delta params d"] },
  "response.code_interpreter_call_code.done": { event: { ...item, code: "d" }, says: ["2/0 LaneEnded params d"] },
  "response.image_generation_call.partial_image": {
    event: { ...item, partial_image_index: 0, partial_image_b64: "aA==" },
    says: ["2 Preliminary image_generation"]
  },
  "response.output_item.added": { event: { output_index: 2, item: call }, says: ["2 ItemAdded 0:params"] },
  "response.output_item.done": {
    event: { output_index: 2, item: { ...call, arguments: "{}", status: "completed" } },
    says: ["2 ItemDone 0:params 1:single"]
  },
  "response.created": underWay("queued"),
  "response.queued": underWay("queued"),
  "response.in_progress": underWay("in_progress"),
  "response.completed": over("completed"),
  "response.incomplete": over("incomplete"),
  "response.failed": over("failed"),
  error: { event: { code: "server_error", message: "m", param: null } },
  "response.output_text.done": { event: { ...content, text: "d" }, says: ["2/1 LaneEnded text d"] },
  "response.refusal.done": { event: { ...content, refusal: "d" }, says: ["2/1 LaneEnded text d"] },
  "response.reasoning_summary_text.done": { event: { ...summary, text: "d" }, says: ["2/1 LaneEnded reasoning d"] },
  "response.reasoning_text.done": { event: { ...content, text: "d" }, says: ["2/1001 LaneEnded reasoning d"] },
  // Passed on as they are: the progress of tools that the provider runs, and sound.
  "response.audio.delta": raw,
  "response.audio.done": raw,
  "response.audio.transcript.delta": raw,
  "response.audio.transcript.done": raw,
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

const inWords = (statement: Statement): string => {
  const { index } = statement
  switch (statement._tag) {
    case "Delta":
      return `${index}/${statement.lane} Delta ${statement.kind} ${statement.delta}`
    case "LaneStarted":
      return `${index}/${statement.lane.lane} LaneStarted ${statement.lane.kind} ${statement.lane.text}`
    case "LaneEnded":
      return `${index}/${statement.lane} LaneEnded ${statement.kind} ${statement.text}`
    case "PartAdded":
      return `${index}/${statement.lane.lane} PartAdded ${statement.lane.kind}`
    case "Preliminary":
      return `${index} Preliminary ${statement.part.name}`
    case "ItemAdded":
    case "ItemDone":
      return `${index} ${statement._tag} ${statement.lanes?.map(({ kind, lane }) => `${lane}:${kind}`).join(" ")}`
  }
}

describe("the types of events", () => {
  it.effect.each(rows)("%s", ([type, { becomes = {}, event = {}, says = [] }]) =>
    Effect.gen(function* () {
      const whole = { type, sequence_number: 7, ...event }
      const decoding = yield* decoded(whole)
      assert.strictEqual(decoding?.sequenceNumber, 7)
      assert.deepEqual(decoding?.raw, whole)
      assert.deepEqual(decoding?.statements.map(inWords), [...says])
      const { error, raw: _, sequenceNumber: __, statements: ___, terminal, ...rest } = decoding!
      assert.deepEqual<unknown>(rest, becomes)
      assert.strictEqual(error?.reason._tag, type === "error" ? "InternalProviderError" : undefined)
      assert.strictEqual(terminal?.status, terminal === undefined ? undefined : becomes["status"])
    })
  )

  it("are the SDK's 59", () => {
    assert.strictEqual(Object.keys(table).length, 59)
  })

  // With any field missing, or of another type, an event still passes, and is never a defect.
  it.effect.each(rows)("%s without its fields passes", ([type, { event = {} }]) =>
    Effect.gen(function* () {
      for (const broken of Object.keys(event)) {
        for (const value of [undefined, null, 7, "x", {}, [], 1e300, 0.5, -1, 1000]) {
          const whole = { type, sequence_number: 7, ...event, [broken]: value }
          const decoding = yield* decoded(whole)
          assert.strictEqual(decoding?.sequenceNumber, 7)
          assert.deepEqual(decoding?.raw, JSON.parse(JSON.stringify(whole)))
        }
      }
    })
  )
})

describe("numbers (C12)", () => {
  const text = { type: "response.output_text.delta", ...content, delta: "d" }

  it.effect.each([undefined, null, "7", 7.5, -1, 1e300, 2 ** 53])("a sequence number %s is none", (sequence_number) =>
    Effect.gen(function* () {
      const decoding = yield* decoded({ ...text, sequence_number })
      assert.notProperty(decoding, "sequenceNumber")
      assert.strictEqual(decoding?.statements.length, 1)
    })
  )

  const inner: ReadonlyArray<readonly [string, string, Json]> = [
    ["response.output_text.delta", "content_index", { ...content, delta: "d" }],
    ["response.refusal.delta", "content_index", { ...content, delta: "d" }],
    ["response.reasoning_text.delta", "content_index", { ...content, delta: "d" }],
    ["response.reasoning_summary_text.delta", "summary_index", { ...summary, delta: "d" }],
    ["response.output_text.done", "content_index", { ...content, text: "d" }],
    ["response.reasoning_text.done", "content_index", { ...content, text: "d" }],
    ["response.reasoning_summary_text.done", "summary_index", { ...summary, text: "d" }],
    ["response.content_part.added", "content_index", part({ type: "output_text", text: "" })],
    ["response.content_part.done", "content_index", part({ type: "output_text", text: "", annotations: [{}] })],
    ["response.content_part.done", "content_index", part({ type: "reasoning_text", text: "" })],
    ["response.reasoning_summary_part.added", "summary_index", { ...summary, part: { text: "" } }],
    ["response.reasoning_summary_part.done", "summary_index", { ...summary, part: { text: "" } }],
    ["response.output_text.annotation.added", "content_index", { ...content, annotation_index: 0, annotation: {} }],
    ["response.output_text.annotation.added", "annotation_index", { ...content, annotation_index: 0, annotation: {} }]
  ]

  it.effect.each(inner)("%s with a %s that no position can hold is raw", ([type, field, event]) =>
    Effect.gen(function* () {
      for (const value of [1000, 1e300, 0.5, -1, "0", {}, true]) {
        const decoding = yield* decoded({ type, sequence_number: 7, ...event, [field]: value })
        assert.deepEqual(decoding?.statements, [], String(value))
        assert.isDefined(decoding?.raw)
      }
    })
  )

  it.effect("the last content, citation and item that a position can hold", () =>
    Effect.gen(function* () {
      const decoding = yield* decoded({ ...text, output_index: 999_999, content_index: 999 })
      assert.deepEqual<unknown>(decoding?.statements, [
        { _tag: "Delta", index: 999_999, itemId: undefined, lane: 999, kind: "text", delta: "d" }
      ])
    })
  )

  it.effect.each([undefined, null])("a content index that is %s is the first", (content_index) =>
    Effect.gen(function* () {
      const decoding = yield* decoded({ ...text, content_index })
      assert.deepEqual(decoding?.statements.map(inWords), ["2/0 Delta text d"])
    })
  )

  it.effect.each([undefined, null, 1_000_000, 1e300, 0.5, -1, "2"])(
    "an item's index %s is none: the id names the item (C7)",
    (output_index) =>
      Effect.gen(function* () {
        const other = { type: "response.output_item.done", item: { ...call, id: "j" } }
        for (const [event, id] of [
          [text, "i"],
          [{ type: "response.output_text.done", ...content, text: "d" }, "i"],
          [{ type: "response.content_part.added", ...part({ type: "output_text", text: "" }) }, "i"],
          [{ type: "response.output_text.annotation.added", ...content, annotation: {} }, "i"],
          [{ type: "response.function_call_arguments.delta", item_id: "i", delta: "{" }, "i"],
          [{ type: "response.output_item.added", item: { ...call, id: "j" } }, "j"],
          [other, "j"]
        ] as ReadonlyArray<readonly [Json, string]>) {
          const decoding = yield* decoded({ ...event, output_index })
          const [statement] = decoding!.statements
          assert.deepEqual([statement?.index, statement?.itemId], [undefined, id], JSON.stringify(event))
        }
        const nameless = yield* decoded({ ...text, output_index, item_id: undefined })
        assert.deepEqual([nameless?.statements[0]?.index, nameless?.statements[0]?.itemId], [undefined, undefined])
      })
  )

  it.effect("with an index the id does not count, as some servers change it", () =>
    Effect.gen(function* () {
      const decoding = yield* decoded(text)
      assert.isUndefined(decoding?.statements[0]?.itemId)
    })
  )

  it.effect("a citation without a number is the next one", () =>
    Effect.gen(function* () {
      const event = { type: "response.output_text.annotation.added", ...content, annotation: {} }
      const [unnumbered] = (yield* decoded(event))!.statements
      assert.deepEqual<unknown>(unnumbered?._tag === "PartAdded" && unnumbered.lane, {
        lane: 1001,
        kind: "sources",
        sources: [undefined]
      })
      const [third] = (yield* decoded({ ...event, annotation_index: 2 }))!.statements
      assert.deepInclude<unknown>(third?._tag === "PartAdded" && third.lane, { from: 2 })
    })
  )
})

describe("a terminal event ends its response", () => {
  it.effect.each([
    ["completed", "completed"],
    ["incomplete", "incomplete"],
    ["failed", "failed"],
    ["cancelled", "cancelled"]
  ] as const)("response.%s, whatever it holds (C3)", ([name, status]) =>
    Effect.gen(function* () {
      const bodies = [undefined, null, 7, "x", [], {}, { id: 7 }, { status: "sideways" }, { status: "in_progress" }]
      for (const body of bodies) {
        const decoding = yield* decoded({ type: `response.${name}`, sequence_number: 7, response: body })
        assert.strictEqual(decoding?.status, status, JSON.stringify(body))
        assert.notProperty(decoding, "responseId")
        assert.strictEqual(decoding?.terminal?.responseId, "")
        assert.deepEqual(decoding?.terminal?.items, [])
        assert.isDefined(decoding?.terminal?.finish)
        assert.deepInclude(decoding?.raw, { type: `response.${name}` })
      }
      const named = yield* decoded({ type: `response.${name}`, response: { id: "resp_1", output: null } })
      assert.strictEqual(named?.responseId, "resp_1")
    })
  )

  it.effect("by the response's own status, if that is an end", () =>
    Effect.gen(function* () {
      for (const [own, status] of [
        ["incomplete", "incomplete"],
        ["failed", "failed"],
        ["cancelled", "cancelled"],
        ["canceled", "cancelled"],
        ["queued", "completed"],
        ["expired", "completed"],
        ["waiting", "completed"]
      ]) {
        assert.strictEqual((yield* decoded(completed(7, { status: own })))?.status, status)
      }
    })
  )
})

describe("whether a response runs in the background (P2)", () => {
  it.effect.each(["response.created", "response.queued", "response.in_progress", "response.completed"])(
    "%s says it",
    (type) =>
      Effect.gen(function* () {
        for (const background of [true, false]) {
          const decoding = yield* decoded({ type, response: response({ background }) })
          assert.strictEqual(decoding?.background, background)
        }
        for (const background of [undefined, null, "false", 0]) {
          assert.notProperty(yield* decoded({ type, response: response({ background }) }), "background")
        }
      })
  )
})
