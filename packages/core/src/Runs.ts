/**
 * The runs of a store, of all agents: list, count, wait, cancel; the workers that share them; and parked runs.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { AgentError } from "./AgentError.ts"
import type { AgentUpdate, Delivery } from "./AgentUpdate.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import type { Agent, Any, HandlersOf } from "./AgentDefinition.ts"
import * as Cancelling from "./internal/runs/cancel.ts"
import * as Find from "./internal/runs/find.ts"
import * as Parked from "./internal/runs/parked.ts"
import * as Waiting from "./internal/runs/wait.ts"
import * as Worker from "./internal/worker/worker.ts"
import type { Filter } from "./RunViews.ts"
import type { WorkerRun } from "./WorkerRun.ts"
import type { RunId } from "./Run.ts"
import type { RunRecord } from "./RunRecord.ts"
import type { TokenStore } from "./TokenStore.ts"

export type { WorkerRun } from "./WorkerRun.ts"

/**
 * The verbs that read runs.
 *
 * @since 0.1.0
 * @category verbs
 */
export * from "./RunViews.ts"

/**
 * Waits until a run has ended, or until `until` holds for its record, and returns the record.
 *
 * **When to use**
 *
 * Use it in a process that never talks to the provider, while workers advance the run.
 *
 * **Details**
 *
 * It reads the record every second, and when the store hints that something changed. While the store cannot be reached, it
 * waits on. Fails with `RunNotFound` if the run does not exist or was removed, with `InvalidInput`, and with `StoreFailed`
 * if the store's error is not retryable.
 *
 * **Gotchas**
 *
 * If no worker advances the run, this waits for ever: add a timeout.
 *
 * **Example** (Waiting until a worker has finished a run)
 *
 * ```ts
 * import { Runs, RunState } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * export const program = Runs.wait("report-2026-11", { until: (record) => RunState.fold(record).delivered }).pipe(
 *   Effect.timeout("1 hour")
 * )
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const wait = (
  runId: string,
  options: { readonly until?: (record: RunRecord) => boolean } = {}
): Effect.Effect<RunRecord, AgentError, TokenStore> => Waiting.wait(runId, options.until)

/**
 * Wakes every call that waits for the run of a response, in all processes, and returns the run's id: none if no run has
 * this response.
 *
 * **When to use**
 *
 * Call it when a webhook says that a response has ended: `Agent.result` and other calls then poll the run at once.
 *
 * **Details**
 *
 * It changes nothing, and can be repeated. It is a hint, and hints can get lost: the calls then poll the run on their
 * schedule. Fails with `StoreFailed`.
 *
 * **Example** (Handling a webhook)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 * import { Effect, Option } from "effect"
 *
 * export const ended = (responseId: string) => Effect.map(Runs.wake(responseId), Option.isSome)
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const wake: (responseId: string) => Effect.Effect<Option.Option<RunId>, AgentError, TokenStore> = Find.wake

/**
 * Cancels all runs that a filter selects and that have not ended, and returns their number.
 *
 * **When to use**
 *
 * Use it to cancel many runs, from a process that need not know the provider. `Agent.cancel` cancels one run, and follows
 * it to its end.
 *
 * **Details**
 *
 * It only records the cancels. A worker that holds a run carries the cancel out at once; a run that no worker holds, parked
 * or not, is first taken by one. A run that was never opened ends without buying anything. The call can be repeated. Fails
 * with `StoreFailed`, and may then have recorded some of the cancels.
 *
 * **Gotchas**
 *
 * An empty filter cancels all runs.
 *
 * **Example** (Cancelling the runs of one customer)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 *
 * export const program = Runs.cancel({ labels: { customer: "c-42" } })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const cancel: (filter: Filter) => Effect.Effect<number, AgentError, TokenStore> = Cancelling.cancel

/**
 * Options of a worker.
 *
 * **Details**
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `handle` | consumes the updates of a run | |
 * | `concurrency` | how many runs the worker holds at most at once | |
 * | `maxAttempts` | how often a run may fail at the same position before it is parked | 5 |
 * | `retry` | when a run whose `handle` failed is tried again | from 1 s, doubling |
 * | `claimEvery` | how often, roughly, the worker looks for runs without a hint, in one shard of the store at a time | 1 s |
 * | `startJitter` | the longest time before the first look, which comes at random within it | 1 s |
 * | `acknowledge` | as in `Agent.StreamOptions`: with `"manual"` the updates are `AgentUpdate.Delivery` | `"pull"` |
 *
 * @since 0.1.0
 * @category configuration
 */
export interface WorkerOptions<E, R, Element = AgentUpdate, A extends Any = Agent> {
  readonly handle: (run: WorkerRun<Element, A>) => Effect.Effect<unknown, E, R>
  readonly concurrency: number
  readonly maxAttempts?: number
  readonly retry?: Schedule.Schedule<unknown>
  readonly claimEvery?: Duration.Input
  readonly startJitter?: Duration.Input
}

/**
 * Makes a worker: it takes runs that are due and that no other worker holds, the longest due first, and gives the updates
 * of each run to `handle`.
 *
 * **When to use**
 *
 * Use it in every process of a service that must finish all runs, also those that another process started and left.
 *
 * **Details**
 *
 * A run is finished once `handle` has succeeded: the last position is written then. If `handle` succeeds before the run has
 * ended, the worker follows the run to its end. If the run failed or was cancelled, `updates` fails; if `handle` recovers
 * from that, the run is finished too, with its status.
 *
 * If `handle` fails, or its process dies, any worker tries the run again from its last position. After `maxAttempts` at the
 * same position the run is parked with the reason, and workers leave it alone: see `retry` and `discard`. An attempt does
 * not count if the worker was stopped, if it lost the lease, or if the store or the provider failed.
 *
 * A worker opens a run that `Agent.enqueue` recorded. A run that was recorded in another way and never opened at the
 * provider is parked once the process that started it is gone. A run that another version of the agent started is left to
 * other workers for `RunPolicy.leaseTime`. A run whose end `Agent.poll` or `Agent.result` has seen before a worker took it
 * is not given to `handle`, unless `Agent.enqueue` recorded the run.
 *
 * When the layer's scope closes (`SIGTERM` under `NodeRuntime.runMain`), no `handle` gets another update. A `handle` that
 * waits for one is interrupted at once, any other after `RunPolicy.closeTimeout`. Other workers can then take the runs at
 * once.
 *
 * **Gotchas**
 *
 * In a new attempt, `handle` gets only the updates that were not acknowledged before. Keep what you need of each update as
 * it comes, or read the whole output with `Agent.result` at the end.
 *
 * **Example** (A worker process)
 *
 * ```ts
 * import { Agent, Runs } from "@effect-baton/core"
 * import { Console, Effect, Stream } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports.", background: true })
 *
 * export const Worker = Runs.worker([analyst], {
 *   concurrency: 100,
 *   handle: ({ agent, runId, updates }) =>
 *     Effect.gen(function* () {
 *       yield* Stream.runDrain(updates)
 *       const { text } = yield* Agent.result(agent, { runId })
 *       yield* Console.log(`${runId}: ${text}`)
 *     })
 * })
 * // Layer.launch(Worker).pipe(Effect.provide([Model, Store]), NodeRuntime.runMain)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export function worker<A extends Any, E, R>(
  agents: ReadonlyArray<A>,
  options: WorkerOptions<E, R, Delivery, A> & { readonly acknowledge: "manual" }
): Layer.Layer<never, never, BackgroundModel | TokenStore | HandlersOf<A> | R>
export function worker<A extends Any, E, R>(
  agents: ReadonlyArray<A>,
  options: WorkerOptions<E, R, AgentUpdate, A> & { readonly acknowledge?: "pull" }
): Layer.Layer<never, never, BackgroundModel | TokenStore | HandlersOf<A> | R>
export function worker<A extends Any, E, R>(
  agents: ReadonlyArray<A>,
  options: WorkerOptions<E, R, never, A> & { readonly acknowledge?: "pull" | "manual" }
): Layer.Layer<never, never, BackgroundModel | TokenStore | HandlersOf<A> | R> {
  return Layer.effectDiscard(
    Effect.contextWith((context: Context.Context<R>) =>
      Worker.make(agents, {
        // The type of the updates follows from `acknowledge`: see the overloads above.
        handle: (run) => Effect.provideContext(options.handle(run as unknown as WorkerRun<never, A>), context),
        concurrency: options.concurrency,
        maxAttempts: options.maxAttempts ?? 5,
        retry: options.retry ?? Schedule.exponential("1 second"),
        claimEvery: Duration.fromInputUnsafe(options.claimEvery ?? "1 second"),
        startJitter: Duration.fromInputUnsafe(options.startJitter ?? "1 second"),
        ...(options.acknowledge === undefined ? {} : { acknowledge: options.acknowledge })
      })
    )
  )
}

/**
 * Gives a parked run back to the workers, with all its attempts. A run that is not parked stays as it is.
 *
 * **When to use**
 *
 * Use it after you have removed the cause, for instance a bug in `handle`. To open a run again that failed at the provider,
 * use `Agent.retry`.
 *
 * **Details**
 *
 * Fails with `RunNotFound`, with `RunLeased` while a worker holds the run, and with `StoreFailed`.
 *
 * **Example** (Retrying all parked runs)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 * import { Stream } from "effect"
 *
 * export const program = Runs.list({ parked: true }).pipe(Stream.runForEach(({ runId }) => Runs.retry(runId)))
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const retry: (runId: string) => Effect.Effect<void, AgentError, TokenStore> = Parked.retry

/**
 * Gives up a parked run: no worker reads the rest of it.
 *
 * **Details**
 *
 * The record stays, so that a call with the same run id buys nothing. The run counts as cancelled, unless it had ended
 * before. If a request of the run was never answered, the run counts as failed, and its end names that request. The next
 * worker cancels a response of the run that is still running. To delete the responses at the provider too, use
 * `Agent.remove`.
 *
 * Fails with `InvalidInput` if the run is not parked, with `RunNotFound`, with `RunLeased` while a worker holds the run,
 * and with `StoreFailed`.
 *
 * **Example** (Discarding a run)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 *
 * export const program = Runs.discard("report-2026-11")
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const discard: (runId: string) => Effect.Effect<void, AgentError, TokenStore> = Parked.discard
