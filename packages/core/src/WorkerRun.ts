/**
 * The argument of a worker's `handle`. `Runs` exports it.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type { Agent, Any, ErrorOf } from "./AgentDefinition.ts"
import type { AgentUpdate } from "./AgentUpdate.ts"
import type { RunId } from "./Run.ts"

/**
 * A run that a worker has taken, as its `handle` gets it.
 *
 * **Details**
 *
 * `updates` begins after the last update that was acknowledged. `attempt` counts from 1 how often workers have taken the
 * run since the acknowledged position last moved.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerRun<out Element = AgentUpdate, out A extends Any = Agent> {
  readonly agent: A
  readonly runId: RunId
  readonly attempt: number
  readonly updates: Stream.Stream<Element, ErrorOf<A>>
}
