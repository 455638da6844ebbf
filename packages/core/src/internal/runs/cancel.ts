import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AgentError } from "../../AgentError.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import { isOver, RunStatus } from "../../Run.ts"
import * as RunState from "../../RunState.ts"
import type { RunFilter, TokenStore } from "../../TokenStore.ts"
import { typedStore } from "../ports/typedStore.ts"
import { failed, list } from "./find.ts"

/** The statuses of runs that have not ended. */
const open = RunStatus.literals.filter((status) => !isOver(status))

/** How many cancels are recorded at the same time. */
const atOnce = 16

/** Records a cancel of each run that the filter selects and that has not ended. Returns their number. */
export const cancel = Effect.fn("Runs.cancel")(function* (
  filter: Omit<RunFilter, "cursor" | "limit">
): Effect.fn.Return<number, AgentError, TokenStore> {
  const store = yield* typedStore
  const by = (yield* RunPolicy).workerName ?? "Runs.cancel"
  const { status = open } = filter
  return yield* list({ ...filter, status: status.filter((at) => !isOver(at)) }).pipe(
    Stream.mapEffect(
      (record) => {
        const { agent, journal, runId } = record
        const { incarnation } = RunState.fold(record)
        return store.record(runId, { _tag: "CancelRequested", incarnation, by }, journal.length).pipe(
          Effect.as(1),
          // The run was removed meanwhile.
          Effect.catchTag("Gone", () => Effect.succeed(0)),
          Effect.mapError(failed(runId, agent))
        )
      },
      { concurrency: atOnce, unordered: true }
    ),
    Stream.runFold(
      () => 0,
      (sum, one) => sum + one
    )
  )
})
