import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import { type Any, type ToolOptions, toolOf } from "../../AgentDefinition.ts"
import type { ToolPolicy } from "../../ToolPolicy.ts"

/** The handlers of an agent's tools, and its policy, with the services that they need. */
export interface Found {
  readonly toolkit: Toolkit.WithHandler<Record<string, Tool.Any>>
  readonly context: Context.Context<never>
  readonly policy: ToolPolicy<unknown> | undefined
}

/** The key of the handlers of an agent. */
export const keyOf = (agent: string): Context.Service<Found, Found> =>
  Context.Service<Found>(`@effect-baton/core/Agent/Handlers/${agent}`)

/** Adds the services of the layer of handlers. Those of the caller count first: its span, above all. */
export const provided = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  context: Context.Context<never>
): Effect.Effect<A, E> =>
  Effect.updateContext(
    effect,
    (caller: Context.Context<never>) => Context.merge(context, caller) as unknown as Context.Context<NoInfer<R>>
  )

/** How the calls of a tool run. */
export const optionsOf = (agent: Pick<Any, "toolkit" | "tools">, name: string): ToolOptions =>
  agent.tools?.[toolOf(agent, name)?.name ?? name] ?? {}

const needsHandler = (tool: Tool.Any): boolean => !Tool.isProviderDefined(tool) || (tool.requiresHandler as boolean)

/** Whether the handlers of an agent answer calls of this name. */
export const answers = (agent: Pick<Any, "toolkit">, name: string): boolean => {
  const tool = toolOf(agent, name)
  return tool !== undefined && needsHandler(tool)
}

/** The names of the calls that the handlers of an agent answer. */
export const namesOf = ({ toolkit }: Pick<Any, "toolkit">): ReadonlyArray<string> =>
  Object.values(toolkit?.tools ?? {})
    .filter(needsHandler)
    .flatMap((tool) => (Tool.isProviderDefined(tool) ? [tool.name, tool.providerName] : [tool.name]))
