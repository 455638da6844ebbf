/**
 * What the bench uses of the AI SDK (`ai`, `@ai-sdk/openai`), of the Agents SDK (`@openai/agents`) and of
 * `resumable-stream`. Their own declarations do not pass the settings of this workspace, so `tsconfig.json` leads their
 * names here.
 */
import type OpenAI from "openai"

declare class LanguageModel {
  private readonly languageModel: never
}

export declare const createOpenAI: (options: { readonly apiKey: string; readonly baseURL: string }) => {
  readonly responses: (model: string) => LanguageModel
}

export declare const streamText: (options: {
  readonly model: LanguageModel
  readonly prompt: string
  readonly maxRetries: number
}) => { readonly textStream: AsyncIterable<string> }

export declare const setTracingDisabled: (disabled: boolean) => void

export declare class OpenAIResponsesModel {
  private readonly model: never
  constructor(client: OpenAI, model: string)
}

export declare class Agent {
  readonly name: string
  constructor(options: { readonly name: string; readonly model: OpenAIResponsesModel })
}

export type AgentEvent =
  | {
      readonly type: "raw_model_stream_event"
      readonly data:
        | { readonly type: "output_text_delta"; readonly delta: string }
        | { readonly type: "response_started" | "response_done" | "model" }
    }
  | { readonly type: "run_item_stream_event" | "agent_updated_stream_event" }

export declare const run: (
  agent: Agent,
  input: string,
  options: { readonly stream: true }
) => Promise<AsyncIterable<AgentEvent> & { readonly completed: Promise<void> }>

export declare const createResumableStreamContext: (options: {
  readonly waitUntil: null
  readonly keyPrefix: string
  readonly publisher: {
    readonly connect: () => Promise<unknown>
    readonly publish: (channel: string, message: string) => Promise<unknown>
    readonly set: (key: string, value: string, options?: { readonly EX?: number }) => Promise<unknown>
    readonly get: (key: string) => Promise<string | null>
    readonly incr: (key: string) => Promise<number>
  }
  readonly subscriber: {
    readonly connect: () => Promise<unknown>
    readonly subscribe: (channel: string, callback: (message: string) => void) => Promise<void>
    readonly unsubscribe: (channel: string) => Promise<unknown>
  }
}) => {
  readonly createNewResumableStream: (
    id: string,
    make: () => ReadableStream<string>
  ) => Promise<ReadableStream<string> | null>
  readonly resumeExistingStream: (id: string) => Promise<ReadableStream<string> | null | undefined>
}
