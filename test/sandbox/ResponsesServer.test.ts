// How the server of the sandbox answers all other requests: cancels, deletions, lists, tools, and what it refuses.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { SandboxLedger } from "@effect-baton/sandbox/SandboxLedger"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Schedule, Schema } from "effect"
import OpenAI, { AzureOpenAI } from "openai"
import { call, connect, created, idOf, poem, refused, resumed, textOf, typesOf } from "./sdk.ts"

describe("ResponsesServer", () => {
  it.live("cancels, idempotently, and keeps what was made", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      const heard = yield* Effect.forkChild(created(client, { model: "lorem:100000", input: "x", background: true }))
      const id = yield* server.ledger.pipe(
        Effect.map(({ responses }) => responses[0]),
        Effect.repeat({
          until: (response) => (response?.eventsProduced ?? 0) > 8,
          schedule: Schedule.spaced("5 millis")
        }),
        Effect.map((response) => response?.id ?? "")
      )
      assert.strictEqual((yield* call(() => client.responses.cancel(id))).status, "cancelled")
      const { error, events } = yield* Fiber.join(heard)
      assert.isUndefined(error)
      assert.strictEqual(events.at(-1)?.type, "response.output_text.delta")
      const again = yield* call(() => client.responses.cancel(id))
      assert.strictEqual(again.status, "cancelled")
      const final = yield* call(() => client.responses.retrieve(id))
      assert.strictEqual(final.output_text, textOf({ events, error }))
      assert.deepStrictEqual((yield* resumed(client, id, 4)).events, events.slice(5))
    }).pipe(Effect.provide(ResponsesServer.layer({ pace: "3 millis" })))
  )

  it.live("refuses to cancel in the foreground, and answers a finished one with its body", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const foreground = yield* call(() => client.responses.create({ model: "echo", input: poem }))
      const refusal = yield* refused(() => client.responses.cancel(foreground.id))
      assert.include(refusal.message, "Cannot cancel a synchronous response.")
      const background = yield* created(client, { model: "echo", input: poem, background: true })
      const finished = yield* call(() => client.responses.cancel(idOf(background)))
      const final = yield* call(() => client.responses.retrieve(idOf(background)))
      assert.deepStrictEqual([finished.status, finished.output], ["completed", final.output])
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("deletes, and knows nothing of it afterwards", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      const { id } = yield* call(() => client.responses.create({ model: "echo", input: poem }))
      const answer = yield* call(() => client.delete(`/responses/${id}`))
      assert.deepStrictEqual(answer, { id, object: "response", deleted: true })
      const gone = yield* refused(() => client.responses.retrieve(id))
      assert.strictEqual(gone.status, 404)
      assert.include(gone.message, `Response with id '${id}' not found.`)
      assert.isTrue((yield* server.ledger).responses[0]?.deleted)
      const other = yield* call(() => client.responses.create({ model: "echo", input: poem }))
      yield* call(() => client.responses.delete(other.id))
      assert.strictEqual((yield* refused(() => client.responses.delete(other.id))).status, 404)
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("lists input items, newest first", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const { id } = yield* call(() =>
        client.responses.create({
          model: "echo",
          input: [
            { role: "user", content: "one" },
            { role: "user", content: [{ type: "input_text", text: "two" }] }
          ]
        })
      )
      const items = yield* call(() => client.responses.inputItems.list(id))
      const texts = items.data.map((item) =>
        item.type === "message" && item.content[0]?.type === "input_text" ? item.content[0].text : ""
      )
      assert.deepStrictEqual(texts, ["two", "one"])
      const ascending = yield* call(() => client.responses.inputItems.list(id, { order: "asc", limit: 1 }))
      assert.deepStrictEqual([ascending.data.length, ascending.has_more], [1, true])
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("refuses what the API refuses, in its words", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      const create = (body: object) => refused(() => client.post("/responses", { body }))
      const expected: ReadonlyArray<readonly [object, number, string | null]> = [
        [{ input: "x" }, 400, "missing_required_parameter"],
        [{ model: "echo" }, 400, "missing_required_parameter"],
        [{ model: "echo", input: "" }, 400, "missing_required_parameter"],
        [{ model: "echo", input: [] }, 400, "missing_required_parameter"],
        [{ model: "echo", input: "x", stream: "yes" }, 400, "invalid_type"],
        [{ model: "unknown-9", input: "x" }, 404, "model_not_found"],
        [{ model: "transcript:none", input: "x" }, 404, "model_not_found"],
        [{ model: "echo", input: "x", previous_response_id: "resp_none" }, 400, "previous_response_not_found"],
        [
          { model: "echo", input: "x", previous_response_id: "resp_a", conversation: "conv_a" },
          400,
          "mutually_exclusive_parameters"
        ]
      ]
      for (const [body, status, code] of expected) {
        const error = yield* create(body)
        assert.deepStrictEqual([error.status, error.code], [status, code], JSON.stringify(body))
        assert.match(error.requestID ?? "", /^req_/)
      }
      const broken = yield* call(() =>
        fetch(`${server.url}/responses`, { method: "POST", body: "{", headers: { "content-type": "application/json" } })
      )
      assert.strictEqual(broken.status, 400)
      assert.match(JSON.stringify(yield* call(() => broken.json())), /could not parse the JSON body/)
      const lost = yield* refused(() => client.get("/nowhere"))
      assert.deepStrictEqual([lost.status, lost.message], [404, "404 Invalid URL (GET /v1/nowhere)"])
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("refuses other keys when it has one", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const wrong = yield* refused(() =>
        new OpenAI({ baseURL: server.url, apiKey: "sk-wrong-key-here", maxRetries: 0 }).models.list()
      )
      assert.deepStrictEqual([wrong.status, wrong.code], [401, "invalid_api_key"])
      assert.notInclude(wrong.message, "wrong-key")
      const right = new OpenAI({ baseURL: server.url, apiKey: "sk-right", maxRetries: 0 })
      assert.strictEqual((yield* call(() => right.responses.create({ model: "echo", input: "x" }))).output_text, "x")
    }).pipe(Effect.provide(ResponsesServer.layer({ apiKey: Redacted.make("sk-right") })))
  )

  it.live("answers as Azure does, for both of its surfaces", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const dated = new AzureOpenAI({
        endpoint: server.origin,
        apiKey: "azure-key",
        apiVersion: "2025-04-01-preview",
        maxRetries: 0
      })
      const first = yield* call(() => dated.responses.create({ model: "echo", input: "dated" }))
      assert.strictEqual((yield* call(() => dated.responses.retrieve(first.id))).output_text, "dated")
      const v1 = new OpenAI({ baseURL: `${server.origin}/openai/v1/`, apiKey: "azure-key", maxRetries: 0 })
      assert.strictEqual((yield* call(() => v1.responses.create({ model: "echo", input: "v1" }))).output_text, "v1")
      const deployed = new AzureOpenAI({
        baseURL: `${server.origin}/openai/deployments/echo`,
        apiKey: "azure-key",
        apiVersion: "2025-04-01-preview",
        maxRetries: 0
      })
      const third = yield* call(() => deployed.responses.create({ input: "deployed" }))
      assert.strictEqual(third.output_text, "deployed")
      const { requests } = yield* server.ledger
      assert.strictEqual(requests[0]?.query["api-version"], "2025-04-01-preview")
    }).pipe(Effect.provide(ResponsesServer.layer({ apiKey: Redacted.make("azure-key") })))
  )

  it.live("locks a conversation while a response is under way in it", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const params = { model: "lorem:50", input: "x", conversation: "conv_1" } as const
      const { id } = yield* call(() => client.responses.create({ ...params, background: true }))
      const busy = yield* refused(() => client.responses.create(params))
      assert.deepStrictEqual([busy.status, busy.code], [400, "conversation_locked"])
      yield* call(() => client.responses.cancel(id))
      assert.strictEqual((yield* call(() => client.responses.create({ ...params, model: "echo" }))).output_text, "x")
    }).pipe(Effect.provide(ResponsesServer.layer({ pace: "20 millis" })))
  )

  it.live("calls the tools that the prompt orders, turn by turn, and answers with their results", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tool = (name: string) => ({
        type: "function" as const,
        name,
        parameters: { type: "object", properties: {} },
        strict: false
      })
      const tools = [tool("weather"), tool("mail")]
      const input =
        'Help me.\ncall: weather {"city":"Paris"}\ncall: weather {"city":"Oslo"}\nthen call: mail {"to":"Ann"}'
      const first = yield* created(client, { model: "analyst", input, tools })
      const done = first.events.at(-1)
      const response = done?.type === "response.completed" ? done.response : undefined
      const calls = response?.output.flatMap((item) => (item.type === "function_call" ? [item] : [])) ?? []
      assert.deepStrictEqual(
        calls.map((item) => [item.name, item.arguments]),
        [
          ["weather", '{"city":"Paris"}'],
          ["weather", '{"city":"Oslo"}']
        ]
      )
      assert.include(typesOf(first), "response.function_call_arguments.delta")
      const outputs = (items: typeof calls) =>
        items.map(({ call_id, name }) => ({
          type: "function_call_output" as const,
          call_id,
          output: `${name} is done`
        }))
      const second = yield* call(() =>
        client.responses.create({
          model: "analyst",
          tools,
          input: outputs(calls),
          previous_response_id: response?.id ?? ""
        })
      )
      const mail = second.output.flatMap((item) => (item.type === "function_call" ? [item] : []))
      assert.deepStrictEqual(
        mail.map(({ name }) => name),
        ["mail"]
      )
      const last = yield* call(() =>
        client.responses.create({ model: "analyst", tools, input: outputs(mail), previous_response_id: second.id })
      )
      assert.include(last.output_text, "mail is done")
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("ends at max_output_tokens as the API does", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const heard = yield* created(client, { model: "lorem:50", input: "x", max_output_tokens: 20 })
      const last = heard.events.at(-1)
      const response = last?.type === "response.incomplete" ? last.response : undefined
      assert.strictEqual(response?.incomplete_details?.reason, "max_output_tokens")
      assert.strictEqual(response?.usage?.output_tokens, 20)
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("serves its ledger to other processes: one create per run", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      yield* call(() => client.responses.create({ model: "echo", input: poem, metadata: { baton_run_id: "run-7" } }))
      const read = call(() => fetch(`${server.origin}/sandbox/ledger`).then((answer) => answer.json())).pipe(
        Effect.flatMap(Schema.decodeUnknownEffect(SandboxLedger))
      )
      const ledger = yield* read
      assert.deepStrictEqual(ledger, yield* server.ledger)
      assert.deepStrictEqual(
        ledger.requests.map(({ metadata, method, path, status }) => ({ metadata, method, path, status })),
        [{ metadata: { baton_run_id: "run-7" }, method: "POST", path: "/v1/responses", status: 200 }]
      )
      assert.strictEqual(ledger.requests[0]?.responseId, ledger.responses[0]?.id)
      assert.strictEqual(ledger.responses[0]?.outputText, poem)
      yield* call(() => fetch(`${server.origin}/sandbox/ledger`, { method: "DELETE" }))
      assert.deepStrictEqual(yield* read, { requests: [], responses: [], troubles: {} })
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("listens on loopback alone, and says so when the port is taken", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+\/v1$/)
      const error = yield* Effect.flip(
        Effect.provide(
          Effect.map(ResponsesServer, ({ port }) => port),
          ResponsesServer.layer({ port: server.port }),
          {
            local: true
          }
        )
      )
      assert.strictEqual(error._tag, "ResponsesServerError")
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )
})
