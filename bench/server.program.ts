/**
 * What the subjects read from: a server that sends what a background stream of the Responses API looks like, and does
 * little else. It runs in a process of its own, so that its work is not counted as theirs.
 *
 * The input of a request says what comes: `flat:N` are N deltas as fast as they are read, `paced:N` are N deltas a second
 * until the reader leaves, each of which tells when it was sent.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { text } from "node:stream/consumers"
import { now } from "./clock.ts"
import { wordOf } from "./words.ts"

const itemId = "msg_0123456789abcdef0123456789abcdef0123456789abcdef"
const place = { item_id: itemId, output_index: 0, content_index: 0 }
const padding = "hQm3ZrT8xKcVb2NwLpJy6GfDs9AeUoRi4tYkMnXvBzCqWlSj7HdFgPa5EuIO1T0q"

const sse = (type: string, sequence: number, fields: object): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence, ...fields })}\n\n`

const deltaOf = (sequence: number, delta: string): string =>
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

const headLength = 5

const headOf = (id: string): string =>
  [
    sse("response.created", 0, { response: responseOf(id, "queued", []) }),
    sse("response.queued", 1, { response: responseOf(id, "queued", []) }),
    sse("response.in_progress", 2, { response: responseOf(id, "in_progress", []) }),
    sse("response.output_item.added", 3, { output_index: 0, item: itemOf("in_progress", []) }),
    sse("response.content_part.added", 4, { ...place, part: contentOf("") })
  ].join("")

const tailOf = (id: string, sequence: number, words: string): string => {
  const item = itemOf("completed", [contentOf(words)])
  return [
    sse("response.output_text.done", sequence, { ...place, text: words, logprobs: [] }),
    sse("response.content_part.done", sequence + 1, { ...place, part: contentOf(words) }),
    sse("response.output_item.done", sequence + 2, { output_index: 0, item }),
    sse("response.completed", sequence + 3, { response: responseOf(id, "completed", [item]) })
  ].join("")
}

interface Deltas {
  readonly chunks: ReadonlyArray<Buffer>
  readonly words: string
}

// Written once and sent many times: nobody waits for the making of events.
const written = new Map<number, Deltas>()

const deltasOf = (count: number): Deltas => {
  const known = written.get(count)
  if (known !== undefined) return known
  const chunks: Array<Buffer> = []
  let words = ""
  let chunk = ""
  for (let i = 0; i < count; i++) {
    const word = wordOf(i)
    words += word
    chunk += deltaOf(headLength + i, word)
    if (chunk.length >= 65_536 || i === count - 1) {
      chunks.push(Buffer.from(chunk))
      chunk = ""
    }
  }
  const deltas = { chunks, words }
  written.set(count, deltas)
  return deltas
}

const sendFlat = async (id: string, count: number, response: ServerResponse) => {
  const { chunks, words } = deltasOf(count)
  const all = [headOf(id), ...chunks, tailOf(id, headLength + count, words)]
  // A reader that has enough leaves in the middle.
  await pipeline(Readable.from(all), response).catch(() => undefined)
}

const sendPaced = (id: string, perSecond: number, response: ServerResponse) => {
  let sequence = headLength
  const send = () => response.write(deltaOf(sequence++, now().toFixed(3)))
  response.write(headOf(id))
  send()
  const timer = setInterval(send, 1000 / perSecond)
  response.once("close", () => clearInterval(timer))
}

let responses = 0

const answer = async (request: IncomingMessage, response: ServerResponse) => {
  const body = await text(request).catch(() => "")
  const wanted = /(flat|paced):(\d+)/.exec(body)
  if (request.method !== "POST" || request.url !== "/v1/responses" || wanted === null) {
    // Nothing is kept here. A subject that must ask again says so by failing.
    response.writeHead(404, { "content-type": "application/json" })
    response.end(JSON.stringify({ error: { message: "Not found", type: "invalid_request_error", code: null } }))
    return
  }
  const id = `resp_${String(++responses).padStart(48, "0")}`
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "x-request-id": `req_${responses}` })
  if (wanted[1] === "flat") await sendFlat(id, Number(wanted[2]), response)
  else sendPaced(id, Number(wanted[2]), response)
}

// No timeouts: on a busy machine a connection would be closed just as a subject takes it for its next request.
const server = createServer(
  { noDelay: true, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 },
  (request, response) => void answer(request, response)
)

// A thousand readers connect at once.
server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/v1` }))
})

// The bench holds the other end, however it ends.
process.stdin.resume().once("end", () => process.exit(0))
