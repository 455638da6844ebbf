/**
 * Agents, and the verbs that start, read and end their runs.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Prompt from "effect/ai/Prompt"
import type { AgentError } from "./AgentError.ts"
import type { AgentResponse } from "./AgentResponse.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import type { Any, ErrorOf, HandlersOf } from "./AgentDefinition.ts"
import type { AdoptOptions, EnqueueInput, LeaseOptions, RunInput, RunRef, StreamOptions } from "./RunInput.ts"
import * as Adopt from "./internal/verbs/adopt.ts"
import * as Cancel from "./internal/verbs/cancel.ts"
import * as Complete from "./internal/verbs/complete.ts"
import * as Enqueue from "./internal/verbs/enqueue.ts"
import * as Poll from "./internal/verbs/poll.ts"
import * as Remove from "./internal/verbs/remove.ts"
import * as Result from "./internal/verbs/result.ts"
import * as Retry from "./internal/verbs/retry.ts"
import * as Start from "./internal/verbs/start.ts"
import type { TokenStore } from "./TokenStore.ts"

export * from "./AgentDefinition.ts"
export * from "./AgentHandlers.ts"
export * from "./AgentStreams.ts"
export * from "./AgentTools.ts"
export type * from "./RunInput.ts"

type Requirements = BackgroundModel | TokenStore

/**
 * Starts a run, or continues the one that `runId` names, and returns its response once the run has ended.
 *
 * **Details**
 *
 * With a `runId` the call can be repeated: it continues the run, and returns the response of a run that has ended without
 * buying anything. `onInterrupt: "cancel"` cancels the run if the call is interrupted; by default the run goes on.
 *
 * Fails as the run does if it fails, is cancelled or expires, and with `RunWaiting` if the run waits for its caller.
 *
 * **Example** (Running an agent)
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
export const run = <A extends Any>(
  agent: A,
  input: RunInput & LeaseOptions & Pick<StreamOptions, "onInterrupt"> & { readonly background?: boolean }
): Effect.Effect<AgentResponse, ErrorOf<A>, Requirements | HandlersOf<A>> => Complete.complete(agent, input) as never

/**
 * Starts a background run and returns as soon as the provider has accepted it: the response carries a continuation token.
 *
 * **Details**
 *
 * If the provider can resume streams, the run is opened as a stream: `resume`, `watch` or a worker can then stream it from
 * its first update. With a `runId` the call can be repeated, and buys the run once. Fails with `BackgroundUnsupported` if
 * the model cannot run in the background.
 *
 * The call runs no tools. If the model asks for some, the run goes on once a worker or `resume` takes it.
 *
 * **Example** (Starting a run and reading its result later)
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
export const start: (agent: Any, input: RunInput) => Effect.Effect<AgentResponse, AgentError, Requirements> =
  Start.start

/**
 * Records a run with its input, for a worker to open: the response is `queued`, and carries a continuation token.
 *
 * **When to use**
 *
 * Use it in a process that never talks to the provider: a web server that takes orders, or a job that plans the work of the
 * night. The call needs no model.
 *
 * **Details**
 *
 * A worker (`Runs.worker`) with the same version of the agent opens the run as a stream, and gives it to its `handle`. The
 * instructions and options are those of the worker's agent. `Agent.resume`, or `Agent.stream` with the same input, opens
 * the run at once, whatever `notBefore` says. For `watch`, `poll` and `result` the run is `queued` until then. A cancel
 * that comes before the run is opened ends it without buying anything.
 *
 * With the same `runId` and input the call can be repeated: the response has the status of the run, without its output.
 * Another input fails with `RunInputMismatch`. Fails also with `InputTooLarge` if the input is larger than
 * `RunPolicy.maxInput`, with `InvalidInput`, with `StoreFailed`, and with `RunNotOpened` or `Unconfirmed` if another verb
 * recorded the run and no worker will open it.
 *
 * **Gotchas**
 *
 * The store keeps the input until the run has ended well: see `keepInput`. Only the worker that holds the run gets the
 * input. Listings, logs and tokens never contain it.
 *
 * **Example** (Planning a report for tomorrow)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { DateTime, Effect } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Effect.gen(function* () {
 *   const tomorrow = DateTime.add(yield* DateTime.now, { days: 1 })
 *   yield* Agent.enqueue(analyst, { input: "How was October?", runId: "october", notBefore: tomorrow })
 * })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const enqueue: (agent: Any, input: EnqueueInput) => Effect.Effect<AgentResponse, AgentError, TokenStore> =
  Enqueue.enqueue

/**
 * Reads the status and the output of a run once. The response has a `continuationToken` until the run has ended.
 *
 * **Details**
 *
 * A run that failed is no error here: its response has the status `failed`. The call does not advance the run. If it sees
 * the end of the run, it records that end; if the run has an update log, it completes the log before. Fails with
 * `RunNotOpened` or `Unconfirmed` if no worker holds the run and none will open it.
 *
 * **Example** (Checking whether a run has ended)
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
export const poll: (agent: Any, ref: RunRef) => Effect.Effect<AgentResponse, AgentError, Requirements> = Poll.poll

/**
 * Polls a run until it has ended, on the schedule `RunPolicy.pollEvery`, and returns its response.
 *
 * **Details**
 *
 * If the run has ended and its update log has all of it, the answer comes from the log, and the provider is not asked.
 *
 * The call does not open the run, and runs no tools. Fails as the run did if it failed, was cancelled or expired, with
 * `RunWaiting` if the run waits for its caller, and with `RunExpired` if the provider no longer has the output.
 *
 * **Gotchas**
 *
 * A run that calls tools goes on only while something advances it: a worker, `Agent.stream`, `Agent.resume` or `Agent.run`.
 * Without one of these, this waits.
 *
 * **Example** (Reading the whole report)
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
export const result = <A extends Any>(agent: A, ref: RunRef): Effect.Effect<AgentResponse, ErrorOf<A>, Requirements> =>
  Result.result(agent, ref) as never

/**
 * Cancels a run from any process, and follows it to its true end. The run may still complete.
 *
 * **Details**
 *
 * The call records the request first. Then it cancels a background response at the provider; if the provider does not take
 * the cancel now, the next worker that holds the run sends it again. The process that follows a foreground run stops it:
 * that process learns of the cancel with its next write or renewal. With `wait: false` the call returns once it has asked
 * the provider.
 *
 * **Gotchas**
 *
 * To leave a stream is not to cancel its run: the run goes on.
 *
 * **Example** (Cancelling without waiting)
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
  agent: Any,
  ref: RunRef & { readonly wait?: boolean }
) => Effect.Effect<AgentResponse, AgentError, Requirements> = Cancel.cancel

/**
 * Opens a run again that failed, was cancelled or expired, and returns once the provider has accepted it: the response
 * carries a continuation token.
 *
 * **When to use**
 *
 * Use it for a run that ended without success, or that is `Unconfirmed`. The run keeps its id, and the turns before the one
 * that failed.
 *
 * **Details**
 *
 * The first update after a retry has `retried: true`. Continuation tokens from before the retry fail with `TokenInvalid`.
 * If the run has an update log, offsets go on in it, and `Agent.watch` with an `offset` and an `epoch` from before still works.
 *
 * A run whose first turn failed needs its input again, unless `Agent.enqueue` kept it; another input fails with
 * `RunInputMismatch`. If a request of the run was never answered, its response may have been bought already: the call then
 * fails with `Unconfirmed` unless `mayBuyTwice` is true. Fails with `InvalidInput` if the run is under way, ended well, or
 * is a foreground run, which would end as soon as this call returns.
 *
 * **Example** (Retrying a failed run)
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
  agent: Any,
  ref: { readonly runId: string; readonly input?: Prompt.RawInput; readonly mayBuyTwice?: boolean }
) => Effect.Effect<AgentResponse, AgentError, Requirements> = Retry.retry

/**
 * Makes a run of this agent from a response that another program opened at the provider.
 *
 * **When to use**
 *
 * Use it for background responses that another program, or another library, opened.
 *
 * **Details**
 *
 * Without a `runId` the run's id is derived from the id of the response, so that adopting the response twice gives one run.
 * Fails with `RunExpired` if the provider does not have the response, and with `InvalidInput` if the run id belongs to
 * another run.
 *
 * **Example** (Adopting a response)
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
export const adopt: (agent: Any, options: AdoptOptions) => Effect.Effect<AgentResponse, AgentError, Requirements> =
  Adopt.adopt

/**
 * Deletes a run, at the provider, in the store, and in the update log.
 *
 * **Details**
 *
 * `provider` says what happens to the run's responses. With `"require"`, the default, the provider must delete all of them,
 * or the call fails. With `"try"`, a response that the provider does not delete stays there. With `"keep"`, all stay there.
 *
 * Fails with `RunLeased` while a worker advances the run. Fails with `Unconfirmed` if a request of the run was never
 * answered, because nobody could find the response that it may have bought; with `force` the call removes such a run too.
 *
 * **Example** (Deleting a run)
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
  agent: Any,
  ref: RunRef & { readonly provider?: "require" | "try" | "keep"; readonly force?: boolean }
) => Effect.Effect<void, AgentError, Requirements> = Remove.remove
