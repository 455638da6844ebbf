/**
 * All runs of a store: looking at them, waiting for them, the workers that share them, and those that are parked.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import type { AgentError } from "./AgentError.ts"
import type { AgentUpdate, Delivery } from "./AgentUpdate.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import type { Agent } from "./AgentDefinition.ts"
import * as Cancelling from "./internal/runs/cancel.ts"
import * as Find from "./internal/runs/find.ts"
import * as Parked from "./internal/runs/parked.ts"
import * as Waiting from "./internal/runs/wait.ts"
import * as Worker from "./internal/worker/worker.ts"
import type { WorkerRun } from "./WorkerRun.ts"
import type { RunId } from "./Run.ts"
import type { RunRecord } from "./RunRecord.ts"
import type { Counts, RunFilter, TokenStore } from "./TokenStore.ts"

export type { WorkerRun } from "./WorkerRun.ts"

/**
 * Which runs: those of an agent, that stand there, that are parked or not, that have all these labels. What is absent does not
 * matter. See `TokenStore.RunFilter`.
 *
 * @since 0.1.0
 * @category models
 */
export type Filter = Omit<RunFilter, "cursor" | "limit">

/**
 * Lists runs, the oldest first, a page of the store at a time.
 *
 * **Details**
 *
 * Without a filter: all runs that the store keeps. A run that is created or ends meanwhile may or may not be among them,
 * and none comes twice. Fails with `StoreFailed`.
 *
 * **Example** (What is parked, and why)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 * import { Console, Stream } from "effect"
 *
 * export const program = Runs.list({ parked: true }).pipe(
 *   Stream.runForEach((run) => Console.log(`${run.runId}: ${run.parked?.reason}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const list: (
  filter?: Filter & { readonly pageSize?: number }
) => Stream.Stream<RunRecord, AgentError, TokenStore> = (filter = {}) => Find.list(filter)

/**
 * Reads a run's record: where it stands, who holds it, what its labels are.
 *
 * **Details**
 *
 * `RunState.statusOfRecord` tells its status. Fails with `RunNotFound`, `InvalidInput` and `StoreFailed`. For its output see
 * `Agent.poll` and `Agent.result`.
 *
 * **Example** (Who has it?)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.map(Runs.get("report-2026-11"), ({ lease }) => lease?.owner ?? "nobody")
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const get: (runId: string) => Effect.Effect<RunRecord, AgentError, TokenStore> = Find.get

/**
 * Counts runs by where they stand, all of them or those of one agent, without reading them.
 *
 * **Details**
 *
 * `parked` counts those that workers leave alone; they are counted by their status too. Fails with `StoreFailed`.
 *
 * **Example** (How long is the queue?)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * export const program = Effect.map(Runs.count({ agent: "analyst" }), ({ parked, queued }) => queued - parked)
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const count: (filter?: { readonly agent?: string }) => Effect.Effect<Counts, AgentError, TokenStore> = (
  filter = {}
) => Find.count(filter)

/**
 * Waits until a run has ended, or until its record is as `until` wants it, and answers the record.
 *
 * **When to use**
 *
 * In a process that never talks to the provider. Workers, or whoever else advances the run, bring it there: a run that
 * nobody advances is waited for without end, so give it a timeout.
 *
 * **Details**
 *
 * It reads the record when something came for the run, and every second. It goes on while the store is away. Fails with
 * `RunNotFound` if there is no such run, or none any more, with `InvalidInput`, and with `StoreFailed` if another read cannot
 * help.
 *
 * **Example** (Until a worker is done with it)
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
 * Tells all who wait for the run of a response to look at once, and answers its run id: none if no run has this response.
 *
 * **When to use**
 *
 * When a webhook says that a response ended: `Agent.result` and others look now, not at their next poll.
 *
 * **Details**
 *
 * It changes nothing, and can be repeated. Like any hint it may get lost: they look at their next poll then. Fails with
 * `StoreFailed`.
 *
 * **Example** (A webhook)
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
 * Asks for the end of all runs of a filter that have not ended, and answers how many they are.
 *
 * **When to use**
 *
 * To stop many runs, from a process that need not know the provider. `Agent.cancel` stops one, and follows it to its end.
 *
 * **Details**
 *
 * It records the wish. Whoever holds a run carries it out at once, and a worker those that nobody holds, parked ones too. A
 * run that nobody has opened ends without buying anything. It may be repeated, and may have recorded some if it fails, which
 * it does with `StoreFailed`. An empty filter means all runs.
 *
 * **Example** (All of one customer)
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
 * How a worker works.
 *
 * **Details**
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `handle` | consumes a run's updates | |
 * | `concurrency` | how many runs the worker has at once | |
 * | `maxAttempts` | a run whose `handle` failed so often in the same place is parked | 5 |
 * | `retry` | when to try a run again whose `handle` failed | from 1 s, doubling |
 * | `claimEvery` | how often it looks for runs that no hint told of, about: at one shard of the store after the other | 1 s |
 * | `startJitter` | it looks for the first time at random within this time | 1 s |
 * | `acknowledge` | as in `Agent.StreamOptions`: with `"manual"` the updates are `AgentUpdate.Delivery` | `"pull"` |
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerOptions<E, R, Element = AgentUpdate> {
  readonly handle: (run: WorkerRun<Element>) => Effect.Effect<unknown, E, R>
  readonly concurrency: number
  readonly maxAttempts?: number
  readonly retry?: Schedule.Schedule<unknown>
  readonly claimEvery?: Duration.Input
  readonly startJitter?: Duration.Input
}

/**
 * A worker: takes runs that are work and that nobody holds, those that were due first coming first, and gives each one's
 * updates to `handle`.
 *
 * **When to use**
 *
 * In the processes of a service that must finish all runs, whoever started them, however often processes come and go.
 *
 * **Details**
 *
 * A run is finished when `handle` has succeeded, and not before: its last position is written then. If `handle` succeeds
 * before the run is over, it is done with it, and the worker sees the run to its end. A run that failed, or was
 * cancelled, fails `updates`: if `handle` lets that pass, the run is finished too, with its status.
 *
 * If `handle` fails, or takes its process along, the run is tried again from its last position, by any worker. After
 * `maxAttempts` in the same place it is parked, with the reason, and workers leave it alone: see `retry` and `discard`. A
 * worker that is stopped, that lost its lease, or whose store or provider failed gives its attempt back. A run that was
 * recorded and never opened at the provider is parked if its starter is gone, unless `Agent.enqueue` kept its input: then the
 * worker opens it. If another version of the agent started the run, the worker leaves it to others for a lease's time.
 *
 * A run that is over before any worker took it, as `Agent.poll` or `Agent.result` saw its end, is no work: `handle` does
 * not get it.
 *
 * When the layer's scope closes (`SIGTERM` under `NodeRuntime.runMain`), each `handle` gets no further update, and is
 * interrupted while it waits for one; after `RunPolicy.closeTimeout` wherever it is. Runs are free for others at once.
 *
 * **Gotchas**
 *
 * `handle` sees an update again that it was not done with, and only what comes after those that it was: keep what you
 * need of each update as it comes, or read the whole output with `Agent.result` at the end.
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
export function worker<E, R>(
  agents: ReadonlyArray<Agent>,
  options: WorkerOptions<E, R, Delivery> & { readonly acknowledge: "manual" }
): Layer.Layer<never, never, BackgroundModel | TokenStore | R>
export function worker<E, R>(
  agents: ReadonlyArray<Agent>,
  options: WorkerOptions<E, R> & { readonly acknowledge?: "pull" }
): Layer.Layer<never, never, BackgroundModel | TokenStore | R>
export function worker<E, R>(
  agents: ReadonlyArray<Agent>,
  options: WorkerOptions<E, R, never> & { readonly acknowledge?: "pull" | "manual" }
): Layer.Layer<never, never, BackgroundModel | TokenStore | R> {
  return Layer.effectDiscard(
    Effect.contextWith((context: Context.Context<R>) =>
      Worker.make(agents, {
        // Which elements the updates have follows from `acknowledge`, as the types above say.
        handle: (run) => Effect.provideContext(options.handle(run as WorkerRun<never>), context),
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
 * Gives a run that is parked back to the workers, with all its attempts. A run that is not parked is left as it is.
 *
 * **When to use**
 *
 * After the cause is gone: `handle` is mended, say. To open a run again that failed at the provider, use `Agent.retry`.
 *
 * **Details**
 *
 * Fails with `RunNotFound`, with `RunLeased` while somebody holds the run, and with `StoreFailed`.
 *
 * **Example** (All runs that are parked)
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
 * Gives up a run that is parked: nobody reads the rest of it. Its record stays, so that its id buys nothing again, and
 * counts as cancelled unless the run had ended. A response of it that still runs is cancelled by the next worker.
 *
 * **Details**
 *
 * If a request of the run was never answered, the run counts as failed, and its end names the request. Fails with
 * `InvalidInput` if the run is not parked, with `RunNotFound`, with `RunLeased` while somebody holds the run, and with
 * `StoreFailed`. To delete what is at the provider too, use `Agent.remove`.
 *
 * **Example** (Giving one run up)
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
