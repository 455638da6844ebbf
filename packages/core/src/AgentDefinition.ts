/**
 * The definition of an agent. `Agent` exports all of it.
 *
 * @since 0.1.0
 */

/**
 * An agent: a name, instructions and options. It is a value without state: any number of runs can use the same agent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Agent<out Name extends string = string> {
  readonly name: Name
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
}

/**
 * Makes an agent.
 *
 * **Details**
 *
 * The agent's runs go on at the provider while no process follows them, if the model can run in the background, unless
 * `background` is false.
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
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Name extends string>(
  name: Name,
  options: {
    readonly instructions?: string
    readonly background?: boolean
    readonly version?: string
    readonly log?: boolean
    readonly options?: Readonly<Record<string, unknown>>
  } = {}
): Agent<Name> => ({ ...options, name })
