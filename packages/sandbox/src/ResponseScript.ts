/**
 * The answer of a sandbox model: the items of one response, as deltas, and how
 * the response ends. The sandbox server turns it into events of the Responses
 * API.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"

/**
 * The pieces of one streamed text, read by position: an array of strings is
 * one, and a generated text of any length can be one without being kept in
 * memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Deltas {
  /** How many pieces there are. */
  readonly length: number
  /** The piece at `index`; the same index always gives the same piece. */
  readonly at: (index: number) => string | undefined
}

/**
 * A source that a message names: its place in the text (in characters, from
 * `start` up to but without `end`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Citation {
  readonly title: string
  readonly url: string
  readonly start: number
  readonly end: number
}

/**
 * A message of the model.
 *
 * @since 0.1.0
 * @category models
 */
export interface MessageItem {
  readonly type: "message"
  readonly deltas: Deltas
  readonly citations?: ReadonlyArray<Citation>
}

/**
 * A call of a function, which the client runs. The deltas are its arguments as
 * JSON. The server makes the call even if the request does not offer the
 * function, so that a client can be tested with a model that is wrong.
 *
 * @since 0.1.0
 * @category models
 */
export interface FunctionCallItem {
  readonly type: "function_call"
  readonly name: string
  readonly callId: string
  readonly deltas: Deltas
}

/**
 * A call of a custom tool, which the client runs. The deltas are its input as
 * text.
 *
 * @since 0.1.0
 * @category models
 */
export interface CustomToolCallItem {
  readonly type: "custom_tool_call"
  readonly name: string
  readonly callId: string
  readonly deltas: Deltas
}

/**
 * A search of the web, with what it found.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSearchItem {
  readonly type: "web_search_call"
  readonly query: string
  readonly sources: ReadonlyArray<{ readonly title: string; readonly url: string }>
}

/**
 * The list of the tools of an MCP server.
 *
 * @since 0.1.0
 * @category models
 */
export interface McpListToolsItem {
  readonly type: "mcp_list_tools"
  readonly serverLabel: string
  readonly tools: ReadonlyArray<{
    readonly name: string
    readonly description?: string
    readonly inputSchema?: { readonly [key: string]: unknown }
  }>
  /** Why the tools cannot be listed. */
  readonly error?: string
}

/**
 * A call of a tool of an MCP server. The deltas are its arguments as JSON.
 * With an `error` the call failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface McpCallItem {
  readonly type: "mcp_call"
  readonly serverLabel: string
  readonly name: string
  readonly deltas: Deltas
  readonly output: string
  readonly error?: string
  /** The request for approval that was answered before this call. */
  readonly approvalRequestId?: string
}

/**
 * A request for the approval of a call of an MCP server. If the next request
 * approves it, the server makes the call, with this output or error.
 *
 * @since 0.1.0
 * @category models
 */
export interface McpApprovalRequestItem {
  readonly type: "mcp_approval_request"
  readonly serverLabel: string
  readonly name: string
  /** The arguments as JSON. */
  readonly arguments: string
  readonly output: string
  readonly error?: string
}

/**
 * A run of the code interpreter. The deltas are its code, `logs` is what it
 * printed.
 *
 * @since 0.1.0
 * @category models
 */
export interface CodeInterpreterItem {
  readonly type: "code_interpreter_call"
  readonly deltas: Deltas
  readonly logs: string
}

/**
 * One output item of a response: a message, a message that refuses, a call of
 * a tool, a summary of reasoning, or what a tool of the provider did. An item
 * of a tool of the provider is left out if the request does not offer the
 * tool.
 *
 * @since 0.1.0
 * @category models
 */
export type ScriptItem =
  | MessageItem
  | { readonly type: "refusal"; readonly deltas: Deltas }
  | { readonly type: "reasoning"; readonly deltas: Deltas }
  | FunctionCallItem
  | CustomToolCallItem
  | WebSearchItem
  | McpListToolsItem
  | McpCallItem
  | McpApprovalRequestItem
  | CodeInterpreterItem

/**
 * How a response ends.
 *
 * @since 0.1.0
 * @category models
 */
export type ScriptEnd =
  | { readonly status: "completed" }
  | { readonly status: "incomplete"; readonly reason: string }
  | { readonly status: "failed"; readonly code: string; readonly message: string }
  | { readonly status: "cancelled" }

/**
 * The whole answer of a sandbox model to one request. Without `end` the
 * response completes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseScript {
  readonly items: ReadonlyArray<ScriptItem>
  readonly end?: ScriptEnd
}

/**
 * One input item as a sandbox model sees it.
 *
 * @since 0.1.0
 * @category models
 */
export type ModelInput =
  | { readonly type: "message"; readonly role: string; readonly text: string }
  | {
      readonly type: "function_call_output" | "custom_tool_call_output"
      readonly callId: string
      readonly output: string
    }
  | { readonly type: "mcp_approval_response"; readonly requestId: string; readonly approve: boolean }

/**
 * One request as a sandbox model sees it: `input` is what came with this
 * request, `history` what came with the responses before it (through
 * `previous_response_id` or `conversation`), oldest first.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelRequest {
  readonly model: string
  readonly instructions: string
  readonly input: ReadonlyArray<ModelInput>
  readonly history: ReadonlyArray<ModelInput>
  /** Names of the functions and custom tools offered with the request. */
  readonly tools: ReadonlyArray<string>
  /** What the provider's tools said in this response, before the model answers. */
  readonly toolResults?: ReadonlyArray<string>
}

/**
 * A model that the sandbox server can run. It works without a network, and
 * the same request should give the same script.
 *
 * @since 0.1.0
 * @category models
 */
export type SandboxModel = (request: ModelRequest) => Effect.Effect<ResponseScript>

/**
 * Cuts a text into deltas of a word or a few characters, as models stream it.
 * It never cuts a character that takes two UTF-16 units. The joined deltas are
 * the text.
 *
 * **Example** (Splitting a sentence)
 *
 * ```ts
 * import { splitDeltas } from "@effect-baton/sandbox/ResponseScript"
 *
 * splitDeltas("The north grew.") // => ["The", " north", " grew."]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const splitDeltas = (text: string): ReadonlyArray<string> => text.match(/\s?\S{1,5}|\s/gu) ?? []

/**
 * A script of one message that completes.
 *
 * **Example** (A script of one message)
 *
 * ```ts
 * import { message } from "@effect-baton/sandbox/ResponseScript"
 *
 * message("Two and two are four.").items.length // => 1
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const message = (text: string): { readonly items: readonly [MessageItem] } => ({
  items: [{ type: "message", deltas: splitDeltas(text) }]
})

const loremWords = [
  "lorem",
  " ipsum",
  " dolor",
  " sit",
  " amet",
  ",",
  " consec",
  "tetur",
  " adip",
  "iscing",
  " elit",
  ".",
  " Sed",
  " do",
  " eius",
  "mod",
  " tempor",
  " inci",
  "didunt",
  " ut",
  " labore",
  " et",
  " dolore",
  " magna",
  " aliqua",
  ".",
  " Ut",
  " enim",
  " ad",
  " minim",
  " veniam"
]

/**
 * A script of one message of exactly `count` deltas, for measurements and long
 * runs. Each delta is generated when it is read, so that the size of the
 * script does not depend on `count`.
 *
 * **Example** (A script of 200,000 deltas)
 *
 * ```ts
 * import { lorem } from "@effect-baton/sandbox/ResponseScript"
 *
 * lorem(200_000).items[0]?.deltas.length // => 200000
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const lorem = (count: number): { readonly items: readonly [MessageItem] } => ({
  items: [
    {
      type: "message",
      deltas: {
        length: count,
        // The multiplier keeps neighbouring runs of words from repeating, so
        // that a misplaced delta changes the text.
        at: (index) => loremWords[(index + Math.floor(index / loremWords.length) * 7) % loremWords.length]
      }
    }
  ]
})
