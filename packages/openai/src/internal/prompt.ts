import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Prompt from "effect/ai/Prompt"
import type { ResponseInputItem } from "openai/resources/responses/responses"
import {
  type Content,
  type Converted,
  file,
  type Items,
  locate,
  nothing,
  one,
  optionsOf,
  refuse
} from "./promptFiles.ts"
import { type Calls, toolCall, toolResult } from "./toolInput.ts"

const user = (message: Prompt.UserMessage): Converted<Items> =>
  Effect.map(
    Effect.forEach(message.content, (part): Converted<Content> =>
      part.type === "text" ? Effect.succeed({ type: "input_text", text: part.text }) : file(part)
    ),
    (content) => (content.length === 0 ? [] : [{ role: "user", content }])
  )

const sealOf = (part: Prompt.AssistantMessagePart) => {
  const { encryptedContent, itemId, type } = optionsOf(part)
  if (type !== undefined) return undefined
  return typeof encryptedContent === "string" && typeof itemId === "string" ? { encryptedContent, itemId } : undefined
}

// The texts and the sealed content of one reasoning item are separate parts. They go back as one item, in the place of the
// first part.
const reasoning = (part: Prompt.ReasoningPart, content: Prompt.AssistantMessage["content"]): Converted<Items> => {
  const { encryptedContent, itemId, type } = optionsOf(part)
  if (type === "compaction" && typeof encryptedContent === "string") {
    return one({
      type,
      ...(typeof itemId === "string" ? { id: itemId } : undefined),
      encrypted_content: encryptedContent
    })
  }
  const same = content.filter(
    (other): other is Prompt.ReasoningPart => other.type === "reasoning" && optionsOf(other)["itemId"] === itemId
  )
  // Reasoning can be sent back only with its sealed content. Without it, the provider finds the reasoning through
  // `previous_response_id`. Sealed content may arrive more than once: the last one is complete.
  const sealed = same.findLast((other) => sealOf(other) !== undefined)
  const seal = sealed === undefined ? undefined : sealOf(sealed)
  if (seal === undefined || same[0] !== part) return nothing
  const texts = same.filter(({ text }) => text !== "")
  const isText = (other: Prompt.ReasoningPart) => optionsOf(other)["reasoningText"] === true
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
  const { itemId, phase } = optionsOf(part)
  const others = content.flatMap((other) => {
    const own = optionsOf(other)
    return other.type === "text" && typeof itemId === "string" && own["itemId"] === itemId ? [own["phase"]] : []
  })
  const found = [phase, ...others].find(isPhase)
  return found === undefined ? undefined : { phase: found }
}

const generatedFile = (part: Prompt.FilePart): Converted<Items> => {
  const itemId = optionsOf(part)["itemId"]
  const at = locate(part)
  return typeof itemId === "string" && "data" in at
    ? one({ type: "image_generation_call", id: itemId, result: at.data, status: "completed" })
    : refuse(
        "The Responses API accepts a file in an assistant's message only if it made it. Send it in a user's message"
      )
}

const assistant = (message: Prompt.AssistantMessage, calls: Calls): Converted<Items> =>
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
          return toolCall(part, calls)
        case "tool-result":
          return toolResult(part, calls)
        // Its call says what is asked for.
        case "tool-approval-request":
          return nothing
      }
    }),
    Array.flatten
  )

const tool = (message: Prompt.ToolMessage, calls: Calls): Converted<Items> =>
  Effect.map(
    Effect.forEach(message.content, (part): Converted<Items> => {
      if (part.type === "tool-result") return toolResult(part, calls)
      // The provider asks for approvals only for tools of a remote MCP server. All others are the caller's own.
      const call = calls.inPrompt.get(part.approvalId)
      const said = [part, ...(call === undefined ? [] : [call])].map((of) => optionsOf(of)["type"])
      return part.approvalId.startsWith("mcpr_") || said.includes("mcp_approval_request")
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

const callsOf = (prompt: Prompt.Prompt): Calls["inPrompt"] =>
  new Map(
    prompt.content.flatMap((message) =>
      message.role === "assistant"
        ? message.content.flatMap((part) => (part.type === "tool-call" ? [[part.id, part] as const] : []))
        : []
    )
  )

/**
 * Converts a prompt to input items. Fails if the API has no form for a part. `types` has the types of calls by the names of
 * their tools.
 */
export const toInput = (prompt: Prompt.Prompt, types: Calls["types"]): Converted<Array<ResponseInputItem>> => {
  const calls = { inPrompt: callsOf(prompt), types }
  return Effect.map(
    Effect.forEach(prompt.content, (message): Converted<Items> => {
      switch (message.role) {
        case "system":
          return one({ role: "system", content: message.content })
        case "user":
          return user(message)
        case "assistant":
          return assistant(message, calls)
        case "tool":
          return tool(message, calls)
      }
    }),
    (items) => items.flat()
  )
}
