/** Every kind of answer that the sandbox gives, asked for over HTTP and kept as it came. */
import { layer, ResponsesServer, type ResponsesServerOptions } from "@effect-baton/sandbox/ResponsesServer"
import {
  insufficientQuota,
  rateLimited,
  serverErrors,
  type Trouble,
  unauthorized
} from "@effect-baton/sandbox/SandboxTrouble"
import type { Transcript } from "@effect-baton/sandbox/Transcript"
import { NodeHttpServer } from "@effect/platform-node"
import { Context, Effect, Layer, Predicate, Queue, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import { listening } from "./hook.ts"
import type { Answer, Component } from "./schemas.ts"
import { ends, everything, offered, scripts } from "./scripts.ts"
import { call } from "./sdk.ts"

type Json = { readonly [key: string]: unknown }

interface Question {
  readonly method?: "GET" | "POST" | "DELETE"
  readonly body?: object | string
  readonly headers?: Record<string, string>
}

interface Heard extends Answer {
  readonly status: number
  readonly body: Json
}

const componentOf = (path: string): Component | undefined =>
  path.includes("/input_items")
    ? "ResponseItemList"
    : path.startsWith("/models")
      ? "ListModelsResponse"
      : path.startsWith("/responses")
        ? "Response"
        : undefined

/** Asks one server, and keeps what it answers in `heard`. What a delete answers is in no component of the document. */
const asking = (url: string, heard: Array<Heard>) =>
  Effect.fnUntraced(function* (path: string, { body, headers, method }: Question = {}) {
    const { status, text, type } = yield* call(async (signal) => {
      const answer = await fetch(url + path, {
        signal,
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: { "content-type": "application/json", ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
      })
      return { status: answer.status, type: answer.headers.get("content-type") ?? "", text: await answer.text() }
    })
    const component = type.startsWith("text/event-stream")
      ? "ResponseStreamEvent"
      : status >= 400
        ? "ErrorResponse"
        : method === "DELETE"
          ? undefined
          : componentOf(path)
    const bodies: ReadonlyArray<Json> =
      component === "ResponseStreamEvent"
        ? [...text.matchAll(/^data: (.*)$/gm)].map(([, json = ""]) => JSON.parse(json))
        : [JSON.parse(text)]
    if (component !== undefined) heard.push(...bodies.map((answered) => ({ component, status, body: answered })))
    return bodies
  })

type Ask = ReturnType<typeof asking>

const idOf = (bodies: ReadonlyArray<Json>): string => {
  const named = bodies.map((body) => body["response"] ?? body).find((body) => Predicate.hasProperty(body, "id"))
  return String(named?.id)
}

/** All that can be asked of a response, in each of the ways in which it can be created. */
const lives = Effect.fnUntraced(function* (ask: Ask, params: object, headers: Record<string, string> = {}) {
  for (const background of [true, false]) {
    for (const stream of [true, false]) {
      const created = yield* ask("/responses", { body: { input: "x", ...params, background, stream }, headers })
      const path = `/responses/${idOf(created)}`
      yield* ask(path, { headers })
      yield* ask(`${path}?stream=true&starting_after=1`, { headers })
      yield* ask(`${path}/cancel`, { method: "POST", headers })
      yield* ask(path, { headers })
      yield* ask(`${path}/input_items`, { headers })
      yield* ask(path, { method: "DELETE", headers })
    }
  }
})

const scripted: ResponsesServerOptions = {
  model: ({ model }) => Effect.succeed(scripts[model] ?? { items: everything })
}

/** Each trouble that changes what is answered; the others change how it travels. */
const troubles: {
  readonly [
    Tag in Exclude<
      Trouble["_tag"],
      | "DropBeforeHeaders"
      | "EndEarly"
      | "HalfEvent"
      | "Reset"
      | "Stall"
      | "SplitBytes"
      | "Crlf"
      | "NoFinalBlankLine"
      | "DuplicateReplay"
      | "OutOfOrderReplay"
      | "QueueTime"
      | "StuckQueued"
      | "Pace"
      | "LongRun"
      | "Webhook"
    >
  ]: ReadonlyArray<Extract<Trouble, { readonly _tag: Tag }>>
} = {
  HttpError: [
    ...[400, 401, 403, 404, 409, 429, 500, 502, 503].map((status) => ({ _tag: "HttpError" as const, status })),
    ...[rateLimited(), insufficientQuota, unauthorized, serverErrors(1), serverErrors(1, { status: 500 })].filter(
      (trouble) => trouble._tag === "HttpError"
    )
  ],
  Keepalives: [{ _tag: "Keepalives", before: 2, every: 2 }],
  UnknownEvents: [{ _tag: "UnknownEvents", every: 2 }],
  ErrorEvent: [
    { _tag: "ErrorEvent", form: "nested", after: 4 },
    { _tag: "ErrorEvent", form: "flat", after: 4 },
    { _tag: "ErrorEvent", form: "flat", after: 4, code: "insufficient_quota", thenFailed: false }
  ],
  End: [
    { _tag: "End", status: "incomplete" },
    { _tag: "End", status: "incomplete", reason: "steered" },
    { _tag: "End", status: "failed" },
    { _tag: "End", status: "cancelled" },
    { _tag: "End", status: "cancelled", event: true }
  ],
  RefuseReplay: [{ _tag: "RefuseReplay" }],
  IgnoreCancel: [{ _tag: "IgnoreCancel" }],
  CancelEvent: [{ _tag: "CancelEvent" }],
  RefuseCancelFinished: [{ _tag: "RefuseCancelFinished" }],
  Expired: [{ _tag: "Expired" }],
  PollAfter: [{ _tag: "PollAfter", millis: 250 }]
}

/** Requests with all that a response repeats of them, as briefly as the API accepts it. */
const repeated: ReadonlyArray<object> = [
  { instructions: "Be kind.", metadata: { a: "b" }, user: "u", safety_identifier: "s", prompt_cache_key: "k" },
  { instructions: null, metadata: null, temperature: null, top_p: null, tools: null, tool_choice: null, text: null },
  { temperature: 0.5, top_p: 0.9, top_logprobs: 3, max_output_tokens: 16, max_tool_calls: 2, truncation: "auto" },
  { reasoning: { effort: "low" }, service_tier: "flex", store: false, parallel_tool_calls: false },
  { tools: [{ type: "function", name: "weather", parameters: { type: "object", properties: {} } }] },
  { tools: [{ type: "function", name: "weather" }], tool_choice: { type: "function", name: "weather" } },
  { tools: [{ type: "function", name: "weather", strict: false, parameters: null, description: "d" }] },
  {
    tools: [
      { type: "web_search_preview" },
      { type: "web_search_2025_08_26", filters: { allowed_domains: ["a.example"] } }
    ]
  },
  { text: { format: { type: "json_schema", name: "n", schema: { type: "object" } } } },
  { text: { format: { type: "json_object" }, verbosity: "low" }, prompt_cache_retention: "24h" },
  { conversation: "conv_1" },
  { conversation: { id: "conv_2" } },
  { stream_options: { include_obfuscation: false } },
  {
    input: [
      { role: "user", content: "one" },
      { role: "user", content: [{ type: "input_text", text: "two" }] },
      { role: "user", content: [{ type: "input_image", image_url: "data:image/png;base64,AA==" }] },
      { role: "assistant", content: "three" },
      { type: "message", role: "developer", content: "four" },
      { type: "message", id: "msg_1", role: "assistant", content: [{ type: "output_text", text: "five" }] },
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "six" }] },
      { type: "function_call", call_id: "call_1", name: "weather", arguments: "{}" },
      { type: "function_call_output", call_id: "call_1", output: "Rain." },
      { type: "custom_tool_call", call_id: "call_2", name: "note", input: "milk" },
      { type: "custom_tool_call_output", call_id: "call_2", output: "Noted." },
      { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "rain" } },
      {
        type: "code_interpreter_call",
        id: "ci_1",
        status: "completed",
        code: "1",
        container_id: "cntr_1",
        outputs: [{ type: "logs", logs: "1" }]
      },
      { type: "mcp_list_tools", id: "mcpl_1", server_label: "docs", tools: [] },
      { type: "mcp_call", id: "mcp_1", server_label: "docs", name: "pay", arguments: "{}", output: "Paid." }
    ]
  }
]

const refusals: ReadonlyArray<object | string> = [
  "{",
  "[]",
  { input: "x" },
  { model: "echo" },
  { model: "echo", input: [] },
  { model: "echo", input: "x", stream: "yes" },
  { model: "unknown-9", input: "x" },
  { model: "transcript:none", input: "x" },
  { model: "echo", input: "x", tools: [{ type: "computer" }] },
  { model: "echo", input: [{ type: "item_reference", id: "msg_none" }] },
  { model: "echo", input: "x", previous_response_id: "resp_none" },
  { model: "echo", input: "x", previous_response_id: "resp_a", conversation: "conv_a" }
]

const requests = Effect.fnUntraced(function* (ask: Ask) {
  for (const model of [...Object.keys(scripts), "echo", "lorem:3", "analyst"]) {
    yield* lives(ask, { model })
    yield* lives(ask, { model, ...offered })
  }
  for (const params of repeated) yield* lives(ask, { model: "everything", ...params })
  const all: ReadonlyArray<Trouble> = Object.values(troubles).flat()
  for (const one of all) {
    yield* lives(ask, { model: "everything", ...offered }, { "x-sandbox-trouble": JSON.stringify(one) })
  }
  for (const body of refusals) yield* ask("/responses", { body })
  yield* ask("/responses", { body: { model: "echo", input: "x" }, headers: { "x-sandbox-trouble": "Nonsense" } })
  yield* ask("/responses/resp_none")
  yield* ask("/nowhere")
  yield* ask("/models")
  const first = idOf(yield* ask("/responses", { body: { model: "echo", input: "x" } }))
  yield* ask("/responses", { body: { model: "echo", input: "x", previous_response_id: first } })
  yield* ask(`/responses/${first}/input_items?after=none&limit=0`)
  yield* ask(`/responses/${first}?stream=true&starting_after=soon`)
})

/** Ended at every event, so that each item is shown in each state that it can be left in. */
const cuts = Effect.fnUntraced(function* (ask: Ask) {
  const body = { model: "everything", input: "x", background: true, stream: true, ...offered }
  for (const after of (yield* ask("/responses", { body })).keys()) {
    for (const status of ["incomplete", "failed", "cancelled"]) {
      const headers = { "x-sandbox-trouble": `End status=${status} after=${after}` }
      yield* ask(`/responses/${idOf(yield* ask("/responses", { body, headers }))}`)
    }
  }
})

/** Looked at while it is under way, one delta a second, and cancelled after each. */
const looks = Effect.fnUntraced(function* (ask: Ask) {
  const body = { model: "everything", input: "x", background: true, ...offered }
  const conversation = { ...body, conversation: "conv_1" }
  const stuck = idOf(yield* ask("/responses", { body: conversation, headers: { "x-sandbox-trouble": "StuckQueued" } }))
  yield* ask(`/responses/${stuck}`)
  yield* ask("/responses", { body: conversation })
  yield* ask(`/responses/${stuck}/cancel`, { method: "POST" })

  const id = idOf(yield* ask("/responses", { body }))
  const longest = everything.reduce((sum, item) => sum + 1 + ("deltas" in item ? item.deltas.length : 0), 0)
  for (let delta = 0; delta < longest; delta++) {
    yield* ask(`/responses/${id}`)
    const other = idOf(yield* ask("/responses", { body }))
    yield* TestClock.adjust("1 second")
    yield* ask(`/responses/${other}/cancel`, { method: "POST" })
  }
  yield* TestClock.adjust("1 minute")
  yield* ask(`/responses/${id}`)
  yield* TestClock.adjust("5 minutes")
  yield* ask(`/responses/${id}?stream=true`)
})

/** A response of the sandbox, as a recording that it plays again. */
const recorded = Effect.fnUntraced(function* (ask: Ask) {
  const request = { method: "POST", path: "/v1/responses", query: "", body: {} }
  const body = { model: "everything", input: "x", background: true }
  const events = yield* ask("/responses", { body: { ...body, stream: true } })
  const [queued = {}] = yield* ask("/responses", { body })
  const path = `/v1/responses/${idOf([queued])}`
  const [completed = {}] = yield* ask(path.slice("/v1".length))
  const recordings: ReadonlyArray<Transcript> = [
    { name: "streamed", exchanges: [{ request, response: { status: 200, events } }] },
    {
      name: "polled",
      exchanges: [
        { request, response: { status: 200, json: queued } },
        { request: { ...request, method: "GET", path, body: null }, response: { status: 200, json: completed } }
      ]
    }
  ]
  return recordings
})

const told: { readonly [type: string]: Component } = {
  "response.completed": "WebhookResponseCompleted",
  "response.cancelled": "WebhookResponseCancelled",
  "response.failed": "WebhookResponseFailed",
  "response.incomplete": "WebhookResponseIncomplete"
}

/** What is posted when a response ends, in each way. */
const webhooks = Effect.fnUntraced(
  function* (heard: Array<Heard>) {
    const { deliveries, url } = yield* listening
    const webhook = { url, secret: Redacted.make("whsec_c2VjcmV0") }
    yield* on(heard, { webhook }, (ask) =>
      Effect.gen(function* () {
        for (const model of Object.keys(ends)) {
          yield* ask("/responses", { body: { model, input: "x", background: true } })
          const body: Json = JSON.parse((yield* Queue.take(deliveries)).body)
          heard.push({ component: told[String(body["type"])] ?? "WebhookResponseCompleted", status: 200, body })
        }
      })
    )
  },
  Effect.provide(NodeHttpServer.layer(() => Http.createServer(), { host: "127.0.0.1", port: 0 }))
)

const on = <A, E, R>(heard: Array<Heard>, options: ResponsesServerOptions, use: (ask: Ask) => Effect.Effect<A, E, R>) =>
  ResponsesServer.pipe(
    Effect.flatMap(({ url }) => use(asking(url, heard))),
    Effect.provide(layer({ ...scripted, ...options }))
  )

/** The answers of several sandboxes, asked under a `TestClock`. */
export class Answers extends Context.Service<Answers, ReadonlyArray<Heard>>()("test/Answers") {
  static readonly layer = Layer.effect(
    Answers,
    Effect.gen(function* () {
      const heard: Array<Heard> = []
      yield* on(heard, {}, requests)
      yield* on(heard, {}, cuts)
      yield* on(heard, { pace: "1 second", partialSnapshots: false }, looks)
      yield* on(heard, { pace: "1 second", partialSnapshots: true }, looks)
      const transcripts = yield* on(heard, {}, recorded)
      yield* on(heard, { transcripts }, (ask) =>
        Effect.forEach(transcripts, ({ name }) => lives(ask, { model: `transcript:${name}` }))
      )
      yield* on(heard, { apiKey: Redacted.make("sk-right") }, (ask) =>
        Effect.andThen(ask("/models"), ask("/models", { headers: { authorization: "Bearer sk-wrong-and-long" } }))
      )
      yield* webhooks(heard)
      return heard
    })
  )
}
