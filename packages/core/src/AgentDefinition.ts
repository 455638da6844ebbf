/**
 * The definition of an agent. `Agent` exports all of it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Response from "effect/ai/Response"
import * as Schema from "effect/Schema"
import * as Tool from "effect/ai/Tool"
import type { AgentError } from "./AgentError.ts"
import type { AgentErrorReason, ToolFailed } from "./AgentErrorReason.ts"
import type * as RunRecord from "./RunRecord.ts"

/**
 * How Baton runs the calls of one tool.
 *
 * **Details**
 *
 * - `timeLimit`: how long a handler may take; no limit if absent. After that it is interrupted, and the model is told so.
 * - `onCut`: what happens to a call whose process died while its handler ran. By default it runs `"again"`, with the same
 *   idempotency key. With `"wait"` the run waits until `Agent.completeTool` gives the result. With `"fail"` the model is told
 *   that the call was interrupted.
 * - `approvalTime`: how long a call waits for `Agent.approve` before it counts as rejected; no limit if absent.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolOptions {
  readonly timeLimit?: Duration.Input
  readonly onCut?: "again" | "wait" | "fail"
  readonly approvalTime?: Duration.Input
}

/**
 * Limits of the runs of an agent. `time` may be a `Duration`, a text such as `"2 hours"`, or a number of milliseconds. See
 * `RunRecord.Limits`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits extends Omit<RunRecord.Limits, "time"> {
  readonly time?: Duration.Input
}

/**
 * Any agent, whatever its tools.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any {
  readonly name: string
  readonly instructions?: string
  /**
   * Whether the agent's runs go on at the provider while no process follows them. If it is absent, they do if the model can
   * run in the background. A call can override it.
   */
  readonly background?: boolean
  /** Change it if old runs must not go on with the new agent: see `RunPolicy.onAgentChanged`. */
  readonly version?: string
  /**
   * With false, the updates of the agent's runs are not logged, even where an `UpdateLog` is provided. Whether a run is logged
   * is decided when the run is recorded.
   */
  readonly log?: boolean
  /** Options for the provider, merged over those of its layer. */
  readonly options?: Readonly<Record<string, unknown>>
  /** The tools that the model may call. `Agent.toLayer` provides their handlers. */
  readonly toolkit?: { readonly tools: Readonly<Record<string, Tool.Any>> }
  /** How the calls of single tools run. */
  readonly tools?: Readonly<Record<string, ToolOptions | undefined>>
  /** How many calls of a run may be under way at the same time; all of a turn if absent. */
  readonly toolConcurrency?: number
  /** The limits of a run. A run that reaches a limit waits until `Agent.raise` raises it. */
  readonly limits?: Limits
  /** The cost of one response, for the limit `cost`. The unit is yours. */
  readonly cost?: (usage: Response.Usage) => number
}

/**
 * An agent: a name, instructions, tools and options. It is a value without state: any number of runs can use the same agent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Agent<
  out Name extends string = string,
  in out Tools extends Record<string, Tool.Any> = Record<never, never>
> extends Any {
  readonly name: Name
  readonly toolkit?: { readonly tools: Tools }
}

/**
 * The tools of an agent, by name.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ToolsOf<A extends Any> = A extends { readonly toolkit?: { readonly tools: infer Tools } } ? Tools : never

/**
 * The handlers of the tools of the agent with this name. Handlers belong to an agent, not to the name of a tool: two agents
 * may have different tools of one name.
 *
 * @since 0.1.0
 * @category services
 */
export interface Handlers<in out Name extends string> {
  readonly "~@effect-baton/core/Agent/Handlers": (name: Name) => Name
}

/**
 * The handlers that verbs need which advance a run of this agent; `never` if no tool of the agent needs a handler.
 *
 * @since 0.1.0
 * @category utility types
 */
export type HandlersOf<A extends Any> = A extends Any
  ? [Tool.HandlersFor<ToolsOf<A>>] extends [never]
    ? never
    : Handlers<A["name"]>
  : never

/**
 * The typed failure of a tool whose failures end the run.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ToolFailure<A extends Any> = {
  readonly [Name in keyof ToolsOf<A> & string]: [Tool.HandlerError<ToolsOf<A>[Name]>] extends [never]
    ? never
    : { readonly tool: Name; readonly error: Tool.HandlerError<ToolsOf<A>[Name]> }
}[keyof ToolsOf<A> & string]

/**
 * The error of verbs for this agent: an `AgentError` whose reason `ToolFailed` has the types of the agent's tools.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ErrorOf<A extends Any> = A extends Any
  ? [ToolFailure<A>] extends [never]
    ? AgentError
    : AgentError & { readonly reason: Exclude<AgentErrorReason, ToolFailed> | (ToolFailed & ToolFailure<A>) }
  : never

/**
 * Makes an agent.
 *
 * **Details**
 *
 * The agent's runs go on at the provider while no process follows them, if the model can run in the background, unless
 * `background` is false. `toolkit` is a `Toolkit` of `effect/ai`, or what `McpClient.toolkit` returns.
 *
 * **Example** (An agent whose runs go on in the background)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports.", background: true })
 * analyst.name // => "analyst"
 * ```
 *
 * **Example** (An agent with a tool and a limit)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Schema } from "effect"
 * import { Tool, Toolkit } from "effect/ai"
 *
 * const sales = Tool.make("sales", {
 *   description: "The sales of a month",
 *   parameters: Schema.Struct({ month: Schema.String }),
 *   success: Schema.Struct({ sold: Schema.Finite })
 * })
 *
 * const analyst = Agent.make("analyst", {
 *   toolkit: Toolkit.make(sales),
 *   tools: { sales: { timeLimit: "1 minute" } },
 *   limits: { turns: 10 }
 * })
 * analyst.toolkit?.tools.sales.name // => "sales"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Name extends string, Tools extends Record<string, Tool.Any> = Record<never, never>>(
  name: Name,
  options: Omit<Any, "name" | "toolkit" | "tools"> & {
    readonly toolkit?: { readonly tools: Tools }
    readonly tools?: { readonly [Key in keyof NoInfer<Tools>]?: ToolOptions }
  } = {}
): Agent<Name, Tools> => ({ ...options, name }) as Agent<Name, Tools>

/**
 * The tool of an agent that a call names; undefined if the agent has no such tool.
 *
 * **When to use**
 *
 * Use it with the name in a `tool-call` part or of a pending call. Calls name a tool that the provider defines by the
 * provider's name for it, which is not its key in the toolkit.
 *
 * **Example** (The description of a tool that waits for approval)
 *
 * ```ts
 * import { Agent, Runs } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * export const waiting = (agent: Agent.Any, runId: string) =>
 *   Effect.map(Runs.pending(runId), (calls) => calls.map(({ tool }) => Agent.toolOf(agent, tool)?.description ?? tool))
 * ```
 *
 * @since 0.1.0
 * @category tools
 */
export const toolOf = ({ toolkit }: Pick<Any, "toolkit">, name: string): Tool.Any | undefined => {
  if (toolkit === undefined) return undefined
  if (Object.hasOwn(toolkit.tools, name)) return toolkit.tools[name]
  return Object.values(toolkit.tools).find((tool) => Tool.isProviderDefined(tool) && tool.providerName === name)
}

/**
 * The codec between a tool's result, or its failure, and the JSON in which a run keeps it.
 *
 * **When to use**
 *
 * Use it where the answer to a call comes from another place as JSON, before `Agent.completeTool`.
 *
 * **Example** (An answer in JSON)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Schema } from "effect"
 * import { Tool } from "effect/ai"
 *
 * const ask = Tool.make("ask", { success: Schema.String })
 *
 * export const answer = (json: unknown) => Schema.decodeUnknownEffect(Agent.resultCodec(ask, false))(json)
 * ```
 *
 * @since 0.1.0
 * @category tools
 */
export const resultCodec = (tool: Tool.Any, isFailure: boolean): Schema.Codec<unknown, Schema.Json> =>
  Schema.toCodecJson(isFailure ? Tool.failureResultSchema(tool) : tool.successSchema) as unknown as Schema.Codec<
    unknown,
    Schema.Json
  >
