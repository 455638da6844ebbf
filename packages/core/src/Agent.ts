/**
 * Agents, and everything that is done with their runs.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type * as Prompt from "effect/ai/Prompt"
import type { AgentError } from "./AgentError.ts"
import type { AgentResponse } from "./AgentResponse.ts"
import type { AgentUpdate, Delivery } from "./AgentUpdate.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import type { AdoptOptions, Agent, LeaseOptions, RunInput, RunRef, StreamOptions } from "./internal/agent.ts"
import * as Adopt from "./internal/verbs/adopt.ts"
import * as Cancel from "./internal/verbs/cancel.ts"
import * as Complete from "./internal/verbs/complete.ts"
import * as Poll from "./internal/verbs/poll.ts"
import * as Remove from "./internal/verbs/remove.ts"
import * as Result from "./internal/verbs/result.ts"
import * as Retry from "./internal/verbs/retry.ts"
import * as Start from "./internal/verbs/start.ts"
import * as Streaming from "./internal/verbs/stream.ts"
import type { TokenStore } from "./TokenStore.ts"

export type * from "./internal/agent.ts"
export { enqueue } from "./internal/verbs/enqueue.ts"

type Requirements = BackgroundModel | TokenStore

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

/**
 * Runs an agent to the end.
 *
 * **Details**
 *
 * With a `runId`, a repetition continues the run, and one that is finished answers again without buying anything. A run
 * that waits for somebody fails with `RunWaiting`. `onInterrupt: "cancel"` cancels the run if this is interrupted.
 *
 * **Example** (One answer)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Effect.map(Agent.run(analyst, { input: "How was October?" }), ({ text }) => text)
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const run: (
  agent: Agent,
  input: RunInput & LeaseOptions & Pick<StreamOptions, "onInterrupt"> & { readonly background?: boolean }
) => Effect.Effect<AgentResponse, AgentError, Requirements> = Complete.complete

/**
 * Starts a background run and returns as soon as the provider accepted it: the response carries a continuation token.
 *
 * **Details**
 *
 * The run is opened as a stream if the provider can resume one, and left: `resume`, `watch` or a worker streams it from
 * its first update on.
 *
 * **Example** (Start now, look later)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Effect.gen(function* () {
 *   const started = yield* Agent.start(analyst, { input: "How was October?" })
 *   return yield* Agent.result(analyst, { runId: started.runId })
 * })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const start: (agent: Agent, input: RunInput) => Effect.Effect<AgentResponse, AgentError, Requirements> =
  Start.start

/**
 * Looks at a run once. Its `continuationToken` is there until the run is over; a run that failed is told by the status.
 *
 * **Details**
 *
 * It holds no lease. If it sees the end of the run, it records it. It fails with `RunNotOpened` or `Unconfirmed` if nobody
 * holds the run and nobody will open it.
 *
 * **Example** (Is it done?)
 *
 * ```ts
 * import { Agent, Run } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Effect.map(Agent.poll(analyst, { runId: "october" }), ({ status }) => Run.isOver(status))
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const poll: (agent: Agent, ref: RunRef) => Effect.Effect<AgentResponse, AgentError, Requirements> = Poll.poll

/**
 * Polls a run on the policy's schedule until it is over. Fails as the run did if it did not complete, with `RunWaiting` if
 * it waits for somebody, and with `RunExpired` if the provider does not have its output any more.
 *
 * **Example** (The whole report)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Effect.map(Agent.result(analyst, { runId: "october" }), ({ text }) => text)
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const result: (agent: Agent, ref: RunRef) => Effect.Effect<AgentResponse, AgentError, Requirements> =
  Result.result

/**
 * Asks for the end of a run, whoever advances it, and follows it to its true end: it may still have completed.
 *
 * **Details**
 *
 * The wish is recorded first. Then a background response is cancelled at the provider; if the provider does not take it
 * now, whoever holds the run next sends it again. A foreground run is stopped by the process that follows it, which
 * learns of it with its next write or renewal. With `wait: false` it returns once the provider was asked.
 *
 * Leaving a stream is not cancelling: the run goes on.
 *
 * **Example** (Stopping without waiting)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Agent.cancel(analyst, { runId: "october", wait: false })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const cancel: (
  agent: Agent,
  ref: RunRef & { readonly wait?: boolean }
) => Effect.Effect<AgentResponse, AgentError, Requirements> = Cancel.cancel

/**
 * Opens a run again that failed, was cancelled or expired, and leaves it: the response carries a continuation token.
 *
 * **When to use**
 *
 * For a run that ended without success, or that is `Unconfirmed`. The run keeps its id; turns before the one that failed
 * stay as they are.
 *
 * **Details**
 *
 * A run whose first turn failed needs its input again, unless `Agent.enqueue` kept it: another is `RunInputMismatch`. If a
 * request of the run was never answered it may have been bought already: then this fails with `Unconfirmed` unless
 * `mayBuyTwice` is true. The first update of the run says `retried` then. Tokens of before are `TokenInvalid`. Fails with
 * `InvalidInput` if the run is under way, ended well, or runs in the foreground, where it would end as it is left.
 *
 * **Example** (Once more)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Console, Effect, Stream } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Effect.gen(function* () {
 *   yield* Agent.retry(analyst, { runId: "october", input: "How was October?" })
 *   yield* Stream.runForEach(Agent.resume(analyst, { runId: "october" }), ({ text }) => Console.log(text))
 * })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const retry: (
  agent: Agent,
  ref: { readonly runId: string; readonly input?: Prompt.RawInput; readonly mayBuyTwice?: boolean }
) => Effect.Effect<AgentResponse, AgentError, Requirements> = Retry.retry

/**
 * Takes over a response that something else started at the provider, as a run of this agent.
 *
 * **When to use**
 *
 * For background responses that another program, or another library, opened.
 *
 * **Details**
 *
 * Without a `runId` the run is called as the response is, so that adopting it twice is one run. Fails with `RunExpired` if
 * the provider does not have the response, and with `InvalidInput` if the run id is another run's.
 *
 * **Example** (A response from elsewhere)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { Console, Effect, Stream } from "effect"
 *
 * const analyst = Agent.make("analyst")
 *
 * export const program = Effect.gen(function* () {
 *   const { runId } = yield* Agent.adopt(analyst, { responseId: "resp_68c7" })
 *   yield* Stream.runForEach(Agent.resume(analyst, { runId }), ({ text }) => Console.log(text))
 * })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const adopt: (agent: Agent, options: AdoptOptions) => Effect.Effect<AgentResponse, AgentError, Requirements> =
  Adopt.adopt

/**
 * Forgets a run, at the provider and in the store.
 *
 * **Details**
 *
 * `provider` says what happens to the run's responses: with `"require"`, the default, they are deleted, or this fails;
 * with `"try"` a response that the provider does not delete stays there; with `"keep"` none is touched.
 *
 * Fails with `RunLeased` while a worker advances the run. Fails with `Unconfirmed` if a request of the run was never
 * answered, as what it may have bought would be found by nobody: `force` removes the run all the same.
 *
 * **Example** (Erasing a run)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Agent.remove(analyst, { runId: "october", provider: "try" })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const remove: (
  agent: Agent,
  ref: RunRef & { readonly provider?: "require" | "try" | "keep"; readonly force?: boolean }
) => Effect.Effect<void, AgentError, Requirements> = Remove.remove
