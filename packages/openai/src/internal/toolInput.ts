import * as Effect from "effect/Effect"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import type { ResponseFunctionShellCallOutputContent, ResponseInputItem } from "openai/resources/responses/responses"
import { defined, isRecord, type Json, recordOf, textOf } from "./fields.ts"
import { type Content, type Converted, file, imageOf, type Items, nothing, one, optionsOf } from "./promptFiles.ts"

// Calls and their results as input items. A result is written as the output that belongs to the type of its call.

/** What the rest of a request says about its calls. */
export interface Calls {
  /** The calls in the prompt, by id. */
  readonly inPrompt: ReadonlyMap<string, Prompt.ToolCallPart>
  /** The types of calls by the names of their tools, without functions. */
  readonly types: ReadonlyMap<string, string>
}

const json = (value: unknown, toolName: string): Converted<string> =>
  Effect.try({
    // `JSON.stringify` returns undefined for undefined.
    try: () => JSON.stringify(value) ?? "null",
    catch: (error) =>
      new AiError.ToolResultEncodingError({
        toolName,
        toolResult: String(value),
        description: error instanceof Error ? error.message : "it cannot be written as JSON"
      })
  })

const text = (value: unknown, toolName: string): Converted<string> =>
  typeof value === "string" ? Effect.succeed(value) : json(value, toolName)

/** The part's own statement of its type comes before what the prompt and the tools say. */
const typeOf = (part: Prompt.ToolCallPart | Prompt.ToolResultPart, { inPrompt, types }: Calls): string => {
  const call = inPrompt.get(part.id)
  const said = [part, ...(call === undefined ? [] : [call])].map((of) => textOf(optionsOf(of)["type"]))
  return said.find((type) => type !== undefined) ?? types.get(part.name) ?? "function_call"
}

/** The caller and the namespace that the model's call had. They go back with the call and its output. */
const callerOf = (part: Prompt.ToolCallPart | Prompt.ToolResultPart, { inPrompt }: Calls) => {
  const call = inPrompt.get(part.id)
  const own = optionsOf(part)
  const { caller, namespace } = own["caller"] === undefined && call !== undefined ? optionsOf(call) : own
  return defined({ caller: isRecord(caller) ? caller : undefined, namespace: textOf(namespace) })
}

/** A call that the model made, as the item that it was. */
export const toolCall = (part: Prompt.ToolCallPart, calls: Calls): Converted<Items> => {
  const { id: call_id, name } = part
  const type = typeOf(part, calls)
  const params = recordOf(part.params)
  const item = (fields: Json) => one(fields as unknown as ResponseInputItem)
  const { caller, namespace } = callerOf(part, calls)
  const by = defined({ caller })
  // The provider keeps its own record of the calls that it ran. It needs the request that an approval answers.
  if (part.providerExecuted) {
    return type === "mcp_approval_request"
      ? Effect.flatMap(text(params["arguments"], name), (written) =>
          item({ ...params, type, id: call_id, arguments: written })
        )
      : nothing
  }
  const itemId = textOf(optionsOf(part)["itemId"])
  const status = "completed"
  switch (type) {
    case "custom_tool_call":
      return Effect.flatMap(text(part.params, name), (input) =>
        item({ type, call_id, name, input, ...defined({ caller, namespace }) })
      )
    case "shell_call":
      return item({ type, call_id, action: params["action"], status, ...by })
    case "local_shell_call":
      return item({ type, id: itemId ?? call_id, call_id, action: params["action"], status })
    case "apply_patch_call":
      return item({ type, call_id, operation: params["operation"], status, ...by })
    case "computer_call":
      return item({ pending_safety_checks: [], ...params, type, id: itemId ?? call_id, call_id, status })
    case "tool_search_call":
      return item({ type, call_id, arguments: part.params, execution: "client", status })
    default:
      return Effect.flatMap(json(part.params, name), (written) =>
        item({ type: "function_call", call_id, name, arguments: written, ...defined({ caller, namespace }) })
      )
  }
}

/** The output of a call. A failure is wrapped, so that the model sees that it is one. */
const output = (part: Prompt.ToolResultPart): Converted<string | Array<Content>> => {
  if (part.modelOutput !== undefined) {
    return Effect.forEach(part.modelOutput, (said): Converted<Content> =>
      said.type === "text" ? Effect.succeed({ type: "input_text", text: said.text }) : file(said)
    )
  }
  return part.isFailure ? json({ error: part.result }, part.name) : text(part.result, part.name)
}

/** The same as one text. Files in it are left out: the API has no place for them there. */
const outputText = (part: Prompt.ToolResultPart): Converted<string> => {
  if (part.modelOutput !== undefined) {
    return Effect.succeed(part.modelOutput.flatMap((said) => (said.type === "text" ? said.text : [])).join("\n"))
  }
  if (part.isFailure) return json({ error: part.result }, part.name)
  const { output: own } = recordOf(part.result)
  return typeof own === "string" ? Effect.succeed(own) : text(part.result, part.name)
}

type Ran = ResponseFunctionShellCallOutputContent

const isRan = (value: unknown): value is Ran =>
  isRecord(value) &&
  typeof value["stdout"] === "string" &&
  typeof value["stderr"] === "string" &&
  isRecord(value["outcome"])

const shellOutput = (
  part: Prompt.ToolResultPart
): Converted<{ readonly output: Array<Ran>; readonly max?: number }> => {
  const own = recordOf(part.result)
  const ran: unknown = Array.isArray(part.result) ? part.result : own["output"]
  const max = own["max_output_length"]
  const limit = typeof max === "number" ? { max } : undefined
  if (part.modelOutput === undefined && Array.isArray(ran) && ran.every(isRan)) {
    return Effect.succeed({ output: ran, ...limit })
  }
  return Effect.map(outputText(part), (said) => ({
    output: [
      part.isFailure
        ? { stdout: "", stderr: said, outcome: { type: "exit", exit_code: 1 } }
        : { stdout: said, stderr: "", outcome: { type: "exit", exit_code: 0 } }
    ],
    ...limit
  }))
}

const screenshotOf = (part: Prompt.ToolResultPart): { file_id?: string; image_url?: string } | undefined => {
  const shown = part.modelOutput?.find((said) => said.type === "file" && said.mediaType.startsWith("image/"))
  if (shown?.type === "file") return imageOf(shown)
  if (typeof part.result === "string")
    return /^(https?|data):/.test(part.result) ? { image_url: part.result } : undefined
  const own = recordOf(part.result)
  const { file_id, image_url } = isRecord(own["output"]) ? own["output"] : own
  if (typeof file_id === "string") return { file_id }
  return typeof image_url === "string" ? { image_url } : undefined
}

const computerOutput = (part: Prompt.ToolResultPart): Converted<Items> => {
  const screenshot = screenshotOf(part)
  if (screenshot === undefined) {
    return Effect.fail(
      new AiError.ToolResultEncodingError({
        toolName: part.name,
        toolResult: String(part.result),
        description:
          "The API accepts only a screenshot as the result of a computer call, also of one that failed: give " +
          "`image_url` or `file_id`, or an image as the output for the model"
      })
    )
  }
  const checks = recordOf(part.result)["acknowledged_safety_checks"]
  return one({
    type: "computer_call_output",
    call_id: part.id,
    output: { type: "computer_screenshot", ...screenshot },
    ...(Array.isArray(checks) ? { acknowledged_safety_checks: checks } : undefined),
    ...(part.isFailure ? { status: "incomplete" } : undefined)
  })
}

/** The result of a call, as the output item that belongs to it. */
export const toolResult = (part: Prompt.ToolResultPart, calls: Calls): Converted<Items> => {
  const { id: call_id, isFailure } = part
  const call = calls.inPrompt.get(part.id)
  // The provider has the results of the calls that it ran.
  if (part.providerExecuted && call?.providerExecuted !== false) return nothing
  const { caller } = callerOf(part, calls)
  const by = defined({ caller }) as object
  const type = typeOf(part, calls)
  switch (type) {
    case "custom_tool_call":
      return Effect.map(output(part), (said) => [{ type: "custom_tool_call_output", call_id, output: said, ...by }])
    case "shell_call":
      return Effect.map(shellOutput(part), ({ max, output: ran }) => [
        {
          type: "shell_call_output",
          call_id,
          output: ran,
          ...(max === undefined ? undefined : { max_output_length: max }),
          ...by
        }
      ])
    case "local_shell_call":
      return Effect.map(outputText(part), (said) => [{ type: "local_shell_call_output", id: call_id, output: said }])
    case "apply_patch_call": {
      const failed = isFailure || recordOf(part.result)["status"] === "failed"
      return Effect.map(outputText(part), (said) => [
        { type: "apply_patch_call_output", call_id, status: failed ? "failed" : "completed", output: said, ...by }
      ])
    }
    case "computer_call":
      return computerOutput(part)
    case "tool_search_call": {
      const found = Array.isArray(part.result) ? part.result : recordOf(part.result)["tools"]
      const tools = isFailure || !Array.isArray(found) ? [] : found
      return one({
        type: "tool_search_output",
        call_id,
        execution: "client",
        status: isFailure ? "incomplete" : "completed",
        tools
      })
    }
    default:
      return Effect.map(output(part), (said) => [{ type: "function_call_output", call_id, output: said, ...by }])
  }
}
