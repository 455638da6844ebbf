/**
 * What a worker hands to its `handle`. `Runs` exports it.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type { Agent } from "./AgentDefinition.ts"
import type { AgentError } from "./AgentError.ts"
import type { AgentUpdate } from "./AgentUpdate.ts"
import type { RunId } from "./Run.ts"

/**
 * A run in the hands of a worker.
 *
 * **Details**
 *
 * `updates` go on after the last update that a consumer of the run finished with. `attempt` is 1 when the run is tried
 * for the first time since its consumer came as far as it is now.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerRun<out Element = AgentUpdate> {
  readonly agent: Agent
  readonly runId: RunId
  readonly attempt: number
  readonly updates: Stream.Stream<Element, AgentError>
}
