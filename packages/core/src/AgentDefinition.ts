/**
 * What an agent is: a value that names who does a task, and how. `Agent` exports all of it.
 *
 * @since 0.1.0
 */

/**
 * An agent: a name, instructions and options. A value, without state: the same agent serves any number of runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Agent<out Name extends string = string> {
  readonly name: Name
  readonly instructions?: string
  /**
   * Whether its runs go on at the provider when nobody watches; a call may say otherwise. If it is absent they do, for a
   * model that can.
   */
  readonly background?: boolean
  /** Changes with the agent's meaning: a run is not continued by another version unless the policy allows it. */
  readonly version?: string
  /** Options for the provider, beside those of its layer. */
  readonly options?: Readonly<Record<string, unknown>>
}

/**
 * Makes an agent.
 *
 * **Details**
 *
 * Its runs go on at the provider when nobody watches, if the model can do that, unless `background` is false.
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
    readonly options?: Readonly<Record<string, unknown>>
  } = {}
): Agent<Name> => ({ ...options, name })
