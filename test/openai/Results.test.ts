// Calls and their results on their way back to the API: each result as the output that belongs to the type of its call, with
// the call in the prompt and without it, and failures so that the model sees that they are.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Prompt, Tool } from "effect/ai"
import { asked } from "./asked.ts"
import { callerCases } from "./callerCases.ts"
import { promptOf } from "./lanes.ts"
import { type Json, reasonOf, response } from "./support.ts"

type Result = Partial<Prompt.ToolResultPartEncoded>

const result = (name: string, more: Result = {}): Prompt.MessageEncoded => ({
  role: "tool",
  content: [{ type: "tool-result", id: "call_1", name, result: "x", isFailure: false, ...more }]
})

const ofType = (type: string): Result => ({ options: { openai: { type } } })

/** The one item that a message of results becomes. */
const sent = (message: Prompt.MessageEncoded, tools: ReadonlyArray<Tool.Any> = [], options?: Json) =>
  Effect.map(
    asked({ prompt: Prompt.make([message]), tools, ...(options === undefined ? {} : { options }) }),
    ({ body, error }) => error ?? (body["input"] as ReadonlyArray<unknown>)[0]
  )

const call_id = "call_1"
const exit = (exit_code: number) => ({ type: "exit", exit_code })
const ran = { stdout: "a", stderr: "b", outcome: { type: "timeout" } }
const denied = { result: { type: "execution-denied", reason: "no" }, isFailure: true }
const image = { type: "file", mediaType: "image/png", data: "aGk=" } as const

describe("a result is the output of its call", () => {
  const outputs: ReadonlyArray<readonly [string, Result, Json]> = [
    ["function_call", {}, { type: "function_call_output", output: "x" }],
    ["function_call", { result: { n: 1 } }, { type: "function_call_output", output: '{"n":1}' }],
    [
      "function_call",
      denied,
      { type: "function_call_output", output: '{"error":{"type":"execution-denied","reason":"no"}}' }
    ],
    [
      "function_call",
      { result: {}, modelOutput: [{ type: "text", text: "seen" }] },
      { type: "function_call_output", output: [{ type: "input_text", text: "seen" }] }
    ],
    ["custom_tool_call", {}, { type: "custom_tool_call_output", output: "x" }],
    ["custom_tool_call", { isFailure: true }, { type: "custom_tool_call_output", output: '{"error":"x"}' }],
    ["shell_call", {}, { type: "shell_call_output", output: [{ stdout: "x", stderr: "", outcome: exit(0) }] }],
    ["shell_call", { result: [ran] }, { type: "shell_call_output", output: [ran] }],
    [
      "shell_call",
      { result: { output: [ran], max_output_length: 5 } },
      { type: "shell_call_output", output: [ran], max_output_length: 5 }
    ],
    [
      "shell_call",
      { result: [{}] },
      { type: "shell_call_output", output: [{ stdout: "[{}]", stderr: "", outcome: exit(0) }] }
    ],
    [
      "shell_call",
      { isFailure: true },
      { type: "shell_call_output", output: [{ stdout: "", stderr: '{"error":"x"}', outcome: exit(1) }] }
    ],
    [
      "shell_call",
      { result: [ran], modelOutput: [{ type: "text", text: "seen" }] },
      { type: "shell_call_output", output: [{ stdout: "seen", stderr: "", outcome: exit(0) }] }
    ],
    ["local_shell_call", {}, { type: "local_shell_call_output", id: call_id, output: "x" }],
    ["local_shell_call", { result: { output: "y" } }, { type: "local_shell_call_output", id: call_id, output: "y" }],
    [
      "local_shell_call",
      { isFailure: true },
      { type: "local_shell_call_output", id: call_id, output: '{"error":"x"}' }
    ],
    [
      "apply_patch_call",
      { result: { status: "completed", output: "ok" } },
      { type: "apply_patch_call_output", status: "completed", output: "ok" }
    ],
    [
      "apply_patch_call",
      { result: { status: "failed", output: "no" } },
      { type: "apply_patch_call_output", status: "failed", output: "no" }
    ],
    [
      "apply_patch_call",
      { isFailure: true },
      { type: "apply_patch_call_output", status: "failed", output: '{"error":"x"}' }
    ],
    [
      "computer_call",
      { result: { image_url: "https://a.test/x.png", acknowledged_safety_checks: [{ id: "sc_1" }] } },
      {
        type: "computer_call_output",
        output: { type: "computer_screenshot", image_url: "https://a.test/x.png" },
        acknowledged_safety_checks: [{ id: "sc_1" }]
      }
    ],
    [
      "computer_call",
      { result: { output: { type: "computer_screenshot", file_id: "file-1" } } },
      { type: "computer_call_output", output: { type: "computer_screenshot", file_id: "file-1" } }
    ],
    [
      "computer_call",
      { result: "data:image/png;base64,aGk=" },
      { type: "computer_call_output", output: { type: "computer_screenshot", image_url: "data:image/png;base64,aGk=" } }
    ],
    [
      "computer_call",
      { result: {}, isFailure: true, modelOutput: [image] },
      {
        type: "computer_call_output",
        status: "incomplete",
        output: { type: "computer_screenshot", image_url: "data:image/png;base64,aGk=" }
      }
    ],
    [
      "tool_search_call",
      { result: [{ type: "web_search" }] },
      { type: "tool_search_output", execution: "client", status: "completed", tools: [{ type: "web_search" }] }
    ],
    [
      "tool_search_call",
      { result: { tools: [{ type: "web_search" }] }, isFailure: true },
      { type: "tool_search_output", execution: "client", status: "incomplete", tools: [] }
    ]
  ]

  it.effect.each(outputs)("%s, %j", ([type, more, expected]) =>
    Effect.gen(function* () {
      const own = type === "function_call" ? more : { ...more, ...ofType(type) }
      const id = type === "local_shell_call" ? {} : { call_id }
      assert.deepEqual<unknown>(yield* sent(result("f", own)), { ...id, ...expected })
    })
  )

  it.effect.each(["x", {}, { image_url: 7 }])("a screenshot that is none, %j, is refused", (value) =>
    Effect.gen(function* () {
      const error = yield* sent(result("computer", { result: value, ...ofType("computer_call") }))
      assert.strictEqual(reasonOf(error)?._tag, "ToolResultEncodingError")
    })
  )

  it.effect("the caller of a call is told again", () =>
    Effect.gen(function* () {
      const caller = { type: "program", caller_id: "prog_1" }
      assert.deepEqual(yield* sent(result("f", { options: { openai: { caller } } })), {
        type: "function_call_output",
        call_id,
        output: "x",
        caller
      })
    })
  )
})

describe("the type of a call follows from the tool", () => {
  const define = (id: `openai.${string}`, customName: string, providerName: string) =>
    Tool.providerDefined({ id, customName, providerName, requiresHandler: true, parameters: Schema.Json })({} as never)

  const tools = [
    define("openai.shell", "OpenAiShell", "shell"),
    define("openai.local_shell", "OpenAiLocalShell", "local_shell"),
    define("openai.apply_patch", "OpenAiApplyPatch", "apply_patch"),
    define("openai.custom", "grep", "grep"),
    define("openai.tool_search", "find", "tool_search"),
    Tool.make("f")
  ]

  const named: ReadonlyArray<readonly [string, string]> = [
    ["OpenAiShell", "shell_call_output"],
    ["shell", "shell_call_output"],
    ["OpenAiLocalShell", "local_shell_call_output"],
    ["OpenAiApplyPatch", "apply_patch_call_output"],
    ["apply_patch", "apply_patch_call_output"],
    ["grep", "custom_tool_call_output"],
    ["find", "tool_search_output"],
    ["f", "function_call_output"],
    ["unknown", "function_call_output"]
  ]

  it.effect.each(named)("%s: %s", ([name, type]) =>
    Effect.gen(function* () {
      assert.deepInclude(yield* sent(result(name), tools), { type })
    })
  )

  it.effect("of the options too", () =>
    Effect.gen(function* () {
      const options = { tools: [{ type: "shell" }, { type: "custom", name: "grep" }, { type: "computer" }] }
      assert.deepInclude(yield* sent(result("shell"), [], options), { type: "shell_call_output" })
      assert.deepInclude(yield* sent(result("grep"), [], options), { type: "custom_tool_call_output" })
      const shown = result("computer", { result: "https://a.test/x.png" })
      assert.deepInclude(yield* sent(shown, [], options), { type: "computer_call_output" })
    })
  )

  it.effect("a function may have the name of a type", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* sent(result("shell"), [Tool.make("shell")]), { type: "function_call_output" })
    })
  )
})

describe("approvals", () => {
  const answer = (approvalId: string, options?: Json): Prompt.MessageEncoded => ({
    role: "tool",
    content: [
      {
        type: "tool-approval-response",
        approvalId,
        approved: true,
        ...(options === undefined ? {} : { options: { openai: options as Record<string, string> } })
      }
    ]
  })

  it.effect("the provider's go back to it", () =>
    Effect.gen(function* () {
      const approval = { type: "mcp_approval_response", approve: true }
      assert.deepEqual(yield* sent(answer("mcpr_1")), { ...approval, approval_request_id: "mcpr_1" })
      const other = answer("other", { type: "mcp_approval_request" })
      assert.deepEqual(yield* sent(other), { ...approval, approval_request_id: "other" })
      assert.isUndefined(yield* sent(answer("run:0:call_1")))
    })
  )
})

describe("a whole turn goes back, if the provider stores nothing", () => {
  const cases = Object.entries(callerCases).flatMap(([type, all]) =>
    type === "message" || type === "reasoning" ? [] : all.map(({ item }) => [type, item as unknown as Json] as const)
  )

  it.effect.each(cases)("%s, %#", ([type, item]) =>
    Effect.gen(function* () {
      const prompt = yield* promptOf(response({ output: [item] }))
      const { body, error } = yield* asked({ prompt })
      assert.isUndefined(error)
      const [back] = body["input"] as ReadonlyArray<Json>
      const isHosted = type === "shell_call" && (item["environment"] as Json | undefined)?.["type"] !== "local"
      const isServers = type === "tool_search_call" && item["execution"] === "server"
      if (isHosted || isServers) return assert.isUndefined(back)
      assert.strictEqual(back?.["type"], type)
      for (const [key, value] of Object.entries(back ?? {})) {
        if (key === "arguments" && typeof value === "string") {
          assert.deepEqual(JSON.parse(value), JSON.parse(String(item[key])))
        } else if (key !== "status") assert.deepEqual(value, item[key], key)
      }
    })
  )

  it.effect("a result that came in the response of its call goes with it", () =>
    Effect.gen(function* () {
      const call = { type: "function_call", id: "fc_1", call_id, name: "f", arguments: "{}", status: "completed" }
      const output = { type: "function_call_output", id: "fo_1", call_id, name: "f", output: "x", status: "completed" }
      const { body } = yield* asked({ prompt: yield* promptOf(response({ output: [call, output] })) })
      assert.deepEqual(
        (body["input"] as ReadonlyArray<Json>).map(({ type }) => type),
        ["function_call", "function_call_output"]
      )
    })
  )
})
