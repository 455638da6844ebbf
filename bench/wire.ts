/** Events as a background stream of the Responses API has them. */

const itemId = "msg_0123456789abcdef0123456789abcdef0123456789abcdef"
const place = { item_id: itemId, output_index: 0, content_index: 0 }
const padding = "hQm3ZrT8xKcVb2NwLpJy6GfDs9AeUoRi4tYkMnXvBzCqWlSj7HdFgPa5EuIO1T0q"

const sse = (type: string, sequence: number, fields: object): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence, ...fields })}\n\n`

/** A delta of the text. */
export const deltaOf = (sequence: number, delta: string): string =>
  sse("response.output_text.delta", sequence, {
    ...place,
    delta,
    logprobs: [],
    obfuscation: padding.slice(sequence % 48, (sequence % 48) + 11)
  })

const contentOf = (words: string) => ({ type: "output_text", annotations: [], logprobs: [], text: words })

const itemOf = (status: string, content: ReadonlyArray<object>) => ({
  id: itemId,
  type: "message",
  status,
  content,
  role: "assistant"
})

const responseOf = (id: string, status: string, output: ReadonlyArray<object>) => ({
  id,
  object: "response",
  created_at: 1_760_000_000,
  status,
  background: true,
  completed_at: status === "completed" ? 1_760_000_060 : null,
  error: null,
  incomplete_details: null,
  instructions: null,
  max_output_tokens: null,
  model: "bench",
  output,
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  service_tier: "default",
  store: true,
  temperature: 1,
  text: { format: { type: "text" }, verbosity: "medium" },
  tool_choice: "auto",
  tools: [],
  top_p: 1,
  truncation: "disabled",
  usage:
    status === "completed"
      ? {
          input_tokens: 8,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: 64,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: 72
        }
      : null,
  user: null,
  metadata: {}
})

/** How many events come before the deltas. */
export const headLength = 5

/** The events before the deltas. */
export const headOf = (id: string): string =>
  [
    sse("response.created", 0, { response: responseOf(id, "queued", []) }),
    sse("response.queued", 1, { response: responseOf(id, "queued", []) }),
    sse("response.in_progress", 2, { response: responseOf(id, "in_progress", []) }),
    sse("response.output_item.added", 3, { output_index: 0, item: itemOf("in_progress", []) }),
    sse("response.content_part.added", 4, { ...place, part: contentOf("") })
  ].join("")

/** The events after them. */
export const tailOf = (id: string, sequence: number, words: string): string => {
  const item = itemOf("completed", [contentOf(words)])
  return [
    sse("response.output_text.done", sequence, { ...place, text: words, logprobs: [] }),
    sse("response.content_part.done", sequence + 1, { ...place, part: contentOf(words) }),
    sse("response.output_item.done", sequence + 2, { output_index: 0, item }),
    sse("response.completed", sequence + 3, { response: responseOf(id, "completed", [item]) })
  ].join("")
}
