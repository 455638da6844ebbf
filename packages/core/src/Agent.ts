/**
 * Agents, and everything that is done with their runs.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Prompt from "effect/ai/Prompt"
import type { AgentError } from "./AgentError.ts"
import type { AgentResponse } from "./AgentResponse.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import type { Agent } from "./AgentDefinition.ts"
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
export * from "./AgentStreams.ts"
export type * from "./RunInput.ts"

type Requirements = BackgroundModel | TokenStore

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
 * Records a run with its input, and leaves it to workers, which open it: the response is `queued`, and carries a
 * continuation token.
 *
 * **When to use**
 *
 * In a process that never talks to the provider: a web server that takes orders, a job that plans the work of the night.
 * It needs no model.
 *
 * **Details**
 *
 * A worker (`Runs.worker`) of the agent's version opens the run as a stream, and hands it to its `handle`. Instructions and
 * options are those of the worker's agent. `Agent.resume`, or `Agent.stream` with the same input, opens it at once, whatever
 * `notBefore` says. `watch`, `poll` and `result` wait for it as `queued`. A cancel before it is opened ends it without
 * buying anything.
 *
 * Repeated with the same `runId` and input it is the same run, and the response says where that stands, without output;
 * another input is `RunInputMismatch`. Fails with `InputTooLarge` if the input is larger than `RunPolicy.maxInput`, with
 * `InvalidInput`, and with `StoreFailed`. It fails with `RunNotOpened` or `Unconfirmed` if the run was recorded another way,
 * and nobody will open it.
 *
 * **Gotchas**
 *
 * The store keeps the input until the run has ended well: see `keepInput`. Nobody but a holder of the run gets it, and
 * listings, logs and tokens never have it.
 *
 * **Example** (A report for tomorrow)
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
export const enqueue: (agent: Agent, input: EnqueueInput) => Effect.Effect<AgentResponse, AgentError, TokenStore> =
  Enqueue.enqueue

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
