import * as Result from "effect/Result"
import * as OpenAiStructuredOutput from "effect/ai/OpenAiStructuredOutput"
import * as Tool from "effect/ai/Tool"
import { isRecord, type Json } from "./fields.ts"

// The parameters of a call are decoded in processes that do not have the tool, so they must come in the tool's own
// encoding. OpenAI's strict mode has no optional keys, no tuples and no records: effect's transformer writes these in
// another encoding. The transformer is used only if it leaves the encoding as it is.

/** The parameters of a function tool: a JSON Schema, and whether the API makes the model follow it exactly. */
export interface Parameters {
  readonly parameters: { [key: string]: unknown }
  readonly strict: boolean
}

/** A schema without its descriptions. */
const bare = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(bare)
  if (!isRecord(schema)) return schema
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => key !== "description" || typeof value !== "string")
      .map(([key, value]) => [key, bare(value)])
  )
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(bare(a)) === JSON.stringify(bare(b))

const kinds = ["type", "anyOf", "$ref", "enum", "const"]

/** Whether each value has a type. Strict mode refuses a value that can be anything. */
const isTyped = (schema: unknown): boolean => {
  if (!isRecord(schema) || !kinds.some((kind) => kind in schema)) return false
  const { $defs, anyOf, items, properties } = schema
  const inner = [
    ...(Array.isArray(anyOf) ? anyOf : []),
    ...(items === undefined ? [] : [items]),
    ...(isRecord(properties) ? Object.values(properties) : []),
    ...(isRecord($defs) ? Object.values($defs) : [])
  ]
  return inner.every(isTyped)
}

/** The schema that strict mode accepts; undefined if there is none with the tool's own encoding. */
const strictly = (tool: Tool.Any): Json | undefined => {
  if (Tool.isDynamic(tool) && tool.jsonSchema !== undefined) return tool.jsonSchema
  const transformed = Result.try(() => {
    const { codec, jsonSchema } = OpenAiStructuredOutput.toCodecOpenAI(tool.parametersSchema)
    const plain = Tool.getJsonSchemaFromSchema(tool.parametersSchema)
    return isSame(plain, Tool.getJsonSchemaFromSchema(codec)) && isTyped(jsonSchema) ? jsonSchema : undefined
  })
  return Result.isSuccess(transformed) ? transformed.success : undefined
}

/** A schema whose root is not a reference: the API looks for the type at the root. */
const rooted = (schema: Json): Json => {
  const name = /^#\/\$defs\/(.+)$/.exec(String(schema["$ref"]))?.[1]
  const root = name === undefined || !isRecord(schema["$defs"]) ? undefined : schema["$defs"][name]
  return isRecord(root) ? { ...root, $defs: schema["$defs"] } : schema
}

const written = (schema: Json): { [key: string]: unknown } => ({
  ...schema,
  // The API refuses an object without this key.
  ...("properties" in schema ? undefined : { properties: {} })
})

/** The parameters of a function tool, or why the API cannot have them. */
export const parametersOf = (tool: Tool.Any): Result.Result<Parameters, string> => {
  const wanted = Tool.getStrictMode(tool)
  // A JSON Schema that somebody else wrote is seldom one for strict mode, and the API refuses it then.
  const isWritten = Tool.isDynamic(tool) && tool.jsonSchema !== undefined
  const strict = (wanted ?? !isWritten) ? strictly(tool) : undefined
  if (strict !== undefined) return Result.succeed({ parameters: written(strict), strict: true })
  if (wanted === true) {
    return Result.fail(
      "its parameters have no schema in strict mode: there, every key is required, and tuples, records and values of " +
        "any type do not exist. Use `Schema.NullOr` instead of an optional key, or annotate the tool with " +
        "`Tool.Strict` false"
    )
  }
  const plain = Result.try(() => rooted(Tool.getJsonSchema(tool)))
  if (Result.isFailure(plain)) {
    const { failure } = plain
    return Result.fail(
      `its parameters have no JSON Schema: ${failure instanceof Error ? failure.message : String(failure)}`
    )
  }
  return plain.success["type"] === "object"
    ? Result.succeed({ parameters: written(plain.success), strict: false })
    : Result.fail("its parameters must be an object. For a plain text, use a tool with the id `openai.custom`")
}
