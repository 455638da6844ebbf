/**
 * What the tests use of the AI SDK (`ai`, `@ai-sdk/openai`) and of the Agents SDK (`@openai/agents`). The names lead to
 * the declarations of the bench, as their own do not pass the settings of this workspace.
 */
import * as aiSdkOpenAi from "@ai-sdk/openai"
import * as agentsSdk from "@openai/agents"
import * as aiSdk from "ai"
import type OpenAI from "openai"

interface AiMessage {
  readonly role: string
  readonly content: unknown
}

export interface AiResult {
  readonly text: string
  readonly steps: ReadonlyArray<{
    readonly toolCalls: ReadonlyArray<{ readonly toolName: string; readonly input: unknown }>
  }>
  readonly content: ReadonlyArray<{
    readonly type: string
    readonly approvalId?: string
    readonly url?: string
    readonly toolCall?: { readonly toolName: string }
    readonly output?: unknown
  }>
  readonly responseMessages: ReadonlyArray<AiMessage>
}

interface AiOptions {
  readonly model: unknown
  readonly prompt?: string
  readonly messages?: ReadonlyArray<AiMessage>
  readonly tools: { readonly [name: string]: unknown }
  readonly toolChoice?: "required" | { readonly type: "tool"; readonly toolName: string }
  readonly stopWhen?: unknown
  readonly maxRetries: number
  readonly providerOptions?: object
}

interface Provider {
  readonly responses: (model: string) => unknown
  readonly tools: {
    readonly mcp: (options: object) => unknown
    readonly webSearch: (options: object) => unknown
    readonly codeInterpreter: (options: object) => unknown
    readonly customTool: (options: object) => object
  }
}

/** The AI SDK. */
export const ai = aiSdk as unknown as {
  readonly generateText: (options: AiOptions) => Promise<AiResult>
  readonly streamText: (options: AiOptions) => {
    readonly text: PromiseLike<string>
    readonly fullStream: AsyncIterable<{ readonly type: string; readonly toolName?: string; readonly error?: unknown }>
  }
  readonly tool: (options: object) => unknown
  readonly isStepCount: (count: number) => unknown
}

/** The AI SDK's provider for the sandbox at this address. */
export const aiProvider = (
  aiSdkOpenAi as unknown as {
    readonly createOpenAI: (options: { readonly apiKey: string; readonly baseURL: string }) => Provider
  }
).createOpenAI

interface Interruption {
  readonly name: string
}

interface RunState {
  readonly approve: (interruption: Interruption) => void
  readonly reject: (interruption: Interruption) => void
}

interface RunResult {
  readonly finalOutput: string | undefined
  readonly interruptions: ReadonlyArray<Interruption>
  readonly state: RunState
  readonly newItems: ReadonlyArray<{ readonly type: string; readonly rawItem: object }>
}

/** The Agents SDK. */
export const agents = agentsSdk as unknown as {
  readonly Agent: new (options: object) => { readonly name: string }
  readonly OpenAIResponsesModel: new (client: OpenAI, model: string) => object
  readonly setTracingDisabled: (disabled: boolean) => void
  readonly tool: (options: object) => object
  readonly hostedMcpTool: (options: object) => object
  readonly webSearchTool: (options?: object) => object
  readonly codeInterpreterTool: (options?: object) => object
  readonly run: {
    (agent: { readonly name: string }, input: string | RunState): Promise<RunResult>
    (
      agent: { readonly name: string },
      input: string,
      options: { readonly stream: true }
    ): Promise<AsyncIterable<{ readonly type: string }> & RunResult & { readonly completed: Promise<void> }>
  }
}
