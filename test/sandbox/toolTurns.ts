import { Effect } from "effect"
import type OpenAI from "openai"
import type {
  Response,
  ResponseCreateParamsNonStreaming,
  ResponseInputItem,
  ResponseOutputItem,
  Tool
} from "openai/resources/responses/responses"
import { call } from "./sdk.ts"

/** A function with these parameters, without rules for its schema. */
export const fn = (
  name: string,
  properties: Record<string, unknown> = {},
  description = "",
  required = Object.keys(properties)
): Tool => ({
  type: "function",
  name,
  description,
  parameters: { type: "object", properties, required },
  strict: false
})

export const mcp = (fields: Partial<Tool.Mcp> = {}): Tool => ({
  type: "mcp",
  server_label: "docs",
  server_url: "https://example.com/mcp",
  ...fields
})

type Params = Omit<Partial<ResponseCreateParamsNonStreaming>, "input" | "model" | "stream"> & {
  readonly model?: string
}

export const ask = (client: OpenAI, input: string | Array<ResponseInputItem>, params: Params = {}) =>
  call((): Promise<Response> => client.responses.create({ model: "analyst", ...params, input }))

export const itemsOf = <Type extends ResponseOutputItem["type"]>(response: Response, type: Type) =>
  response.output.filter((item): item is Extract<ResponseOutputItem, { readonly type: Type }> => item.type === type)

/** The calls that the client has to answer, with their arguments or input. */
export const callsOf = (response: Response): ReadonlyArray<readonly [string, unknown]> =>
  response.output.flatMap((item): ReadonlyArray<readonly [string, unknown]> =>
    item.type === "function_call"
      ? [[item.name, JSON.parse(item.arguments)]]
      : item.type === "custom_tool_call"
        ? [[item.name, item.input]]
        : []
  )

/** An output for each call of a response. */
export const outputsOf = (response: Response, say = (name: string) => `${name} is done`): Array<ResponseInputItem> =>
  response.output.flatMap((item): Array<ResponseInputItem> =>
    item.type === "function_call"
      ? [{ type: "function_call_output", call_id: item.call_id, output: say(item.name) }]
      : item.type === "custom_tool_call"
        ? [{ type: "custom_tool_call_output", call_id: item.call_id, output: say(item.name) }]
        : []
  )

/** Goes on from a response with an output for each of its calls. */
export const answer = (client: OpenAI, response: Response, params: Params = {}, say?: (name: string) => string) =>
  ask(client, outputsOf(response, say), { ...params, previous_response_id: response.id })

export const typesIn = (response: Response): ReadonlyArray<string> => response.output.map(({ type }) => type)

/** The same request as a stream: its events, and the response in the last. */
export const streamed = (client: OpenAI, params: ResponseCreateParamsNonStreaming) =>
  Effect.promise(async () => {
    const events: Array<OpenAI.Responses.ResponseStreamEvent> = []
    for await (const event of await client.responses.create({ ...params, stream: true })) events.push(event)
    return events
  })
