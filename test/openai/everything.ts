import { completed, created, type Json, response } from "./support.ts"

export const numbered = (events: ReadonlyArray<Json>): ReadonlyArray<Json> =>
  events.map((event, sequence_number) => ({ ...event, sequence_number }))

export const message = (content: ReadonlyArray<Json>, status = "completed") => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  status,
  content
})

export const annotations = [
  { type: "url_citation", url: "https://a.test/x", title: "A", start_index: 0, end_index: 2 },
  { type: "file_citation", file_id: "file-1", filename: "sales.csv", index: 3 },
  { type: "never_heard_of", x: 1 },
  { type: "url_citation", url: "no url", title: "B", start_index: 0, end_index: 2 },
  {
    type: "container_file_citation",
    container_id: "c",
    file_id: "file-2",
    filename: "plot.png",
    start_index: 0,
    end_index: 1
  },
  { type: "file_path", file_id: "file-3", index: 1 }
]

export const textEvents = (
  at: Json,
  kind: "output_text" | "refusal",
  deltas: ReadonlyArray<string>,
  cited: ReadonlyArray<Json> = []
) => {
  const text = deltas.join("")
  const whole = (value: string) =>
    kind === "refusal" ? { type: kind, refusal: value } : { type: kind, text: value, annotations: cited }
  return [
    { type: "response.content_part.added", ...at, part: whole("") },
    ...deltas.map((delta) => ({ type: `response.${kind}.delta`, ...at, delta })),
    ...cited.map((annotation, annotation_index) => ({
      type: "response.output_text.annotation.added",
      ...at,
      annotation_index,
      annotation
    })),
    { type: `response.${kind}.done`, ...at, [kind === "refusal" ? "refusal" : "text"]: text },
    { type: "response.content_part.done", ...at, part: whole(text) }
  ]
}

export const output: ReadonlyArray<Json> = [
  {
    id: "rs_1",
    type: "reasoning",
    summary: [
      { type: "summary_text", text: "First, then second." },
      { type: "summary_text", text: "" }
    ],
    content: [{ type: "reasoning_text", text: "Thinking aloud" }]
  },
  { id: "ws_1", type: "web_search_call", status: "completed", action: { type: "search", query: "q" } },
  message([
    { type: "output_text", text: "Hello, world", annotations },
    { type: "refusal", refusal: "I will not" },
    { type: "output_text", text: "", annotations: [] }
  ]),
  {
    id: "fc_1",
    type: "function_call",
    call_id: "call_1",
    name: "get_weather",
    arguments: '{"city":"Paris"}',
    status: "completed"
  },
  { id: "ct_1", type: "custom_tool_call", call_id: "call_2", name: "shell", input: "ls -la", status: "completed" },
  { id: "ig_1", type: "image_generation_call", status: "completed", result: "aGVsbG8=", output_format: "webp" },
  { id: "ig_2", type: "image_generation_call", status: "failed", result: null }
]

export const added = (output_index: number, item: Json): Json => ({
  type: "response.output_item.added",
  output_index,
  item
})
const done = (output_index: number): Json => ({
  type: "response.output_item.done",
  output_index,
  item: output[output_index]
})

export const everything = numbered([
  created(),
  { type: "response.in_progress", response: response({ status: "in_progress" }) },
  added(0, { ...output[0], summary: [], content: [] }),
  {
    type: "response.reasoning_summary_part.added",
    item_id: "rs_1",
    output_index: 0,
    summary_index: 0,
    part: { type: "summary_text", text: "" }
  },
  {
    type: "response.reasoning_summary_text.delta",
    item_id: "rs_1",
    output_index: 0,
    summary_index: 0,
    delta: "First, "
  },
  {
    type: "response.reasoning_summary_text.delta",
    item_id: "rs_1",
    output_index: 0,
    summary_index: 0,
    delta: "then second."
  },
  {
    type: "response.reasoning_summary_text.done",
    item_id: "rs_1",
    output_index: 0,
    summary_index: 0,
    text: "First, then second."
  },
  {
    type: "response.reasoning_summary_part.done",
    item_id: "rs_1",
    output_index: 0,
    summary_index: 0,
    part: { type: "summary_text", text: "First, then second." }
  },
  {
    type: "response.reasoning_summary_part.added",
    item_id: "rs_1",
    output_index: 0,
    summary_index: 1,
    part: { type: "summary_text", text: "" }
  },
  {
    type: "response.reasoning_summary_part.done",
    item_id: "rs_1",
    output_index: 0,
    summary_index: 1,
    part: { type: "summary_text", text: "" }
  },
  {
    type: "response.content_part.added",
    item_id: "rs_1",
    output_index: 0,
    content_index: 0,
    part: { type: "reasoning_text", text: "Think" }
  },
  { type: "response.reasoning_text.delta", item_id: "rs_1", output_index: 0, content_index: 0, delta: "ing aloud" },
  { type: "response.reasoning_text.done", item_id: "rs_1", output_index: 0, content_index: 0, text: "Thinking aloud" },
  {
    type: "response.content_part.done",
    item_id: "rs_1",
    output_index: 0,
    content_index: 0,
    part: { type: "reasoning_text", text: "Thinking aloud" }
  },
  done(0),
  added(1, { ...output[1], status: "in_progress" }),
  { type: "response.web_search_call.searching", item_id: "ws_1", output_index: 1 },
  done(1),
  added(2, message([], "in_progress")),
  ...textEvents(
    { item_id: "msg_1", output_index: 2, content_index: 0 },
    "output_text",
    ["Hello", ", ", "world"],
    annotations
  ),
  ...textEvents({ item_id: "msg_1", output_index: 2, content_index: 1 }, "refusal", ["I will", " not"]),
  ...textEvents({ item_id: "msg_1", output_index: 2, content_index: 2 }, "output_text", []),
  done(2),
  added(3, { ...output[3], arguments: "", status: "in_progress" }),
  { type: "response.function_call_arguments.delta", item_id: "fc_1", output_index: 3, delta: '{"city":' },
  { type: "response.function_call_arguments.delta", item_id: "fc_1", output_index: 3, delta: '"Paris"}' },
  { type: "response.function_call_arguments.done", item_id: "fc_1", output_index: 3, arguments: '{"city":"Paris"}' },
  done(3),
  added(4, { ...output[4], input: "" }),
  { type: "response.custom_tool_call_input.delta", item_id: "ct_1", output_index: 4, delta: "ls -la" },
  { type: "response.custom_tool_call_input.done", item_id: "ct_1", output_index: 4, input: "ls -la" },
  done(4),
  added(5, { ...output[5], result: null }),
  { type: "response.image_generation_call.partial_image", item_id: "ig_1", output_index: 5, partial_image_b64: "aA==" },
  done(5),
  added(6, { ...output[6] }),
  done(6),
  completed(0, {
    output,
    service_tier: "default",
    usage: {
      input_tokens: 100,
      input_tokens_details: { cached_tokens: 40, cache_write_tokens: 5 },
      output_tokens: 60,
      output_tokens_details: { reasoning_tokens: 20 },
      total_tokens: 160
    }
  })
])
