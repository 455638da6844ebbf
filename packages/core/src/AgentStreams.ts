/**
 * What streams the updates of a run. `Agent` exports all of it.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type { Agent } from "./AgentDefinition.ts"
import type { AgentError } from "./AgentError.ts"
import type { AgentUpdate, Delivery } from "./AgentUpdate.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import * as Streaming from "./internal/verbs/stream.ts"
import type { RunInput, RunRef, StreamOptions } from "./RunInput.ts"
import type { TokenStore } from "./TokenStore.ts"

type Requirements = BackgroundModel | TokenStore

/**
 * Starts a run, or continues the one that `runId` names, and streams its updates.
 *
 * **When to use**
 *
 * For work that somebody watches. Leaving the stream checkpoints the position and lets the run go on; `resume`
 * continues it. To end a run, `cancel` it.
 *
 * **Details**
 *
 * `completed` and `incomplete` end the stream; `failed`, `cancelled` and `expired` fail it after their last update.
 *
 * **Example** (Printing a report as it is written)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Console, Stream } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports.", background: true })
 *
 * export const program = Agent.stream(analyst, { input: "How was October?", runId: "october" }).pipe(
 *   Stream.runForEach((update) => Console.log(update.text))
 * )
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export function stream(
  agent: Agent,
  input: RunInput & StreamOptions & { readonly background?: boolean; readonly acknowledge: "manual" }
): Stream.Stream<Delivery, AgentError, Requirements>
export function stream(
  agent: Agent,
  input: RunInput & StreamOptions & { readonly background?: boolean; readonly acknowledge?: "pull" }
): Stream.Stream<AgentUpdate, AgentError, Requirements>
export function stream(
  agent: Agent,
  input: RunInput & StreamOptions & { readonly background?: boolean }
): Stream.Stream<AgentUpdate | Delivery, AgentError, Requirements> {
  return Streaming.stream(agent, input)
}

/**
 * Continues a run right after the last update its consumer finished with, or after the one that carried the token.
 *
 * **Details**
 *
 * It takes the run's lease: `ifLeased` says what happens while another worker holds it. A token from before the stored
 * position reads again from there without taking the stored position back. Resuming a run whose consumer finished it is
 * empty if it completed, and fails as the run did otherwise. A token that was made before the run was retried, or removed
 * and created again, is `TokenInvalid`.
 *
 * **Example** (Going on in another process)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Console, Stream } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports.", background: true })
 *
 * export const program = Agent.resume(analyst, { runId: "october" }).pipe(
 *   Stream.runForEach((update) => Console.log(update.text))
 * )
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export function resume(
  agent: Agent,
  ref: RunRef & StreamOptions & { readonly acknowledge: "manual" }
): Stream.Stream<Delivery, AgentError, Requirements>
export function resume(
  agent: Agent,
  ref: RunRef & StreamOptions & { readonly acknowledge?: "pull" }
): Stream.Stream<AgentUpdate, AgentError, Requirements>
export function resume(
  agent: Agent,
  ref: RunRef & StreamOptions
): Stream.Stream<AgentUpdate | Delivery, AgentError, Requirements> {
  return Streaming.resume(agent, ref)
}

/**
 * Reads along with a run from its start, or from a token: without a lease or a checkpoint.
 *
 * **When to use**
 *
 * For further viewers of a run that something else advances. It waits for a response that is not opened yet.
 *
 * **Details**
 *
 * A viewer that sees the end of the run records it. It fails with `RunNotOpened` or `Unconfirmed` if nobody holds the run
 * and nobody will open it.
 *
 * **Example** (A second viewer)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Console, Stream } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Agent.watch(analyst, { runId: "october" }).pipe(
 *   Stream.runForEach((update) => Console.log(update.text))
 * )
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const watch: (agent: Agent, ref: RunRef) => Stream.Stream<AgentUpdate, AgentError, Requirements> =
  Streaming.watch
