// What the sandbox refuses about tools: what OpenAI refuses, in its words, and what the sandbox does not run.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect, refused } from "./sdk.ts"
import { ask, fn, itemsOf, mcp, typesIn } from "./toolTurns.ts"

const server = Effect.provide(ResponsesServer.layer())

interface Refusal {
  readonly body: object
  readonly param: string | null
  readonly code: string | null
  readonly message?: string | RegExp
}

const tool = (fields: object) => ({ tools: [{ type: "function", ...fields }] })

const strict = (parameters: object) => tool({ name: "f", strict: true, parameters })

const object = (properties: object, rest: object = {}) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...rest
})

const schemaError = (problem: string) => ({
  param: "tools[0].parameters",
  code: "invalid_function_parameters",
  message: `400 Invalid schema for function 'f': ${problem}`
})

const missing = (param: string) => ({
  param,
  code: "missing_required_parameter",
  message: `400 Missing required parameter: '${param}'.`
})

const string = { type: "string" }

const everyKey = "'required' is required to be supplied and to be an array including every key in properties."

const refusals: { readonly [about: string]: ReadonlyArray<Refusal> } = {
  "tools that are none": [
    { body: { tools: "x" }, param: "tools", code: "invalid_type" },
    { body: { tools: ["x"] }, param: "tools[0]", code: "invalid_type" },
    { body: { tools: [{}] }, ...missing("tools[0].type") },
    {
      body: { tools: [{ type: "retrieval" }] },
      param: "tools[0].type",
      code: "invalid_value",
      message:
        /^400 Invalid value: 'retrieval'\. Supported values are: 'function', .*, and 'programmatic_tool_calling'\.$/
    }
  ],
  "names of functions and custom tools": [
    { body: tool({}), ...missing("tools[0].name") },
    { body: { tools: [{ type: "custom" }] }, ...missing("tools[0].name") },
    { body: tool({ name: 7 }), param: "tools[0].name", code: "invalid_type" },
    { body: tool({ name: "" }), param: "tools[0].name", code: "empty_string" },
    {
      body: tool({ name: "get weather" }),
      param: "tools[0].name",
      code: "invalid_value",
      message:
        "400 Invalid 'tools[0].name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    },
    { body: tool({ name: "x".repeat(129) }), param: "tools[0].name", code: "string_above_max_length" },
    { body: { tools: [fn("f"), fn("g"), fn("f")] }, param: "tools[2].name", code: "invalid_value", message: /'f'/ },
    { body: { tools: [fn("f"), { type: "custom", name: "f" }] }, param: "tools[1].name", code: "invalid_value" },
    { body: { tools: [mcp(), mcp()] }, param: "tools[1].server_label", code: "invalid_value" },
    { body: { tools: [{ type: "web_search" }, { type: "web_search" }] }, param: "tools[1]", code: "invalid_value" }
  ],
  "schemas of functions": [
    { body: tool({ name: "f", parameters: [] }), param: "tools[0].parameters", code: "invalid_type" },
    {
      body: tool({ name: "f", parameters: { properties: {} } }),
      ...schemaError(`schema must be a JSON Schema of 'type: "object"', got 'type: "None"'.`)
    },
    { body: tool({ name: "f", strict: "yes" }), param: "tools[0].strict", code: "invalid_type" },
    {
      body: strict({ type: "object", properties: {} }),
      ...schemaError("In context=(), 'additionalProperties' is required to be supplied and to be false.")
    },
    {
      body: strict(object({ a: { type: "object", properties: {} } })),
      ...schemaError(
        "In context=('properties', 'a'), 'additionalProperties' is required to be supplied and to be false."
      )
    },
    {
      body: strict(object({ a: string, b: string }, { required: ["a"] })),
      ...schemaError(`In context=(), ${everyKey} Missing 'b'.`)
    },
    {
      body: strict(object({ a: string }, { required: ["a", "c"] })),
      ...schemaError(`In context=(), ${everyKey} Extra required key 'c' supplied.`)
    },
    {
      body: strict(object({ a: {} })),
      ...schemaError("In context=('properties', 'a'), schema must have a 'type' key.")
    },
    {
      body: strict(object({ a: { type: "array" } })),
      ...schemaError("In context=('properties', 'a'), array schema missing items.")
    },
    {
      body: strict(object({ a: { oneOf: [string] } })),
      ...schemaError("In context=('properties', 'a'), 'oneOf' is not permitted.")
    },
    {
      body: strict(object({ a: { $ref: "#/$defs/b" } })),
      ...schemaError(
        "In context=('properties', 'a'), reference to component '#/$defs/b' which was not found in the schema."
      )
    },
    {
      body: strict(object({ a: { anyOf: [string, { type: "object" }] } })),
      ...schemaError(
        "In context=('properties', 'a', 'anyOf', '1'), 'additionalProperties' is required to be supplied and to be false."
      )
    }
  ],
  "tools that the sandbox does not run": [
    { body: { tools: [{ type: "file_search" }] }, ...missing("tools[0].vector_store_ids") },
    ...[
      { type: "file_search", vector_store_ids: ["vs_1"] },
      { type: "image_generation" },
      { type: "computer" },
      { type: "computer_use_preview", environment: "linux", display_width: 1, display_height: 1 },
      { type: "local_shell" },
      { type: "shell" },
      { type: "apply_patch" },
      { type: "tool_search" },
      { type: "namespace", name: "n", description: "", tools: [] },
      { type: "programmatic_tool_calling" }
    ].map((one) => ({
      body: { tools: [one] },
      param: "tools",
      code: null,
      message: `400 Hosted tool '${one.type}' is not supported with analyst. The sandbox does not run it.`
    })),
    {
      body: { tools: [{ type: "custom", name: "f", format: { type: "grammar", syntax: "regex", definition: "a" } }] },
      param: "tools[0].format.type",
      code: "unsupported_value"
    },
    { body: tool({ name: "f", async: true }), param: "tools[0].async", code: "unsupported_value" },
    { body: tool({ name: "f", defer_loading: true }), param: "tools[0].defer_loading", code: "unsupported_value" },
    {
      body: tool({ name: "f", allowed_callers: ["programmatic"] }),
      param: "tools[0].allowed_callers",
      code: "unsupported_value"
    },
    { body: { tools: [{ type: "code_interpreter" }] }, ...missing("tools[0].container") },
    { body: { tools: [{ type: "code_interpreter", container: "cntr_1" }] }, param: "tools[0].container", code: null },
    {
      body: { tools: [{ type: "code_interpreter", container: { type: "auto", file_ids: ["file-1"] } }] },
      param: "tools[0].container.file_ids",
      code: null
    }
  ],
  "MCP servers": [
    { body: { tools: [{ type: "mcp", server_url: "https://a.example" }] }, ...missing("tools[0].server_label") },
    {
      body: { tools: [{ type: "mcp", server_label: "a" }] },
      param: "tools[0].server_url",
      code: "missing_required_parameter"
    },
    {
      body: { tools: [mcp({ connector_id: "connector_gmail" })] },
      param: "tools[0].server_url",
      code: "mutually_exclusive_parameters"
    },
    { body: { tools: [mcp({ server_label: "1 a" })] }, param: "tools[0].server_label", code: "invalid_value" },
    { body: { tools: [mcp({ server_url: "docs" })] }, param: "tools[0].server_url", code: "invalid_value" },
    {
      body: { tools: [{ ...mcp(), require_approval: "sometimes" }] },
      param: "tools[0].require_approval",
      code: "invalid_value"
    },
    {
      body: { tools: [mcp({ require_approval: { never: { read_only: true } } })] },
      param: "tools[0].require_approval.never.read_only",
      code: "unsupported_value"
    }
  ],
  "choices of tools": [
    {
      body: { tool_choice: "required" },
      param: "tool_choice",
      code: null,
      message: "400 Tool choice 'required' must be specified with 'tools' parameter."
    },
    { body: { tool_choice: "sometimes" }, param: "tool_choice", code: "invalid_value" },
    { body: { tool_choice: { type: "retrieval" } }, param: "tool_choice.type", code: "invalid_value" },
    ...[
      { type: "function", name: "g" },
      { type: "custom", name: "f" },
      { type: "web_search" },
      { type: "code_interpreter" },
      { type: "image_generation" },
      { type: "mcp", server_label: "docs" }
    ].map((choice) => ({
      body: { tools: [fn("f")], tool_choice: choice },
      param: "tool_choice",
      code: null,
      message: `400 Tool choice '${choice.type}' not found in 'tools' parameter.`
    })),
    {
      body: {
        tools: [mcp({ allowed_tools: ["read"] })],
        tool_choice: { type: "mcp", server_label: "docs", name: "pay" }
      },
      param: "tool_choice",
      code: null
    },
    {
      body: {
        tools: [fn("f")],
        tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "g" }] }
      },
      param: "tool_choice",
      code: null
    },
    {
      body: { tools: [fn("f")], tool_choice: { type: "allowed_tools", mode: "none", tools: [] } },
      param: "tool_choice.mode",
      code: "invalid_value"
    },
    ...["echo", "lorem:3"].map((model) => ({
      body: { model, tools: [fn("f")], tool_choice: "required" },
      param: "tool_choice",
      code: null
    }))
  ],
  "what belongs to tools": [
    { body: { parallel_tool_calls: "yes" }, param: "parallel_tool_calls", code: "invalid_type" },
    { body: { max_tool_calls: 0 }, param: "max_tool_calls", code: "integer_below_min_value" },
    { body: { include: "x" }, param: "include", code: "invalid_type" },
    {
      body: { include: ["reasoning.encrypted_content", "thoughts"] },
      param: "include[1]",
      code: "invalid_value",
      message: /^400 Invalid value: 'thoughts'\. Supported values are: 'file_search_call.results', /
    },
    { body: { include: ["message.output_text.logprobs"] }, param: "include[0]", code: "unsupported_value" }
  ],
  "input items": [
    { body: { input: ["x"] }, param: "input[0]", code: "invalid_type" },
    { body: { input: [{ type: "telepathy" }] }, param: "input[0].type", code: "invalid_value" },
    { body: { input: [{ content: "x" }] }, ...missing("input[0].type") },
    { body: { input: [{ role: "user" }] }, ...missing("input[0].content") },
    { body: { input: [{ type: "function_call_output", output: "x" }] }, ...missing("input[0].call_id") },
    {
      body: { input: [{ type: "computer_call_output", call_id: "c", output: {} }] },
      param: "input[0].type",
      code: "unsupported_value"
    },
    {
      body: { input: [{ type: "mcp_approval_response", approval_request_id: "mcpr_1", approve: "yes" }] },
      param: "input[0].approve",
      code: "invalid_type"
    }
  ],
  "calls and outputs that do not belong together": [
    {
      body: { input: [{ type: "function_call_output", call_id: "call_1", output: "x" }] },
      param: "input",
      code: null,
      message: "400 No tool call found for function call output with call_id call_1."
    },
    {
      body: { input: [{ type: "custom_tool_call_output", call_id: "call_1", output: "x" }] },
      param: "input",
      code: null,
      message: "400 No tool call found for custom tool call output with call_id call_1."
    },
    {
      body: { input: [{ type: "function_call", call_id: "call_1", name: "f", arguments: "{}" }] },
      param: "input",
      code: null,
      message: "400 No tool output found for function call call_1."
    },
    {
      body: { input: [{ type: "mcp_approval_response", approval_request_id: "mcpr_1", approve: true }] },
      param: "input",
      code: null,
      message: "400 No MCP approval request found for MCP approval response with id mcpr_1."
    }
  ]
}

describe("the sandbox refuses", () => {
  it.live.each(Object.entries(refusals))("%s", ([, expected]) =>
    Effect.gen(function* () {
      const client = yield* connect
      for (const { body, code, message, param } of expected) {
        const error = yield* refused(() =>
          client.post("/responses", { body: { model: "analyst", input: "x", ...body } })
        )
        const about = JSON.stringify(body)
        assert.deepEqual([error.status, error.type], [400, "invalid_request_error"], about)
        assert.deepEqual({ param: error.param, code: error.code }, { param, code }, about)
        if (typeof message === "string") assert.strictEqual(error.message, message)
        else if (message !== undefined) assert.match(error.message, message)
      }
    }).pipe(server)
  )

  it.live("to go on from a response whose calls have no outputs, and takes the outputs after that", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [fn("f"), { type: "custom" as const, name: "note" }]
      const first = yield* ask(client, "call: f\ncall: note x", { tools })
      const id = itemsOf(first, "function_call")[0]?.call_id ?? ""
      const noteId = itemsOf(first, "custom_tool_call")[0]?.call_id ?? ""
      const output = { type: "function_call_output", call_id: id, output: "x" } as const
      const noted = { type: "custom_tool_call_output", call_id: noteId, output: "x" } as const
      const next = { model: "analyst", tools, previous_response_id: first.id }
      const none = yield* refused(() => client.responses.create({ ...next, input: "And now?" }))
      assert.strictEqual(none.message, `400 No tool output found for function call ${id}.`)
      const one = yield* refused(() => client.responses.create({ ...next, input: [output] }))
      assert.strictEqual(one.message, `400 No tool output found for custom tool call ${noteId}.`)
      assert.deepEqual(typesIn(yield* ask(client, [output, noted], next)), ["message"])
    }).pipe(server)
  )

  it.live("to go on from a request for approval that has no answer", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [mcp()]
      const first = yield* ask(client, "mcp: pay", { tools })
      const id = itemsOf(first, "mcp_approval_request")[0]?.id ?? ""
      const error = yield* refused(() =>
        client.responses.create({ model: "analyst", tools, previous_response_id: first.id, input: "And now?" })
      )
      assert.deepEqual(
        [error.param, error.message],
        ["input", `400 The following MCP approval requests do not have an approval: ${id}`]
      )
    }).pipe(server)
  )

  it.live("to refer to items that it does not have, and those that were not stored", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const { output } = yield* ask(client, "Hello", { store: false })
      for (const id of [output[0]?.id ?? "", "msg_1"]) {
        const error = yield* refused(() =>
          client.responses.create({
            model: "analyst",
            input: [
              { type: "item_reference", id },
              { role: "user", content: "x" }
            ]
          })
        )
        assert.deepEqual([error.status, error.param], [404, "input"])
        assert.include(error.message, `Item with id '${id}' not found.`)
      }
    }).pipe(server)
  )

  it.live("no strict schema that keeps the rules", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const node = object({
        value: { type: ["string", "null"] },
        next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] }
      })
      const parameters = object(
        { list: { $ref: "#/$defs/node" }, kind: { enum: ["a", "b"] }, all: { type: "array", items: object({}) } },
        { $defs: { node } }
      )
      const body = { model: "analyst", input: "x", ...strict(parameters) }
      assert.strictEqual(
        (yield* Effect.promise(() => client.post<{ readonly status: string }>("/responses", { body }))).status,
        "completed"
      )
    }).pipe(server)
  )
})
