import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as AiError from "effect/ai/AiError"
import type * as Tool from "effect/ai/Tool"
import { resultCodec } from "../../AgentDefinition.ts"
import { bytesOf } from "../primitives/bytes.ts"

// Results of tool calls as the journal keeps them: JSON, of a limited size.

/** The result of a call, as a fact has it. */
export interface Recorded {
  readonly result: unknown
  readonly isFailure: boolean
  readonly ends?: "failed" | "defect"
}

/** Makes JSON of an encoded result; fails with a text that says why it cannot be kept. */
export const toJson = (encoded: unknown, most: number): Result.Result<unknown, string> =>
  Result.try({
    try: () => JSON.stringify(encoded) ?? "null",
    catch: (error) => (Predicate.isError(error) ? error.message : "it cannot be written as JSON")
  }).pipe(
    Result.flatMap((text) => {
      const bytes = bytesOf(text)
      return bytes <= most
        ? Result.succeed(JSON.parse(text) as unknown)
        : Result.fail(`it has ${bytes} bytes, and RunPolicy.maxToolResult allows ${most}`)
    })
  )

/** The error of a result that cannot be kept. The result itself is not in it: it may be large. */
export const unkept = (toolName: string, description: string): AiError.AiError =>
  AiError.make({
    module: "baton",
    method: `${toolName}.handle`,
    reason: new AiError.ToolResultEncodingError({ toolName, toolResult: null, description })
  })

const encodeFailure = (tool: Tool.Any, error: unknown) => Schema.encodeUnknownEffect(resultCodec(tool, true))(error)

/** The failure of a tool, as the journal keeps it. `ends` if failures of this tool end the run. */
export const failureOf = Effect.fnUntraced(function* (
  tool: Tool.Any,
  error: unknown,
  most: number
): Effect.fn.Return<Recorded, Schema.SchemaError> {
  const encoded = toJson(yield* encodeFailure(tool, error), most)
  const result = Result.isSuccess(encoded)
    ? encoded.success
    : yield* encodeFailure(tool, unkept(tool.name, encoded.failure))
  return { result, isFailure: true, ...(tool.failureMode === "error" ? { ends: "failed" as const } : {}) }
})

/** A call that was interrupted, as the model is told. */
export const interrupted = (reason: string): Recorded => ({
  result: { type: "execution-interrupted", reason } satisfies typeof Tool.ExecutionFailure.Type,
  isFailure: true
})

/** The failure in a fact as the tool's handler gave it; as the journal keeps it if it does not decode. */
export const errorIn = (tool: Tool.Any | undefined, result: unknown): unknown => {
  if (tool === undefined) return result
  return Result.getOrElse(Schema.decodeUnknownResult(resultCodec(tool, true))(result), () => result)
}
