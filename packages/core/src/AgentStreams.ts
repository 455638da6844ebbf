/**
 * The verbs that stream the updates of a run. `Agent` exports all of them.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type { Any, ErrorOf, HandlersOf } from "./AgentDefinition.ts"
import type { AgentUpdate, Delivery } from "./AgentUpdate.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import * as Streaming from "./internal/verbs/stream.ts"
import type { RunInput, RunRef, StreamOptions, WatchRef } from "./RunInput.ts"
import type { TokenStore } from "./TokenStore.ts"

type Requirements = BackgroundModel | TokenStore

/**
 * Starts a run, or continues the one that `runId` names, and streams its updates.
 *
 * **When to use**
 *
 * Use it for a run that somebody watches. If you leave the stream, your position is written and a background run goes on:
 * `resume` continues it, and `cancel` ends it.
 *
 * **Details**
 *
 * The stream ends if the run is `completed` or `incomplete`, or waits for its caller: its last update then has the status
 * `waiting`, and says for what. It fails after its last update if the run is `failed`, `cancelled` or `expired`. It runs the
 * tool calls that the model asks for, and their results are updates, too: see `Agent.toLayer`. An update is acknowledged when the next one is pulled, unless `acknowledge` is
 * `"manual"`.
 *
 * Where an `UpdateLog` is provided, the updates are appended to it before they come here, and the stream reads the log. A
 * slow consumer then does not hold up the viewers of the run. Fails with `LogFailed` if the log fails for longer than
 * `RunPolicy.reconnect` allows, with `LogFull` if it has reached `RunPolicy.maxLog` and nothing in it is acknowledged, and
 * with `LogMissing` if the run is logged and this process has no `UpdateLog`.
 *
 * **Gotchas**
 *
 * Operators that pull ahead of your code (`buffer`, `grouped`, `mapEffect` with concurrency, …) need `acknowledge:
 * "manual"`, or updates that you have not handled yet count as acknowledged: see `AgentUpdate.Delivery`.
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
export function stream<A extends Any>(
  agent: A,
  input: RunInput & StreamOptions & { readonly background?: boolean; readonly acknowledge: "manual" }
): Stream.Stream<Delivery, ErrorOf<A>, Requirements | HandlersOf<A>>
export function stream<A extends Any>(
  agent: A,
  input: RunInput & StreamOptions & { readonly background?: boolean; readonly acknowledge?: "pull" }
): Stream.Stream<AgentUpdate, ErrorOf<A>, Requirements | HandlersOf<A>>
export function stream<A extends Any>(
  agent: A,
  input: RunInput & StreamOptions & { readonly background?: boolean }
): Stream.Stream<AgentUpdate | Delivery, ErrorOf<A>, Requirements | HandlersOf<A>> {
  return Streaming.stream(agent, input) as never
}

/**
 * Continues a run right after the last update that was acknowledged, or right after the update that carried the given
 * token.
 *
 * **Details**
 *
 * The stream takes the run's lease: `ifLeased` says what happens while another worker holds it. A token from before the
 * stored position streams the updates after it again, and leaves the stored position as it is. If all updates were
 * acknowledged before, the stream is empty if the run completed, and fails as the run did otherwise.
 *
 * Fails with `TokenInvalid` if the token was made before the run was retried, or before it was removed and created again; in
 * a run with an update log also if the log lost the update that carried the token, and has another one there.
 *
 * **Example** (Resuming in another process)
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
export function resume<A extends Any>(
  agent: A,
  ref: RunRef & StreamOptions & { readonly acknowledge: "manual" }
): Stream.Stream<Delivery, ErrorOf<A>, Requirements | HandlersOf<A>>
export function resume<A extends Any>(
  agent: A,
  ref: RunRef & StreamOptions & { readonly acknowledge?: "pull" }
): Stream.Stream<AgentUpdate, ErrorOf<A>, Requirements | HandlersOf<A>>
export function resume<A extends Any>(
  agent: A,
  ref: RunRef & StreamOptions
): Stream.Stream<AgentUpdate | Delivery, ErrorOf<A>, Requirements | HandlersOf<A>> {
  return Streaming.resume(agent, ref) as never
}

/**
 * Streams the updates of a run from its start, a token or an offset, without a lease and without checkpoints.
 *
 * **When to use**
 *
 * Use it for viewers of a run that another worker advances: any number of them, in any process.
 *
 * **Details**
 *
 * If the run has an update log, a viewer reads that log: every update from the given one to the last, once, in order, with
 * the same offsets for all viewers, also if the worker dies or another one takes the run. The provider is not asked. The
 * stream ends as the run does. It fails with `TokenInvalid` of kind `"rewritten"` if the log lost updates that this viewer
 * saw, and has others there now; with `LogTruncated` if older updates were removed, and with `LogNotFound` if the whole log
 * was; and with `LogMissing` if this process has no `UpdateLog`.
 *
 * Without an update log, all viewers in one process that begin at the start of a run share one connection to the provider. A
 * viewer that begins at a token has its own. All of them get the same text, but late ones may get it in larger pieces and
 * under other offsets. If a viewer sees the end of the run, it records that end.
 *
 * The stream waits until the run is opened, and while the run waits for its caller. It fails with `RunNotOpened` or
 * `Unconfirmed` if no worker holds the run and none will open it.
 *
 * **Example** (Watching a run)
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
export const watch = <A extends Any>(agent: A, ref: WatchRef): Stream.Stream<AgentUpdate, ErrorOf<A>, Requirements> =>
  Streaming.watch(agent, ref) as never
