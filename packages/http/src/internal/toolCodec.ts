import type { Any as Agent } from "@effect-baton/core/Agent"
import * as Schema from "effect/Schema"
import * as Tool from "effect/ai/Tool"

/**
 * A tool of an agent; undefined if the agent has no tool of this name. Calls name a tool that the provider defines by the
 * provider's name for it.
 */
export const toolOf = ({ toolkit }: Pick<Agent, "toolkit">, name: string): Tool.Any | undefined => {
  if (toolkit === undefined) return undefined
  if (Object.hasOwn(toolkit.tools, name)) return toolkit.tools[name]
  return Object.values(toolkit.tools).find((tool) => Tool.isProviderDefined(tool) && tool.providerName === name)
}

/** The codec of a tool's results, or of its failures, in JSON. */
export const codecOf = (tool: Tool.Any, isFailure: boolean): Schema.Codec<unknown, Schema.Json> =>
  Schema.toCodecJson(isFailure ? Tool.failureResultSchema(tool) : tool.successSchema) as unknown as Schema.Codec<
    unknown,
    Schema.Json
  >
