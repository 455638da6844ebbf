/**
 * All runs of a store: listing them, the workers that share them, and those that workers set aside.
 *
 * @since 0.1.0
 */
import { type Context, Duration, Effect, Layer, Option, Schedule, Stream } from "effect"
import type { Agent } from "./Agent.ts"
import { AgentError, InvalidInput, StoreFailed } from "./AgentError.ts"
import type { AgentUpdate } from "./AgentUpdate.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import { hold } from "./internal/advance.ts"
import type { HeldRun } from "./internal/heldRun.ts"
import { decodeRunId } from "./internal/openRun.ts"
import * as Worker from "./internal/worker.ts"
import type { RunId } from "./Run.ts"
import { RunPolicy } from "./RunPolicy.ts"
import * as RunRecord from "./RunRecord.ts"
import { type RunFilter, TokenStore } from "./TokenStore.ts"

/**
 * Lists runs, the oldest first, a page of the store at a time.
 *
 * **Details**
 *
 * Without a filter: all runs that the store keeps. `stage` is the filter that costs least. A run that is created or
 * ends meanwhile may or may not be among them, and none comes twice.
 *
 * **Example** (What is set aside, and why)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 * import { Console, Stream } from "effect"
 *
 * export const program = Runs.list({ stage: "set aside" }).pipe(
 *   Stream.runForEach((run) => Console.log(`${run.runId}: ${run.setAside?.reason}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const list = (
  filter: Omit<RunFilter, "cursor" | "limit"> & { readonly pageSize?: number } = {}
): Stream.Stream<RunRecord.RunRecord, AgentError, TokenStore> => {
  const { pageSize = 100, ...rest } = filter
  return Stream.unwrap(
    Effect.map(TokenStore, (store) =>
      Stream.paginate<string | undefined, RunRecord.RunRecord, AgentError>(undefined, (cursor) =>
        store.list({ ...rest, limit: pageSize, ...(cursor === undefined ? {} : { cursor }) }).pipe(
          Effect.map((page) => [page.items, Option.fromUndefinedOr(page.cursor)] as const),
          Effect.mapError((error) => new AgentError({ reason: new StoreFailed({ error }) }))
        )
      )
    )
  )
}

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
export interface WorkerRun {
  readonly agent: Agent
  readonly runId: RunId
  readonly attempt: number
  readonly updates: Stream.Stream<AgentUpdate, AgentError>
}

/**
 * How a worker works.
 *
 * **Details**
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `handle` | consumes a run's updates | |
 * | `concurrency` | how many runs the worker has at once | |
 * | `attempts` | a run that failed `handle` so often in the same place is set aside | 5 |
 * | `retry` | when to try a run again that failed `handle`; it stays with this worker meanwhile | from 1 s, doubling |
 * | `every` | how often the worker looks for runs, about | 500 ms |
 * | `startWithin` | it looks for the first time at random within this time | 1 s |
 * | `acknowledge` | as in `Agent.StreamOptions` | `"pull"` |
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerOptions<E, R> {
  readonly handle: (run: WorkerRun) => Effect.Effect<unknown, E, R>
  readonly concurrency: number
  readonly attempts?: number
  readonly retry?: Schedule.Schedule<unknown>
  readonly every?: Duration.Input
  readonly startWithin?: Duration.Input
  readonly acknowledge?: "pull" | "manual"
}

/**
 * A worker: takes runs that are unfinished and that nobody advances, the oldest first, and gives each one's updates to
 * `handle`.
 *
 * **When to use**
 *
 * In the processes of a service that shall finish all runs, whoever started them, however often processes come and go.
 *
 * **Details**
 *
 * A run is finished when `handle` has succeeded, and not before: its last position is written then. A `handle` that
 * succeeds before the run is over is done with it; the worker sees the run to its end. A run that failed, or was
 * cancelled, fails `updates`: where `handle` lets that pass, the run is finished too, with its status.
 *
 * Where `handle` fails, or takes its process along, the run is tried again from its last position; after `attempts` in
 * the same place it is set aside, with the reason, and workers leave it alone: see `retry` and `discard`. A run that was
 * recorded and never opened at the provider is set aside when its starter is gone. Where the store or the provider fails,
 * or another version of the agent started the run, the worker leaves it to others for a lease's time.
 *
 * When the layer's scope closes (`SIGTERM` under `NodeRuntime.runMain`), each `handle` gets no further update, and is
 * interrupted while it waits for one; after `RunPolicy.finishWithin` wherever it is. Runs are free for others at once.
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
export const worker = <E, R>(
  agents: ReadonlyArray<Agent>,
  options: WorkerOptions<E, R>
): Layer.Layer<never, never, BackgroundModel | TokenStore | R> =>
  Layer.effectDiscard(
    Effect.contextWith((context: Context.Context<R>) =>
      Worker.make(agents, {
        handle: (run) => Effect.provideContext(options.handle(run), context),
        concurrency: options.concurrency,
        attempts: options.attempts ?? 5,
        retry: options.retry ?? Schedule.exponential("1 second"),
        every: Duration.fromInputUnsafe(options.every ?? "500 millis"),
        startWithin: Duration.fromInputUnsafe(options.startWithin ?? "1 second"),
        ...(options.acknowledge === undefined ? {} : { acknowledge: options.acknowledge })
      })
    )
  )

/**
 * Gives a run that was set aside back to the workers. A run that is not set aside is left as it is.
 *
 * **Details**
 *
 * Fails with `RunNotFound`, with `RunLeased` while somebody advances the run, and with `StoreFailed`.
 *
 * @since 0.1.0
 * @category verbs
 */
export const retry = (runId: string): Effect.Effect<void, AgentError, TokenStore> =>
  change(runId, (held) =>
    Effect.suspend(() => {
      if (RunRecord.stage(held.record) !== "set aside") return Effect.void
      held.work({ attempts: 0, setAside: null })
      return held.flush
    })
  )

/**
 * Gives up a run that was set aside: nobody reads the rest of it. Its record stays, so that its id buys nothing anew, and
 * counts as cancelled unless the run had ended; at the provider nothing changes (see `Agent.cancel` and `Agent.remove`).
 *
 * **Details**
 *
 * Fails with `InvalidInput` where the run is not set aside, with `RunNotFound`, with `RunLeased` while somebody advances
 * the run, and with `StoreFailed`.
 *
 * @since 0.1.0
 * @category verbs
 */
export const discard = (runId: string): Effect.Effect<void, AgentError, TokenStore> =>
  change(runId, (held) =>
    Effect.suspend(() => {
      const { record } = held
      if (RunRecord.stage(record) === "finished") return Effect.void
      if (RunRecord.stage(record) === "unfinished") {
        const description = `Run '${runId}' is not set aside, and a worker may finish it. Cancel it to end it.`
        return Effect.fail(new AgentError({ runId, reason: new InvalidInput({ description }) }))
      }
      held.work({ setAside: null })
      held.finish(RunRecord.ended(record) ?? { _tag: "Ended", status: "cancelled" })
      return held.flush
    })
  )

const change = (
  runId: string,
  f: (held: HeldRun) => Effect.Effect<void, AgentError>
): Effect.Effect<void, AgentError, TokenStore> =>
  Effect.gen(function* () {
    const store = yield* TokenStore
    const policy = yield* RunPolicy
    yield* f(yield* hold({ runId: yield* decodeRunId(runId), store, policy }))
  }).pipe(Effect.scoped)
