// The tools of an agent, as a request sends them: those that the API accepts, and those that are refused before anything is
// sent.
import type { OpenAiBackgroundModel } from "@effect-baton/openai"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Tool } from "effect/ai"
import { asked } from "./asked.ts"
import { type Json, reasonOf } from "./support.ts"

const written = (tools: ReadonlyArray<Tool.Any>, options?: Partial<OpenAiBackgroundModel.Options>) =>
  Effect.map(asked({ tools }, options), ({ body, error }) => {
    assert.isUndefined(error)
    return body["tools"] as ReadonlyArray<Json>
  })

const refused = Effect.fnUntraced(function* (tools: ReadonlyArray<Tool.Any>, options?: Json) {
  const { error } = yield* asked({ tools, ...(options === undefined ? {} : { options }) })
  const reason = reasonOf(error)
  assert.strictEqual(reason?._tag, "InvalidRequestError")
  assert.strictEqual(error?._tag, "AiError")
  return reason?._tag === "InvalidRequestError" ? (reason.description ?? "") : ""
})

const object = (properties: Json, more?: Json) => ({
  type: "object",
  properties,
  ...(Object.keys(properties).length === 0 ? {} : { required: Object.keys(properties) }),
  additionalProperties: false,
  ...more
})

class Place extends Schema.Class<Place>("Place")({ city: Schema.String }) {}

describe("functions", () => {
  const strict: ReadonlyArray<readonly [string, Tool.Any, Json]> = [
    ["without parameters", Tool.make("f"), object({})],
    [
      "with parameters",
      Tool.make("f", { description: "Does it.", parameters: Schema.Struct({ city: Schema.String }) }),
      object({ city: { type: "string" } })
    ],
    [
      "with a list of choices, and a value that may be null",
      Tool.make("f", {
        parameters: Schema.Struct({
          unit: Schema.Literals(["c", "f"]),
          some: Schema.Array(Schema.NullOr(Schema.Boolean))
        })
      }),
      object({
        unit: { type: "string", enum: ["c", "f"] },
        some: { type: "array", items: { anyOf: [{ type: "boolean" }, { type: "null" }] } }
      })
    ],
    [
      "with a class",
      Tool.make("f", { parameters: Place }),
      object({ city: { type: "string" } }, { $defs: { PlaceEncoded: object({ city: { type: "string" } }) } })
    ]
  ]

  it.effect.each(strict)("%s: in strict mode", ([, tool, parameters]) =>
    Effect.gen(function* () {
      const description = Tool.getDescription(tool)
      assert.deepEqual(yield* written([tool]), [
        { type: "function", name: "f", parameters, strict: true, ...(description === undefined ? {} : { description }) }
      ])
    })
  )

  // Strict mode would change the encoding of these, and a process without the tool could not change it back.
  const loose: ReadonlyArray<readonly [string, Schema.Struct<Schema.Struct.Fields>, Json]> = [
    ["an optional key", Schema.Struct({ a: Schema.optionalKey(Schema.String) }), { a: { type: "string" } }],
    [
      "a tuple",
      Schema.Struct({ a: Schema.Tuple([Schema.String]) }),
      { a: { type: "array", prefixItems: [{ type: "string" }], minItems: 1, maxItems: 1 } }
    ],
    [
      "a record",
      Schema.Struct({ a: Schema.Record(Schema.String, Schema.String) }),
      { a: { type: "object", additionalProperties: { type: "string" } } }
    ],
    ["any value", Schema.Struct({ a: Schema.Unknown }), { a: {} }]
  ]

  it.effect.each(loose)("%s: not in strict mode, in its own encoding", ([, parameters, properties]) =>
    Effect.gen(function* () {
      const [tool] = yield* written([Tool.make("f", { parameters })])
      assert.strictEqual(tool?.["strict"], false)
      assert.deepInclude(tool?.["parameters"], { properties })
      const demanded = Tool.make("f", { parameters }).annotate(Tool.Strict, true)
      assert.include(yield* refused([demanded]), "strict mode")
    })
  )

  it.effect("a class with an optional key has its type at the root", () =>
    Effect.gen(function* () {
      class Some extends Schema.Class<Some>("Some")({ a: Schema.optionalKey(Schema.String) }) {}
      const [tool] = yield* written([Tool.make("f", { parameters: Some })])
      assert.deepInclude(tool?.["parameters"] as Json, { type: "object", properties: { a: { type: "string" } } })
    })
  )

  it.effect("the tool may say that it is not strict", () =>
    Effect.gen(function* () {
      const tool = Tool.make("f", { parameters: Schema.Struct({ a: Schema.String }) }).annotate(Tool.Strict, false)
      assert.deepInclude((yield* written([tool]))[0], { strict: false })
    })
  )

  it.effect("a dynamic tool's own JSON Schema is sent as it is", () =>
    Effect.gen(function* () {
      const parameters = { type: "object", properties: { q: { type: "string", format: "x" } } } as const
      const tool = Tool.dynamic("ask", { description: "Asks.", parameters })
      assert.deepEqual(yield* written([tool]), [
        { type: "function", name: "ask", description: "Asks.", parameters, strict: false }
      ])
      const strictly = Tool.dynamic("ask", { parameters }).annotate(Tool.Strict, true)
      assert.deepInclude((yield* written([strictly]))[0], { parameters, strict: true })
    })
  )

  it.effect.each([
    ["a text", Schema.String],
    [
      "a choice between objects",
      Schema.Union([Schema.Struct({ a: Schema.String }), Schema.Struct({ b: Schema.String })])
    ]
  ] as const)("parameters that are %s are refused", ([, parameters]) =>
    Effect.gen(function* () {
      assert.include(yield* refused([Tool.make("f", { parameters })]), "must be an object")
    })
  )
})

describe("tools that OpenAI defines", () => {
  const define = <const Id extends `${string}.${string}`>(id: Id, providerName: string, args?: Json, name = "own") =>
    Tool.providerDefined({ id, customName: name, providerName, args: Schema.Record(Schema.String, Schema.Json) })(
      (args ?? {}) as Record<string, Schema.Json>
    )

  const tools: ReadonlyArray<readonly [Tool.Any, Json]> = [
    [
      define("openai.web_search", "web_search", { search_context_size: "low" }),
      { type: "web_search", search_context_size: "low" }
    ],
    [define("openai.web_search_preview", "web_search_preview"), { type: "web_search_preview" }],
    [
      define("openai.file_search", "file_search", { vector_store_ids: ["vs_1"] }),
      { type: "file_search", vector_store_ids: ["vs_1"] }
    ],
    [
      define("openai.code_interpreter", "code_interpreter", { container: { type: "auto" } }),
      { type: "code_interpreter", container: { type: "auto" } }
    ],
    [
      define("openai.mcp", "mcp", { server_label: "wiki", server_url: "https://a.test" }),
      { type: "mcp", server_label: "wiki", server_url: "https://a.test" }
    ],
    [
      define("openai.image_generation", "image_generation", { partial_images: 2 }),
      { type: "image_generation", partial_images: 2 }
    ],
    [define("openai.computer", "computer"), { type: "computer" }],
    [define("openai.computer_use", "computer"), { type: "computer" }],
    [
      define("openai.computer_use_preview", "computer", { display_height: 1, display_width: 2, environment: "linux" }),
      { type: "computer_use_preview", display_height: 1, display_width: 2, environment: "linux" }
    ],
    [define("openai.local_shell", "local_shell"), { type: "local_shell" }],
    [
      define("openai.shell", "shell", { environment: { type: "local" } }),
      { type: "shell", environment: { type: "local" } }
    ],
    [define("openai.apply_patch", "apply_patch"), { type: "apply_patch" }],
    [
      define("openai.custom", "grep", { description: "Greps." }),
      { type: "custom", name: "grep", description: "Greps." }
    ],
    [define("openai.custom", "custom", {}, "grep"), { type: "custom", name: "grep" }],
    [define("openai.tool_search", "tool_search"), { type: "tool_search" }],
    [define("openai.programmatic_tool_calling", "programmatic_tool_calling"), { type: "programmatic_tool_calling" }]
  ]

  it.effect.each(tools)("%#", ([tool, expected]) =>
    Effect.gen(function* () {
      assert.deepEqual(yield* written([tool]), [expected])
    })
  )

  it.effect("without arguments, and with a handler of the caller", () =>
    Effect.gen(function* () {
      const shell = Tool.providerDefined({
        id: "openai.shell",
        customName: "OpenAiShell",
        providerName: "shell",
        requiresHandler: true,
        args: Schema.Struct({ environment: Schema.optionalKey(Schema.Json) })
      })({ failureMode: "return" })
      const patch = Tool.providerDefined({
        id: "openai.apply_patch",
        customName: "OpenAiApplyPatch",
        providerName: "apply_patch",
        requiresHandler: true
      })({ failureMode: "return" } as never)
      assert.deepEqual(yield* written([shell, patch]), [{ type: "shell" }, { type: "apply_patch" }])
    })
  )

  it.effect("after the tools of the options", () =>
    Effect.gen(function* () {
      const f = Tool.make("f")
      const all = yield* written([f], { params: { tools: [{ type: "web_search" }] } })
      assert.deepEqual(
        all.map(({ type }) => type),
        ["web_search", "function"]
      )
    })
  )

  const search = (vector_store_ids: ReadonlyArray<string>) =>
    Tool.providerDefined({
      id: "openai.file_search",
      customName: "own",
      providerName: "file_search",
      args: Schema.Struct({ vector_store_ids: Schema.NonEmptyArray(Schema.String) })
    })({ vector_store_ids } as never)

  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<Tool.Any>, Json | undefined, string]> = [
    ["another provider's", [define("anthropic.bash", "bash")], undefined, "anthropic.bash"],
    ["an unknown id", [define("openai.never_heard_of", "x")], undefined, "openai.never_heard_of"],
    ["arguments that do not fit", [search([])], undefined, "do not fit"],
    ["arguments that lack something", [define("openai.mcp", "mcp")], undefined, "server_label"],
    ["a name twice", [Tool.make("shell"), define("openai.shell", "shell")], undefined, "same name"],
    ["a name of the options", [Tool.make("grep")], { tools: [{ type: "custom", name: "grep" }] }, "same name"]
  ]

  it.effect.each(wrong)("%s is refused", ([, own, options, why]) =>
    Effect.gen(function* () {
      assert.include(yield* refused(own, options), why)
    })
  )

  it.effect("two servers for MCP are not one tool", () =>
    Effect.gen(function* () {
      const servers = ["a", "b"].map((server_label) => define("openai.mcp", "mcp", { server_label }))
      assert.strictEqual((yield* written(servers)).length, 2)
    })
  )
})
