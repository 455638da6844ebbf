/**
 * The handlers of an agent's tools. `Agent` exports all of it.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import type { Agent, Handlers } from "./AgentDefinition.ts"
import { type Found, keyOf, provided } from "./internal/tools/handlers.ts"
import type { ToolCall } from "./ToolCall.ts"
import type { ToolPolicy } from "./ToolPolicy.ts"

type Dependencies<Tools extends Record<string, Tool.Any>> = Exclude<Tool.HandlerServices<Tools[keyof Tools]>, ToolCall>

/**
 * Provides the handlers of an agent's tools, and a policy that decides which calls may run.
 *
 * **When to use**
 *
 * Provide this layer to every process that advances runs of the agent: `Agent.stream`, `Agent.resume`, `Agent.run` and
 * workers require it. Processes that start, enqueue, watch, poll or approve do not need it.
 *
 * **Details**
 *
 * `handlers` is `toolkit.toLayer({ … })`, or the toolkit of an `McpClient`. Services that a tool names in its `dependencies`
 * are taken when the layer is built, but for `ToolCall`, which each call has of its own.
 *
 * Without a `policy`, a call needs approval if its tool says so (`needsApproval`).
 *
 * **Example** (An agent with one tool)
 *
 * ```ts
 * import { Agent, ToolPolicy } from "@effect-baton/core"
 * import { Effect, Schema } from "effect"
 * import { Tool, Toolkit } from "effect/ai"
 *
 * const sales = Tool.make("sales", {
 *   parameters: Schema.Struct({ month: Schema.String }),
 *   success: Schema.Struct({ sold: Schema.Finite })
 * })
 * const toolkit = Toolkit.make(sales)
 * const analyst = Agent.make("analyst", { toolkit })
 *
 * export const handlers = Agent.toLayer(
 *   analyst,
 *   toolkit.toLayer({ sales: ({ month }) => Effect.succeed({ sold: month.length }) }),
 *   { policy: ({ tool }) => Effect.succeed(tool === "sales" ? ToolPolicy.allow : ToolPolicy.ask()) }
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const toLayer = <
  const Name extends string,
  Tools extends Record<string, Tool.Any>,
  E = never,
  R = never,
  RP = never
>(
  agent: Agent<Name, Tools>,
  handlers: Layer.Layer<Tool.HandlersFor<Tools>, E, R> | Toolkit.WithHandler<Tools>,
  options: { readonly policy?: ToolPolicy<unknown, RP> } = {}
): Layer.Layer<Handlers<Name>, E, R | RP | Dependencies<Tools>> => {
  const key = keyOf(agent.name)
  const service = (toolkit: Toolkit.WithHandler<Tools>) =>
    Effect.map(Effect.context<RP | Dependencies<Tools>>(), (context): Found => {
      const { policy } = options
      return {
        toolkit: toolkit as unknown as Found["toolkit"],
        context: context as Context.Context<never>,
        policy:
          policy === undefined ? undefined : (request) => provided(policy(request), context as Context.Context<never>)
      }
    })
  if (!Layer.isLayer(handlers)) return Layer.effect(key, service(handlers as Toolkit.WithHandler<Tools>)) as never
  const toolkit = (agent.toolkit ?? Toolkit.empty) as Toolkit.Toolkit<Tools>
  return Layer.provide(Layer.effect(key, Effect.flatMap(toolkit, service)), handlers) as never
}
