/**
 * The verbs that read the runs of a store. `Runs` exports all of them.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { AgentError } from "./AgentError.ts"
import type { AgentResponse, PendingCall } from "./AgentResponse.ts"
import * as Find from "./internal/runs/find.ts"
import * as Pending from "./internal/runs/pending.ts"
import * as Results from "./internal/runs/results.ts"
import type { RunRecord } from "./RunRecord.ts"
import type { Counts, RunFilter, TokenStore } from "./TokenStore.ts"
import type { UpdateLog } from "./UpdateLog.ts"

/**
 * Selects runs by agent, status, labels, and whether they are parked. A field that is absent selects all runs: see
 * `TokenStore.RunFilter`.
 *
 * @since 0.1.0
 * @category models
 */
export type Filter = Omit<RunFilter, "cursor" | "limit">

/**
 * Lists the records of runs, the oldest first.
 *
 * **Details**
 *
 * Without a filter it lists all runs that the store keeps. It reads `pageSize` runs of the store at a time. A run that is
 * created or changes during the listing may be missing, but no run comes twice. Fails with `StoreFailed`.
 *
 * **Example** (Printing why runs are parked)
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
 * Reads the record of a run: its journal, its lease, its labels.
 *
 * **Details**
 *
 * `RunState.statusOfRecord` computes the status of the run from the record. `Agent.poll` and `Agent.result` return its
 * output. Fails with `RunNotFound`, `InvalidInput` and `StoreFailed`.
 *
 * **Example** (Finding the worker that holds a run)
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
 * Returns the tool calls of a run that have no result yet: those that wait for approval or for a result, and those that a
 * worker runs.
 *
 * **When to use**
 *
 * Use it in a process that approves calls or gives their results, and never talks to the provider. The runs that wait are
 * those that `list({ status: ["waiting"] })` returns.
 *
 * **Details**
 *
 * A run that has ended has none. Fails with `RunNotFound`, with `InvalidInput`, and with `StoreFailed`.
 *
 * **Example** (Approving the calls of a run)
 *
 * ```ts
 * import { Agent, Runs } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const clerk = Agent.make("clerk")
 *
 * export const program = Effect.gen(function* () {
 *   for (const { approvalId } of yield* Runs.pending("refund-7")) {
 *     if (approvalId !== undefined) yield* Agent.approve(clerk, { runId: "refund-7", approvalId, by: "alice" })
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const pending: (runId: string) => Effect.Effect<ReadonlyArray<PendingCall>, AgentError, TokenStore> =
  Pending.pending

/**
 * A run that has ended, and its whole output; none if the update log does not have all of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Result {
  readonly record: RunRecord
  readonly response: Option.Option<AgentResponse>
}

/**
 * Reads the whole output of runs that have ended from the update log, the oldest run first.
 *
 * **When to use**
 *
 * Use it to collect a finished batch. The provider is not asked, so it also works after the provider forgot the responses,
 * and in a process that never talks to the provider.
 *
 * **Details**
 *
 * Runs that failed, were cancelled or expired are among them, with the output that they had until then; `status` selects.
 * `response` is none if the run has no log, or if older updates were removed from it: ask `Agent.result` for such a run.
 * Fails with `StoreFailed` and `LogFailed`.
 *
 * **Example** (Printing the reports of a batch)
 *
 * ```ts
 * import { Runs } from "@effect-baton/core"
 * import { Console, Option, Stream } from "effect"
 *
 * export const program = Runs.results({ labels: { batch: "november" }, status: ["completed"] }).pipe(
 *   Stream.runForEach(({ record, response }) =>
 *     Console.log(record.runId, Option.match(response, { onNone: () => "no log", onSome: ({ text }) => text }))
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const results: (filter?: Filter) => Stream.Stream<Result, AgentError, TokenStore | UpdateLog> = (filter = {}) =>
  Results.results(filter)

/**
 * Counts runs by status, of all agents or of one, without reading them.
 *
 * **Details**
 *
 * `parked` counts the parked runs, which are counted under their status as well. Fails with `StoreFailed`.
 *
 * **Example** (Counting the runs in the queue)
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
