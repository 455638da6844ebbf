/**
 * Agents, and everything that is done with their runs.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { Prompt } from "effect/ai"
import { AgentError, InvalidInput } from "./AgentError.ts"
import type { AgentResponse } from "./AgentResponse.ts"
import type { AgentUpdate } from "./AgentUpdate.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import type { ContinuationToken } from "./ContinuationToken.ts"
import * as Acknowledge from "./internal/acknowledge.ts"
import { advance, watch as readAlong } from "./internal/advance.ts"
import * as OpenRun from "./internal/openRun.ts"
import * as Verbs from "./internal/verbs.ts"
import type { Session } from "./Session.ts"
import type { TokenStore } from "./TokenStore.ts"

/**
 * An agent: a name, instructions and options. A value, without state: the same agent serves any number of runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Agent<out Name extends string = string> {
  readonly name: Name
  readonly instructions?: string
  /** Whether its runs go on at the provider when nobody watches; a call may say otherwise. */
  readonly background: boolean
  /** Changes with the agent's meaning: a run is not continued by another version unless the policy allows it. */
  readonly version?: string
  /** Options for the provider, beside those of its layer. */
  readonly options?: Readonly<Record<string, unknown>>
}

/**
 * Names a run that exists: by its id, or by a position in it (a token, or the text that `ContinuationToken.encode` made).
 *
 * @since 0.1.0
 * @category models
 */
export type RunRef =
  | { readonly runId: string; readonly continuationToken?: never; readonly input?: never }
  | { readonly continuationToken: ContinuationToken | string; readonly runId?: never; readonly input?: never }

/**
 * A task for an agent.
 *
 * **Details**
 *
 * `runId` makes the call repeatable: the same id with the same input continues that run and buys nothing. Without one,
 * each execution starts, and buys, a new run.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunInput {
  readonly input: Prompt.RawInput
  readonly runId?: string
  readonly session?: Session
  readonly continuationToken?: never
}

/**
 * What to do about a run that another worker holds.
 *
 * **Details**
 *
 * - `"fail"`, the default: `RunLeased`, which says who holds it and until when.
 * - `"wait"`: ask again on the policy's schedule until the run is free.
 * - `"take over"`: take it at once. The other worker commits nothing any more, and stops with `LeaseLost`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LeaseOptions {
  readonly ifLeased?: "fail" | "wait" | "take over"
}

/**
 * How a stream is read.
 *
 * **Details**
 *
 * `acknowledge`: with `"pull"`, the default, an update counts as finished when the next one is pulled, or when the
 * stream's scope closes with success; with `"manual"` when you say so with `Agent.acknowledge`, which everything that
 * pulls ahead needs (`buffer`, `grouped`, `mapEffect` with concurrency, `merge`, `timeout`, `debounce`, …).
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions extends LeaseOptions {
  readonly acknowledge?: "pull" | "manual"
}

/**
 * Makes an agent.
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
): Agent<Name> => ({ background: false, ...options, name })

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
export const stream = (
  agent: Agent,
  input: RunInput & StreamOptions & { readonly background?: boolean }
): Stream.Stream<AgentUpdate, AgentError, BackgroundModel | TokenStore> =>
  Stream.unwrap(Effect.flatMap(OpenRun.create(agent, input), (run) => advance(run, input)))

/**
 * Continues a run right after the last update its consumer finished with, or after the one that carried the token.
 *
 * **Details**
 *
 * It takes the run's lease: `ifLeased` says what happens while another worker holds it. A token from before the stored
 * position reads again from there without taking the stored position back. Resuming a finished run is empty if it
 * completed, and fails as the run did otherwise.
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
export const resume = (
  agent: Agent,
  ref: RunRef & StreamOptions
): Stream.Stream<AgentUpdate, AgentError, BackgroundModel | TokenStore> =>
  Stream.unwrap(Effect.flatMap(OpenRun.find(agent, ref), (run) => advance(run, ref)))

/**
 * Reads along with a run from its start, or from a token: without lease, checkpoint or effect on it.
 *
 * @since 0.1.0
 * @category verbs
 */
export const watch = (
  agent: Agent,
  ref: RunRef
): Stream.Stream<AgentUpdate, AgentError, BackgroundModel | TokenStore> =>
  Stream.unwrap(Effect.flatMap(OpenRun.find(agent, ref), readAlong))

/**
 * Runs an agent to the end.
 *
 * **Details**
 *
 * With a `runId`, a repetition continues the run, and one that is finished answers again without buying anything.
 *
 * @since 0.1.0
 * @category verbs
 */
export const run = (
  agent: Agent,
  input: RunInput & LeaseOptions & { readonly background?: boolean }
): Effect.Effect<AgentResponse, AgentError, BackgroundModel | TokenStore> =>
  Effect.flatMap(OpenRun.create(agent, input), (run) => Verbs.complete(run, input))

/**
 * Starts a background run and returns as soon as the provider accepted it: the response carries a continuation token.
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
export const start = (
  agent: Agent,
  input: RunInput
): Effect.Effect<AgentResponse, AgentError, BackgroundModel | TokenStore> =>
  Effect.flatMap(OpenRun.create(agent, { ...input, background: true }), Verbs.submit)

/**
 * Looks at a run once. Its `continuationToken` is there until the run is over; a run that failed is told by the status.
 *
 * @since 0.1.0
 * @category verbs
 */
export const poll = (
  agent: Agent,
  ref: RunRef
): Effect.Effect<AgentResponse, AgentError, BackgroundModel | TokenStore> =>
  Effect.flatMap(OpenRun.find(agent, ref), (run) => Effect.map(Verbs.glance(run), (look) => look.response))

/**
 * Polls a run on the policy's schedule until it is over. Fails as the run did if it did not complete.
 *
 * @since 0.1.0
 * @category verbs
 */
export const result = (
  agent: Agent,
  ref: RunRef
): Effect.Effect<AgentResponse, AgentError, BackgroundModel | TokenStore> =>
  Effect.flatMap(OpenRun.find(agent, ref), Verbs.result)

/**
 * Asks the provider to stop a run, whoever advances it, and follows it to its true end: it may still have completed.
 *
 * **Details**
 *
 * With `wait: false` it returns once the provider was asked. Leaving a stream is not cancelling: the run goes on.
 *
 * @since 0.1.0
 * @category verbs
 */
export const cancel = (
  agent: Agent,
  ref: RunRef & { readonly wait?: boolean }
): Effect.Effect<AgentResponse, AgentError, BackgroundModel | TokenStore> =>
  Effect.flatMap(OpenRun.find(agent, ref), (run) => Verbs.cancel(run, ref.wait ?? true))

/**
 * Forgets a run, at the provider and in the store. Fails with `RunLeased` while a worker advances it.
 *
 * @since 0.1.0
 * @category verbs
 */
export const remove = (agent: Agent, ref: RunRef): Effect.Effect<void, AgentError, BackgroundModel | TokenStore> =>
  Effect.flatMap(OpenRun.find(agent, ref), Verbs.remove)

/**
 * Says that an update, and all before it, is finished with: for streams with `acknowledge: "manual"`.
 *
 * **Details**
 *
 * After the stream has ended it takes the run's lease once more to write the position. Fails with `InvalidInput` for an
 * update that did not come from such a stream of this process, and with `LeaseLost` where this worker lost the run.
 *
 * @since 0.1.0
 * @category verbs
 */
export const acknowledge = (update: AgentUpdate): Effect.Effect<void, AgentError> =>
  Effect.suspend(
    () =>
      Acknowledge.byHand(update) ??
      Effect.fail(
        new AgentError({
          runId: update.runId,
          reason: new InvalidInput({
            description:
              'Only updates of a stream with acknowledge: "manual", in the same process, can be acknowledged.'
          })
        })
      )
  )
