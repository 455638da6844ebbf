import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"
import type {
  ResponseInputFile,
  ResponseInputImage,
  ResponseInputItem,
  ResponseInputText
} from "openai/resources/responses/responses"

type Content = ResponseInputText | ResponseInputImage | ResponseInputFile
type Items = ReadonlyArray<ResponseInputItem>
type Converted<A> = Effect.Effect<A, AiError.AiErrorReason>

const nothing: Converted<Items> = Effect.succeed([])
const one = (item: ResponseInputItem): Converted<Items> => Effect.succeed([item])

const refuse = (description: string) => Effect.fail(new AiError.InvalidUserInputError({ description }))

// The metadata of this package's response parts comes back as the options of prompt parts.
const openai = (options: Prompt.ProviderOptions): { readonly [key: string]: unknown } => {
  const own = options["openai"]
  return typeof own === "object" && own !== null ? { ...own } : {}
}

const detailOf = (own: { readonly [key: string]: unknown }) =>
  own["detail"] === "low" || own["detail"] === "high" ? own["detail"] : "auto"

// Text is base64 unless it is a URL or a file id: base64 has neither a colon nor a hyphen.
const locate = (
  part: Prompt.FilePart
): { readonly id: string } | { readonly url: string } | { readonly data: string } => {
  const { data } = part
  if (data instanceof URL) return { url: data.href }
  if (typeof data !== "string") return { data: Base64.encode(data) }
  if (data.startsWith("file-")) return { id: data }
  return /^(https?|data):/.test(data) ? { url: data } : { data }
}

const file = (part: Prompt.FilePart): Converted<Content> => {
  const own = openai(part.options)
  const at = typeof own["fileId"] === "string" ? { id: own["fileId"] } : locate(part)
  if (part.mediaType.startsWith("image/")) {
    // A data URL cannot have a wildcard type. The API looks at the bytes.
    const type = part.mediaType === "image/*" ? "image/jpeg" : part.mediaType
    const where =
      "id" in at ? { file_id: at.id } : { image_url: "url" in at ? at.url : `data:${type};base64,${at.data}` }
    return Effect.succeed({ type: "input_image", detail: detailOf(own), ...where })
  }
  if (/^(audio|video)\//.test(part.mediaType)) {
    return refuse(
      `The Responses API accepts no files of type '${part.mediaType}'. Send a transcript, or images or documents instead`
    )
  }
  if ("id" in at) return Effect.succeed({ type: "input_file", file_id: at.id })
  if ("url" in at && !at.url.startsWith("data:")) return Effect.succeed({ type: "input_file", file_url: at.url })
  return Effect.succeed({
    type: "input_file",
    filename: part.fileName ?? "file",
    file_data: "url" in at ? at.url : `data:${part.mediaType};base64,${at.data}`
  })
}

const user = (message: Prompt.UserMessage): Converted<Items> =>
  Effect.map(
    Effect.forEach(message.content, (part): Converted<Content> =>
      part.type === "text" ? Effect.succeed({ type: "input_text", text: part.text }) : file(part)
    ),
    (content) => (content.length === 0 ? [] : [{ role: "user", content }])
  )

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

const isCustom = (options: Prompt.ProviderOptions): boolean => openai(options)["custom"] === true

const toolCall = (part: Prompt.ToolCallPart): Converted<Items> => {
  // The provider keeps its own record of the calls that it ran.
  if (part.providerExecuted) return nothing
  const { id: call_id, name } = part
  if (isCustom(part.options)) {
    const input = typeof part.params === "string" ? Effect.succeed(part.params) : json(part.params, name)
    return Effect.map(input, (text) => [{ type: "custom_tool_call", call_id, name, input: text }])
  }
  return Effect.map(json(part.params, name), (text) => [{ type: "function_call", call_id, name, arguments: text }])
}

const toolOutput = (part: Prompt.ToolResultPart): Converted<string | Array<Content>> => {
  if (part.modelOutput !== undefined) {
    return Effect.forEach(part.modelOutput, (output): Converted<Content> =>
      output.type === "text" ? Effect.succeed({ type: "input_text", text: output.text }) : file(output)
    )
  }
  return typeof part.result === "string" ? Effect.succeed(part.result) : json(part.result, part.name)
}

const toolResult = (part: Prompt.ToolResultPart, customCalls: ReadonlySet<string>): Converted<Items> => {
  if (part.providerExecuted) return nothing
  const custom = isCustom(part.options) || customCalls.has(part.id)
  return Effect.map(toolOutput(part), (output) => [
    custom
      ? { type: "custom_tool_call_output", call_id: part.id, output }
      : { type: "function_call_output", call_id: part.id, output }
  ])
}

const sealOf = (part: Prompt.AssistantMessagePart) => {
  const { encryptedContent, itemId } = openai(part.options)
  return typeof encryptedContent === "string" && typeof itemId === "string" ? { encryptedContent, itemId } : undefined
}

// The texts and the sealed content of one reasoning item are separate parts. They go back as one item, in the place of the
// first part.
const reasoning = (part: Prompt.ReasoningPart, content: Prompt.AssistantMessage["content"]): Converted<Items> => {
  const { itemId } = openai(part.options)
  const same = content.filter(
    (other): other is Prompt.ReasoningPart => other.type === "reasoning" && openai(other.options)["itemId"] === itemId
  )
  // Reasoning can be sent back only with its sealed content. Without it, the provider finds the reasoning through
  // `previous_response_id`. Sealed content may arrive more than once: the last one is complete.
  const sealed = same.findLast((other) => sealOf(other) !== undefined)
  const seal = sealed === undefined ? undefined : sealOf(sealed)
  if (seal === undefined || same[0] !== part) return nothing
  const texts = same.filter(({ text }) => text !== "")
  const isText = (other: Prompt.ReasoningPart) => openai(other.options)["reasoningText"] === true
  const summary = texts.filter((other) => !isText(other)).map(({ text }) => ({ type: "summary_text" as const, text }))
  const own = texts.filter(isText).map(({ text }) => ({ type: "reasoning_text" as const, text }))
  return one({
    type: "reasoning",
    id: seal.itemId,
    summary,
    ...(own.length === 0 ? undefined : { content: own }),
    encrypted_content: seal.encryptedContent
  })
}

const isPhase = (phase: unknown): phase is "commentary" | "final_answer" =>
  phase === "commentary" || phase === "final_answer"

// Models give worse answers if the phase of a message is not sent back. It may be on another text of the same message.
const phaseOf = (part: Prompt.TextPart, content: Prompt.AssistantMessage["content"]) => {
  const { itemId, phase } = openai(part.options)
  const others = content.flatMap((other) => {
    const own = openai(other.options)
    return other.type === "text" && typeof itemId === "string" && own["itemId"] === itemId ? [own["phase"]] : []
  })
  const found = [phase, ...others].find(isPhase)
  return found === undefined ? undefined : { phase: found }
}

const generatedFile = (part: Prompt.FilePart): Converted<Items> => {
  const itemId = openai(part.options)["itemId"]
  const at = locate(part)
  return typeof itemId === "string" && "data" in at
    ? one({ type: "image_generation_call", id: itemId, result: at.data, status: "completed" })
    : refuse(
        "The Responses API accepts a file in an assistant's message only if it made it. Send it in a user's message"
      )
}

const assistant = (message: Prompt.AssistantMessage, customCalls: ReadonlySet<string>): Converted<Items> =>
  Effect.map(
    Effect.forEach(message.content, (part): Converted<Items> => {
      switch (part.type) {
        case "text":
          return part.text === ""
            ? nothing
            : one({ role: "assistant", content: part.text, ...phaseOf(part, message.content) })
        case "reasoning":
          return reasoning(part, message.content)
        case "file":
          return generatedFile(part)
        case "tool-call":
          return toolCall(part)
        case "tool-result":
          return toolResult(part, customCalls)
        // The caller that runs the tools asks people for these approvals, not the provider.
        case "tool-approval-request":
          return nothing
      }
    }),
    Array.flatten
  )

const tool = (message: Prompt.ToolMessage, customCalls: ReadonlySet<string>): Converted<Items> =>
  Effect.map(
    Effect.forEach(message.content, (part): Converted<Items> => {
      if (part.type === "tool-result") return toolResult(part, customCalls)
      // The provider asks for approvals only for tools of a remote MCP server.
      return part.approvalId.startsWith("mcpr_")
        ? one({
            type: "mcp_approval_response",
            approval_request_id: part.approvalId,
            approve: part.approved,
            ...(part.reason === undefined ? undefined : { reason: part.reason })
          })
        : nothing
    }),
    Array.flatten
  )

const customCallsOf = (prompt: Prompt.Prompt): ReadonlySet<string> =>
  new Set(
    prompt.content.flatMap((message) =>
      message.role === "assistant"
        ? message.content.flatMap((part) => (part.type === "tool-call" && isCustom(part.options) ? [part.id] : []))
        : []
    )
  )

/** Converts a prompt to input items. Fails if the API has no form for a part. */
export const toInput = (prompt: Prompt.Prompt): Converted<Array<ResponseInputItem>> => {
  const customCalls = customCallsOf(prompt)
  return Effect.map(
    Effect.forEach(prompt.content, (message): Converted<Items> => {
      switch (message.role) {
        case "system":
          return one({ role: "system", content: message.content })
        case "user":
          return user(message)
        case "assistant":
          return assistant(message, customCalls)
        case "tool":
          return tool(message, customCalls)
      }
    }),
    (items) => items.flat()
  )
}
