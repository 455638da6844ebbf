import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { AgentError, type LeaseLost, type RunLeased, RunNotFound, StoreFailed } from "../../AgentError.ts"
import type { RunId } from "../../Run.ts"
import type { RunRecord } from "../../RunRecord.ts"
import type { Counts, RunFilter, TokenStore } from "../../TokenStore.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import { decodeRunId } from "../run/openRun.ts"
import { typedStore } from "../ports/typedStore.ts"

/** Turns a reason into an error that names the run, if there is one. */
export const failed =
  (runId?: string, agent?: string) =>
  (error: LeaseLost | TokenStoreError | RunLeased | RunNotFound): AgentError =>
    new AgentError({
      ...(runId === undefined ? {} : { runId }),
      ...(agent === undefined ? {} : { agent }),
      reason: error._tag === "TokenStoreError" ? new StoreFailed({ error }) : error
    })

/** Reads the record of a run from a store. */
export const readFrom = Effect.fnUntraced(function* (
  store: TokenStore["Service"],
  runId: RunId
): Effect.fn.Return<RunRecord, AgentError> {
  const found = yield* store.read(runId).pipe(Effect.mapError(failed(runId)))
  return Option.isSome(found) ? found.value : yield* failed(runId)(new RunNotFound({ runId }))
})

/** Reads the record of a run. */
export const read = Effect.fnUntraced(function* (runId: string): Effect.fn.Return<RunRecord, AgentError, TokenStore> {
  return yield* readFrom(yield* typedStore, yield* decodeRunId(runId))
})

/** The verb `Runs.get`. */
export const get = (runId: string): Effect.Effect<RunRecord, AgentError, TokenStore> =>
  Effect.withSpan(read(runId), "Runs.get")

/** Lists the runs that a filter selects, a page of the store at a time. */
export const list = ({
  pageSize = 100,
  ...filter
}: Omit<RunFilter, "cursor" | "limit"> & { readonly pageSize?: number }): Stream.Stream<
  RunRecord,
  AgentError,
  TokenStore
> =>
  Stream.unwrap(
    Effect.map(typedStore, (store) =>
      Stream.paginate<string | undefined, RunRecord, AgentError>(undefined, (cursor) =>
        store.list({ ...filter, limit: pageSize, ...(cursor === undefined ? {} : { cursor }) }).pipe(
          Effect.map((page) => [page.items, Option.fromUndefinedOr(page.cursor)] as const),
          Effect.mapError(failed())
        )
      )
    )
  )

/** Counts runs by status. */
export const count = Effect.fn("Runs.count")(function* (filter: {
  readonly agent?: string
}): Effect.fn.Return<Counts, AgentError, TokenStore> {
  const store = yield* typedStore
  return yield* Effect.mapError(store.count(filter), failed())
})

/** Sends a hint for the run of a response. */
export const wake = Effect.fn("Runs.wake")(function* (
  responseId: string
): Effect.fn.Return<Option.Option<RunId>, AgentError, TokenStore> {
  const store = yield* typedStore
  const found = yield* Effect.mapError(store.read({ responseId }), failed())
  if (Option.isNone(found)) return Option.none()
  const { agent, runId } = found.value
  yield* Effect.mapError(store.wake(runId), failed(runId, agent))
  return Option.some(runId)
})
