import { RunId } from "@effect-baton/core/Run"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Prompt, Response } from "effect/ai"
import { asked } from "./asked.ts"
import { type Json, reasonOf } from "./support.ts"

const input = (...messages: ReadonlyArray<Prompt.MessageEncoded>) =>
  Effect.map(asked({ prompt: Prompt.make(messages) }), ({ body, error }) => error ?? body["input"])

describe("the body of a create request", () => {
  it.effect("of a request without anything special", () =>
    Effect.gen(function* () {
      const { body } = yield* asked({})
      assert.deepEqual(body, {
        model: "gpt-test",
        input: [{ role: "user", content: [{ type: "input_text", text: "What is 2 + 2?" }] }],
        metadata: { baton_run_id: "run-1" },
        background: true,
        stream: true
      })
    })
  )

  it.effect("carries the instructions, the response before, and whether it runs in the background", () =>
    Effect.gen(function* () {
      const { body } = yield* asked({
        runId: RunId.make("run-ä"),
        instructions: "Be brief.",
        previousResponseId: "resp_0",
        background: false
      })
      assert.deepInclude(body, {
        instructions: "Be brief.",
        previous_response_id: "resp_0",
        background: false,
        stream: true,
        metadata: { baton_run_id: "run-ä" }
      })
    })
  )

  it.effect("carries the layer's options by the API's names", () =>
    Effect.gen(function* () {
      const { body } = yield* asked(
        {},
        {
          reasoning: { effort: "high", summary: "auto" },
          maxOutputTokens: 500,
          temperature: 0,
          store: false,
          params: { service_tier: "flex", truncation: "auto", temperature: 1 }
        }
      )
      assert.deepInclude(body, {
        reasoning: { effort: "high", summary: "auto" },
        max_output_tokens: 500,
        temperature: 0,
        store: false,
        service_tier: "flex",
        truncation: "auto"
      })
    })
  )

  it.effect("a request's options go over the layer's; tools and metadata of both count", () =>
    Effect.gen(function* () {
      const tool = { type: "function", name: "f", parameters: {}, strict: true }
      const { body } = yield* asked(
        {
          options: {
            model: "gpt-other",
            temperature: 1,
            tools: [tool],
            metadata: { team: "b", baton_run_id: "forged" }
          }
        },
        { temperature: 0, params: { tools: [{ type: "web_search" }], metadata: { team: "a", cost: "7" } } }
      )
      assert.deepInclude(body, {
        model: "gpt-other",
        temperature: 1,
        tools: [{ type: "web_search" }, tool],
        metadata: { team: "b", cost: "7", baton_run_id: "run-1" }
      })
    })
  )

  it.effect("options cannot take what the run decides", () =>
    Effect.gen(function* () {
      const { body } = yield* asked({
        instructions: "Mine.",
        options: { background: false, stream: false, input: "theirs", instructions: "Theirs." }
      })
      assert.deepInclude(body, { background: true, stream: true, instructions: "Mine." })
      assert.isArray(body["input"])
    })
  )

  it.effect("with a conversation, the response before is not named", () =>
    Effect.gen(function* () {
      const { body } = yield* asked({ previousResponseId: "resp_0", options: { conversation: "conv_1" } })
      assert.strictEqual(body["conversation"], "conv_1")
      assert.notProperty(body, "previous_response_id")
    })
  )
})

describe("a prompt's messages", () => {
  it.effect("system and user text", () =>
    Effect.gen(function* () {
      assert.deepEqual(
        yield* input(
          { role: "system", content: "Be kind." },
          { role: "user", content: "Hello" },
          { role: "user", content: [] }
        ),
        [
          { role: "system", content: "Be kind." },
          { role: "user", content: [{ type: "input_text", text: "Hello" }] }
        ]
      )
    })
  )

  const bytes = new TextEncoder().encode("hello")
  const files: ReadonlyArray<readonly [string, Omit<Prompt.FilePartEncoded, "type">, Json]> = [
    [
      "an image's bytes",
      { mediaType: "image/png", data: bytes },
      { type: "input_image", detail: "auto", image_url: "data:image/png;base64,aGVsbG8=" }
    ],
    [
      "any image",
      { mediaType: "image/*", data: "aGVsbG8=" },
      { type: "input_image", detail: "auto", image_url: "data:image/jpeg;base64,aGVsbG8=" }
    ],
    [
      "an image's URL, in detail",
      { mediaType: "image/png", data: new URL("https://a.test/x.png"), options: { openai: { detail: "high" } } },
      { type: "input_image", detail: "high", image_url: "https://a.test/x.png" }
    ],
    [
      "a URL as text",
      { mediaType: "image/png", data: "https://a.test/x.png" },
      { type: "input_image", detail: "auto", image_url: "https://a.test/x.png" }
    ],
    [
      "an uploaded image",
      { mediaType: "image/png", data: "file-abc" },
      { type: "input_image", detail: "auto", file_id: "file-abc" }
    ],
    [
      "an uploaded file",
      { mediaType: "application/pdf", data: "file-abc" },
      { type: "input_file", file_id: "file-abc" }
    ],
    [
      "an uploaded file by option",
      { mediaType: "application/pdf", data: "", options: { openai: { fileId: "file-abc" } } },
      { type: "input_file", file_id: "file-abc" }
    ],
    [
      "a document's bytes",
      { mediaType: "application/pdf", fileName: "report.pdf", data: bytes },
      { type: "input_file", filename: "report.pdf", file_data: "data:application/pdf;base64,aGVsbG8=" }
    ],
    [
      "a document's URL",
      { mediaType: "application/pdf", data: new URL("https://a.test/x.pdf") },
      { type: "input_file", file_url: "https://a.test/x.pdf" }
    ],
    [
      "a data URL",
      { mediaType: "text/csv", data: "data:text/csv;base64,aGVsbG8=" },
      { type: "input_file", filename: "file", file_data: "data:text/csv;base64,aGVsbG8=" }
    ]
  ]

  it.effect.each(files)("a user's file: %s", ([, file, expected]) =>
    Effect.gen(function* () {
      assert.deepEqual(yield* input({ role: "user", content: [{ type: "file", ...file }] }), [
        { role: "user", content: [expected] }
      ])
    })
  )

  it.effect.each(["audio/wav", "video/mp4"])("%s is refused before anything is sent", (mediaType) =>
    Effect.gen(function* () {
      const prompt = Prompt.make([{ role: "user", content: [{ type: "file", mediaType, data: bytes }] }])
      const { error } = yield* asked({ prompt })
      assert.strictEqual(error?._tag, "AiError")
      assert.strictEqual(reasonOf(error)?._tag, "InvalidUserInputError")
      assert.include(error?.message, mediaType)
    })
  )

  it.effect("an assistant's text, calls and their results", () =>
    Effect.gen(function* () {
      assert.deepEqual(
        yield* input(
          {
            role: "assistant",
            content: [
              { type: "text", text: "Let me see." },
              { type: "text", text: "" },
              { type: "tool-call", id: "c1", name: "f", params: { city: "Paris" } },
              {
                type: "tool-call",
                id: "c2",
                name: "g",
                params: "ls",
                options: { openai: { type: "custom_tool_call" } }
              },
              { type: "tool-call", id: "c3", name: "web", params: {}, providerExecuted: true },
              { type: "tool-result", id: "c3", name: "web", result: {}, isFailure: false, providerExecuted: true },
              { type: "tool-approval-request", approvalId: "a", toolCallId: "c1" }
            ]
          },
          {
            role: "tool",
            content: [
              { type: "tool-result", id: "c1", name: "f", result: { degrees: 7 }, isFailure: false },
              { type: "tool-result", id: "c2", name: "g", result: "file.txt", isFailure: false },
              { type: "tool-result", id: "c4", name: "f", result: undefined, isFailure: false },
              {
                type: "tool-result",
                id: "c5",
                name: "plot",
                result: {},
                isFailure: false,
                modelOutput: [
                  { type: "text", text: "See:" },
                  { type: "file", mediaType: "image/png", data: bytes }
                ]
              },
              {
                type: "tool-result",
                id: "c6",
                name: "g",
                result: "x",
                isFailure: true,
                options: { openai: { type: "custom_tool_call" } }
              },
              { type: "tool-approval-response", approvalId: "mine", approved: true },
              { type: "tool-approval-response", approvalId: "mcpr_1", approved: false, reason: "no" }
            ]
          }
        ),
        [
          { role: "assistant", content: "Let me see." },
          { type: "function_call", call_id: "c1", name: "f", arguments: '{"city":"Paris"}' },
          { type: "custom_tool_call", call_id: "c2", name: "g", input: "ls" },
          { type: "function_call_output", call_id: "c1", output: '{"degrees":7}' },
          { type: "custom_tool_call_output", call_id: "c2", output: "file.txt" },
          { type: "function_call_output", call_id: "c4", output: "null" },
          {
            type: "function_call_output",
            call_id: "c5",
            output: [
              { type: "input_text", text: "See:" },
              { type: "input_image", detail: "auto", image_url: "data:image/png;base64,aGVsbG8=" }
            ]
          },
          { type: "custom_tool_call_output", call_id: "c6", output: '{"error":"x"}' },
          { type: "mcp_approval_response", approval_request_id: "mcpr_1", approve: false, reason: "no" }
        ]
      )
    })
  )

  it.effect("reasoning goes back only as the provider sealed it", () =>
    Effect.gen(function* () {
      assert.deepEqual(
        yield* input({
          role: "assistant",
          content: [
            { type: "reasoning", text: "unsealed" },
            { type: "reasoning", text: "sum", options: { openai: { itemId: "rs_1", encryptedContent: "xyz" } } }
          ]
        }),
        [{ type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "sum" }], encrypted_content: "xyz" }]
      )
    })
  )

  it.effect("an image that the model made goes back as what it was; other files of the assistant are refused", () =>
    Effect.gen(function* () {
      const made = Prompt.fromResponseParts([
        Response.makePart("file", { mediaType: "image/png", data: bytes, metadata: { openai: { itemId: "ig_1" } } })
      ])
      const { body } = yield* asked({ prompt: made })
      assert.deepEqual(body["input"], [
        { type: "image_generation_call", id: "ig_1", result: "aGVsbG8=", status: "completed" }
      ])
      const other = Prompt.make([
        { role: "assistant", content: [{ type: "file", mediaType: "image/png", data: bytes }] }
      ])
      const { error } = yield* asked({ prompt: other })
      assert.strictEqual(reasonOf(error)?._tag, "InvalidUserInputError")
    })
  )

  it.effect("a result that has no JSON is a ToolResultEncodingError", () =>
    Effect.gen(function* () {
      const prompt = Prompt.make([
        { role: "tool", content: [{ type: "tool-result", id: "c", name: "f", result: { n: 7n }, isFailure: false }] }
      ])
      const { error } = yield* asked({ prompt })
      const reason = reasonOf(error)
      assert.strictEqual(reason?._tag, "ToolResultEncodingError")
      assert.strictEqual(reason?._tag === "ToolResultEncodingError" && reason.toolName, "f")
    })
  )
})
