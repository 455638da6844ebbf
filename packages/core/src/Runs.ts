/**
 * All runs of a store: listing them, the workers that share them, and those that are parked.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { AgentError, InvalidInput, type LeaseLost, type RunLeased, RunNotFound, StoreFailed } from "./AgentError.ts"
import type { AgentUpdate, Delivery } from "./AgentUpdate.ts"
import type { BackgroundModel } from "./BackgroundModel.ts"
import type { Agent } from "./internal/agent.ts"
import { freshId } from "./internal/freshId.ts"
import { Journal } from "./internal/hold/journal.ts"
import { timeOf } from "./internal/hold/lease.ts"
import { decodeRunId } from "./internal/openRun.ts"
import { typedStore } from "./internal/typedStore.ts"
import * as Worker from "./internal/worker/worker.ts"
import type { WorkerRun } from "./internal/worker/workerRun.ts"
import { RunPolicy } from "./RunPolicy.ts"
import type { NewFact, RunRecord } from "./RunRecord.ts"
import * as RunState from "./RunState.ts"
import type { Lease, ReleaseOptions, RunFilter, TokenStore } from "./TokenStore.ts"
import type { TokenStoreError } from "./TokenStoreError.ts"

export type { WorkerRun } from "./internal/worker/workerRun.ts"

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
export const list = (
  filter: Omit<RunFilter, "cursor" | "limit"> & { readonly pageSize?: number } = {}
): Stream.Stream<RunRecord, AgentError, TokenStore> => {
  const { pageSize = 100, ...rest } = filter
  return Stream.unwrap(
    Effect.map(typedStore, (store) =>
      Stream.paginate<string | undefined, RunRecord, AgentError>(undefined, (cursor) =>
        store.list({ ...rest, limit: pageSize, ...(cursor === undefined ? {} : { cursor }) }).pipe(
          Effect.map((page) => [page.items, Option.fromUndefinedOr(page.cursor)] as const),
          Effect.mapError((error) => new AgentError({ reason: new StoreFailed({ error }) }))
        )
      )
    )
  )
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
 * | `maxAttempts` | a run whose `handle` failed so often in the same place is parked | 5 |
 * | `retry` | when to try a run again whose `handle` failed | from 1 s, doubling |
 * | `claimEvery` | how often the worker looks for runs, about | 500 ms |
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
 * recorded and never opened at the provider is parked if its starter is gone. If another version of the agent started the
 * run, the worker leaves it to others for a lease's time.
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
        claimEvery: Duration.fromInputUnsafe(options.claimEvery ?? "500 millis"),
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
export const retry = (runId: string): Effect.Effect<void, AgentError, TokenStore> =>
  Effect.fn("Runs.retry")(function* () {
    const record = yield* read(runId)
    if (record.parked === null) return
    yield* change(record, (_, __, { journal }) => Effect.succeed({ due: Duration.zero, seen: journal.length }))
  })()

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
export const discard = (runId: string): Effect.Effect<void, AgentError, TokenStore> =>
  Effect.fn("Runs.discard")(function* () {
    const record = yield* read(runId)
    const before = RunState.fold(record)
    if (record.parked === null) {
      if (before.delivered) return
      const description = "It is not parked, and a worker may finish it. Cancel it to end it."
      return yield* new AgentError({ runId, agent: record.agent, reason: new InvalidInput({ description }) })
    }
    yield* change(
      record,
      Effect.fnUntraced(function* (store, lease, held) {
        const journal = new Journal(held)
        while (true) {
          const { incarnation, unresolved } = journal.state()
          const own = { incarnation, by: lease.owner }
          const end: NewFact =
            unresolved.length > 0
              ? { _tag: "Ended", ...own, status: "failed", reason: "unconfirmed", unresolved }
              : { _tag: "Ended", ...own, status: "cancelled" }
          const facts: ReadonlyArray<NewFact> = [end, { _tag: "Delivered", ...own }]
          const { seen } = journal
          const answer = yield* store.commit(lease, { seen, guard: true, facts })
          journal.merge(seen, answer.facts)
          if (answer.outcome !== "written") continue
          const due = journal.state().loose.length > 0 ? Duration.zero : Duration.infinity
          return { due, seen: journal.seen }
        }
      })
    )
  })()

const read = Effect.fnUntraced(function* (runId: string) {
  const store = yield* typedStore
  const id = yield* decodeRunId(runId)
  const found = yield* store.read(id).pipe(Effect.mapError((error) => failed(runId)(error)))
  if (Option.isNone(found)) return yield* new AgentError({ runId, reason: new RunNotFound({ runId }) })
  return found.value
})

const failed = (runId: string, agent?: string) => (error: LeaseLost | TokenStoreError | RunLeased | RunNotFound) =>
  new AgentError({
    runId,
    ...(agent === undefined ? {} : { agent }),
    reason: error._tag === "TokenStoreError" ? new StoreFailed({ error }) : error
  })

/** Takes a parked run, changes it, and gives it back. */
const change = Effect.fnUntraced(function* (
  { agent, parked, runId }: RunRecord,
  f: (
    store: TokenStore["Service"],
    lease: Lease,
    record: RunRecord
  ) => Effect.Effect<Pick<ReleaseOptions, "due" | "seen">, LeaseLost | TokenStoreError>
): Effect.fn.Return<void, AgentError, TokenStore> {
  const store = yield* typedStore
  const policy = yield* RunPolicy
  const owner = `${policy.workerName ?? "Runs"}/${yield* freshId}`
  yield* Effect.gen(function* () {
    const { lease, record } = yield* store.acquire(runId, { owner, ttl: timeOf(policy) })
    const asItWas: ReleaseOptions = {
      seen: record.journal.length,
      due: Duration.infinity,
      ...(parked === null ? {} : { parked: parked.reason }),
      attempt: "keep"
    }
    const rest = yield* Effect.onError(f(store, lease, record), () => Effect.ignore(store.release(lease, asItWas)))
    yield* store.release(lease, { ...rest, attempt: "reset" })
  }).pipe(Effect.mapError(failed(runId, agent)))
})
