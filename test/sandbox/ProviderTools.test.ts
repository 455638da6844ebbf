// What the sandbox does with the tools that a provider runs: web search, MCP servers, the code interpreter, reasoning.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import type { ScriptItem } from "@effect-baton/sandbox/ResponseScript"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect, refused } from "./sdk.ts"
import { answer, ask, callsOf, fn, itemsOf, mcp, streamed, typesIn } from "./toolTurns.ts"

const server = Effect.provide(ResponsesServer.layer())
const code = { type: "code_interpreter", container: { type: "auto" } } as const

describe("tools of the provider, by lines of a prompt", () => {
  it.live("search: looks, and cites what it found", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const params = { tools: [{ type: "web_search" as const, filters: { allowed_domains: ["met.example"] } }] }
      const response = yield* ask(client, "search: rain in Oslo -> It rains.", {
        ...params,
        include: ["web_search_call.action.sources"]
      })
      assert.deepEqual(typesIn(response), ["web_search_call", "message"])
      const [search] = itemsOf(response, "web_search_call")
      const action = search?.action.type === "search" ? search.action : undefined
      assert.strictEqual(action?.query, "rain in Oslo")
      assert.deepEqual(
        action?.sources?.map(({ url }) => url),
        ["https://met.example/rain-in-oslo", "https://met.example/rain-in-oslo/more"]
      )
      const [message] = itemsOf(response, "message")
      const [part] = message?.content ?? []
      const { annotations, text } = part?.type === "output_text" ? part : { annotations: [], text: "" }
      assert.include(text, "It rains.")
      assert.deepEqual(
        annotations.map((one) =>
          one.type === "url_citation" ? [one.url, text.slice(one.start_index, one.end_index)] : []
        ),
        [
          ["https://met.example/rain-in-oslo", "[About rain in Oslo](https://met.example/rain-in-oslo)"],
          ["https://met.example/rain-in-oslo/more", "[More about rain in Oslo](https://met.example/rain-in-oslo/more)"]
        ]
      )
      const plain = yield* ask(client, "search: rain in Oslo", params)
      assert.notProperty(itemsOf(plain, "web_search_call")[0]?.action, "sources")
    }).pipe(server)
  )

  it.live("code: computes, and shows its output to those who ask for it", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const outputs = (input: string) =>
        Effect.map(ask(client, input, { tools: [code], include: ["code_interpreter_call.outputs"] }), (response) =>
          itemsOf(response, "code_interpreter_call").flatMap((item) => item.outputs ?? [])
        )
      assert.deepEqual(yield* outputs("code: print(2 * (3 + 4) ** 2 - 7 % 4)"), [{ type: "logs", logs: "95" }])
      assert.deepEqual(yield* outputs("code: import this -> Beautiful"), [{ type: "logs", logs: "Beautiful" }])
      const plain = yield* ask(client, "code: 1+1", { tools: [code] })
      assert.deepEqual(
        itemsOf(plain, "code_interpreter_call").map((item) => [item.code, item.outputs]),
        [["1+1", null]]
      )
      assert.include(plain.output_text, "- 2\n")
    }).pipe(server)
  )

  it.live("mcp: lists the tools once, calls without approval, and tells of failures", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const params = { tools: [mcp({ require_approval: "never", allowed_tools: ["search", "read"] })] }
      const first = yield* ask(client, 'mcp: docs/search {"q":"rain"} -> It rains.\nmcp: read -> error: Not there.', {
        ...params
      })
      assert.deepEqual(typesIn(first), ["mcp_list_tools", "mcp_call", "mcp_call", "message"])
      assert.deepEqual(
        itemsOf(first, "mcp_list_tools")[0]?.tools.map(({ name }) => name),
        ["search", "read"]
      )
      const [one, two] = itemsOf(first, "mcp_call")
      assert.deepEqual([one?.status, one?.output, one?.arguments], ["completed", "It rains.", '{"q":"rain"}'])
      assert.deepEqual([two?.status, two?.output, two?.error?.type], ["failed", null, "mcp_tool_execution_error"])
      assert.include(first.output_text, "It rains.")
      assert.include(first.output_text, "read failed: Not there.")
      const second = yield* ask(client, "mcp: write {}\nmcp: search {}", { ...params, previous_response_id: first.id })
      assert.deepEqual(typesIn(second), ["mcp_call", "message"])
      const events = yield* streamed(client, { model: "analyst", input: "mcp: read -> error: Not there.", ...params })
      assert.includeMembers(
        events.map(({ type }) => type),
        ["response.mcp_list_tools.completed", "response.mcp_call_arguments.done", "response.mcp_call.failed"]
      )
    }).pipe(server)
  )

  it.live("mcp: waits for the approval, and goes on after it", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [mcp({ require_approval: "always" })]
      const respond = (id: string, approve: boolean, reason?: string) => ({
        type: "mcp_approval_response" as const,
        approval_request_id: id,
        approve,
        ...(reason === undefined ? {} : { reason })
      })
      const asked = ask(client, 'mcp: pay {"sum":5} -> Paid.', { tools })
      const first = yield* asked
      assert.deepEqual([first.status, typesIn(first)], ["completed", ["mcp_list_tools", "mcp_approval_request"]])
      const [request] = itemsOf(first, "mcp_approval_request")
      assert.deepEqual([request?.name, request?.arguments, request?.server_label], ["pay", '{"sum":5}', "docs"])
      const yes = yield* ask(client, [respond(request?.id ?? "", true)], { tools, previous_response_id: first.id })
      assert.deepEqual(typesIn(yes), ["mcp_call", "message"])
      const [paid] = itemsOf(yes, "mcp_call")
      assert.deepEqual([paid?.output, paid?.approval_request_id], ["Paid.", request?.id])
      assert.include(yes.output_text, "Paid.")

      const second = yield* asked
      const id = itemsOf(second, "mcp_approval_request")[0]?.id ?? ""
      const no = yield* ask(client, [respond(id, false, "Too much.")], { tools, previous_response_id: second.id })
      assert.deepEqual(typesIn(no), ["message"])
      assert.include(no.output_text, "pay was not approved: Too much.")
    }).pipe(server)
  )

  it.live("mcp: only the tools of a filter go without approval", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [mcp({ require_approval: { never: { tool_names: ["read"] } } })]
      const response = yield* ask(client, "mcp: read\nmcp: pay", { tools })
      assert.deepEqual(typesIn(response), ["mcp_list_tools", "mcp_call", "mcp_approval_request"])
    }).pipe(server)
  )

  it.live("are ignored if the request does not offer the tool", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const input = "search: rain\ncode: 1+1\nmcp: read"
      assert.deepEqual(typesIn(yield* ask(client, input)), ["message"])
      assert.deepEqual(typesIn(yield* ask(client, input, { tools: [fn("search", {}, "")], tool_choice: "none" })), [
        "message"
      ])
    }).pipe(server)
  )

  it.live("run in one response with calls of functions, and max_tool_calls ends them", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [{ type: "web_search" as const }, code, fn("weather")]
      const input = "search: one\nthen code: 1+1\nthen call: weather\nthen search: two"
      const first = yield* ask(client, input, { tools })
      assert.deepEqual(typesIn(first), ["web_search_call", "code_interpreter_call", "function_call"])
      const last = yield* answer(client, first, { tools })
      assert.deepEqual(typesIn(last), ["web_search_call", "message"])
      assert.include(last.output_text, "weather is done")
      const limited = yield* ask(client, input, { tools, max_tool_calls: 1 })
      assert.deepEqual(typesIn(limited), ["web_search_call", "function_call"])
    }).pipe(server)
  )

  it.live("are called when they are chosen, and once", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [{ type: "web_search" as const }, code, mcp({ require_approval: "never", allowed_tools: ["read"] })]
      const chosen = (tool_choice: object) =>
        Effect.map(
          ask(client, "What is 6 * 7?", { tools, tool_choice: tool_choice as { type: "code_interpreter" } }),
          (response) => typesIn(response).filter((type) => type !== "mcp_list_tools")
        )
      assert.deepEqual(yield* chosen({ type: "code_interpreter" }), ["code_interpreter_call", "message"])
      assert.deepEqual(yield* chosen({ type: "web_search" }), ["web_search_call", "message"])
      assert.deepEqual(yield* chosen({ type: "mcp", server_label: "docs", name: "read" }), ["mcp_call", "message"])
    }).pipe(server)
  )
})

describe("reasoning", () => {
  it.live("comes with encrypted content if that is included, and can come back", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [fn("weather")]
      const question = { role: "user", content: "think: It may rain.\ncall: weather" } as const
      const params = { tools, store: false, include: ["reasoning.encrypted_content" as const] }
      const first = yield* ask(client, [question], params)
      assert.deepEqual(typesIn(first), ["reasoning", "function_call"])
      const [reasoning] = itemsOf(first, "reasoning")
      const [called] = itemsOf(first, "function_call")
      assert.isNotEmpty(reasoning?.encrypted_content)
      assert.deepEqual(reasoning?.summary, [{ type: "summary_text", text: "It may rain." }])
      if (reasoning === undefined || called === undefined) return yield* Effect.die("no reasoning")
      const output = { type: "function_call_output", call_id: called.call_id, output: "rain" } as const
      const last = yield* ask(client, [question, reasoning, called, output], params)
      assert.include(last.output_text, "- rain")
      const forged = { ...reasoning, encrypted_content: "gAAAAABforged" }
      const refusal = yield* refused(() =>
        client.responses.create({ model: "analyst", input: [question, forged, called, output], ...params })
      )
      assert.deepEqual([refusal.status, refusal.code], [400, "invalid_encrypted_content"])
      const plain = yield* ask(client, [question], { tools })
      assert.notProperty(itemsOf(plain, "reasoning")[0], "encrypted_content")
    }).pipe(server)
  )
})

const items: ReadonlyArray<ScriptItem> = [
  { type: "web_search_call", query: "rain", sources: [] },
  { type: "mcp_call", serverLabel: "docs", name: "read", deltas: ["{}"], output: "A page." },
  { type: "code_interpreter_call", deltas: ["1"], logs: "1" },
  { type: "custom_tool_call", name: "note", callId: "call_1", deltas: ["milk"] }
]

describe("tools of the provider, by script", () => {
  it.live("are shown if the request offers them", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const all = { tools: [{ type: "web_search" as const }, mcp(), code] }
      assert.deepEqual(
        typesIn(yield* ask(client, "x", { model: "own", ...all })),
        items.map(({ type }) => type)
      )
      assert.deepEqual(typesIn(yield* ask(client, "x", { model: "own" })), ["custom_tool_call"])
      const other = yield* ask(client, "x", { model: "own", tools: [mcp({ server_label: "other" })] })
      assert.deepEqual(typesIn(other), ["custom_tool_call"])
      const limited = yield* ask(client, "x", { model: "own", ...all, max_tool_calls: 2 })
      assert.deepEqual(typesIn(limited), ["web_search_call", "mcp_call", "custom_tool_call"])
    }).pipe(Effect.provide(ResponsesServer.layer({ model: () => Effect.succeed({ items }) })))
  )

  it.live("a request for approval goes on with the call that the script says", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [mcp()]
      const first = yield* ask(client, "x", { tools })
      const [request] = itemsOf(first, "mcp_approval_request")
      const approval = {
        type: "mcp_approval_response",
        approval_request_id: request?.id ?? "",
        approve: true
      } as const
      const last = yield* ask(client, [approval], { tools, previous_response_id: first.id })
      assert.deepEqual(
        itemsOf(last, "mcp_call").map(({ output }) => output),
        ["Paid 5."]
      )
      assert.strictEqual(last.output_text, "The tool said: Paid 5.")
      assert.deepEqual(callsOf(last), [])
    }).pipe(
      Effect.provide(
        ResponsesServer.layer({
          model: ({ input, toolResults }) =>
            Effect.succeed({
              items: input.some(({ type }) => type === "mcp_approval_response")
                ? [{ type: "message", deltas: [`The tool said: ${toolResults?.join()}`] }]
                : [
                    {
                      type: "mcp_approval_request",
                      serverLabel: "docs",
                      name: "pay",
                      arguments: '{"sum":5}',
                      output: "Paid 5."
                    }
                  ]
            })
        })
      )
    )
  )
})
