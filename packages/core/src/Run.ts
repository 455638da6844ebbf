/**
 * The name and the state of a run: one task given to an agent.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const utf8 = new TextEncoder()

/**
 * The longest `RunId`, in bytes of UTF-8, so that a continuation token stays below one kilobyte.
 *
 * @since 0.1.0
 * @category models
 */
export const maxRunIdBytes = 128

/**
 * The name of a run, and its idempotency key: the same id with the same input again continues the run.
 *
 * **When to use**
 *
 * Give one when a task must be paid for once, however often your program is repeated: an order number, a job id.
 *
 * **Details**
 *
 * 1 to 128 bytes of UTF-8 without slashes (`runId/callId` names a tool call) and without control characters.
 *
 * **Example** (Naming a run)
 *
 * ```ts
 * import { Run } from "@effect-baton/core"
 *
 * Run.RunId.make("report-2026-11") // => "report-2026-11"
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const RunId = Schema.String.pipe(
  Schema.check(
    Schema.makeFilter(
      (id: string) =>
        id.length > 0 &&
        id.length <= maxRunIdBytes &&
        utf8.encode(id).length <= maxRunIdBytes &&
        id.isWellFormed() &&
        !/[/\p{Cc}]/u.test(id),
      { expected: `a run id of 1 to ${maxRunIdBytes} bytes without slashes and control characters` }
    )
  ),
  Schema.brand("@effect-baton/core/RunId")
)

/**
 * The type of `RunId`: a branded string.
 *
 * @since 0.1.0
 * @category models
 */
export type RunId = typeof RunId.Type

/**
 * Where a run stands. `queued`, `in_progress` and `waiting` are under way; the rest are ends.
 *
 * **Details**
 *
 * A run that is `waiting` goes on when somebody decides: its tool calls wait for an approval or a result, or it reached a
 * limit. `completed` and `incomplete` (a limit or a content filter cut the output short) end a run's stream; `failed`,
 * `cancelled` and `expired` (the provider no longer knows the response) fail it.
 *
 * @since 0.1.0
 * @category models
 */
export const RunStatus = Schema.Literals([
  "queued",
  "in_progress",
  "waiting",
  "completed",
  "incomplete",
  "failed",
  "cancelled",
  "expired"
])

/**
 * The type of `RunStatus`.
 *
 * @since 0.1.0
 * @category models
 */
export type RunStatus = typeof RunStatus.Type

/**
 * Tells whether a status is an end: nothing comes after it.
 *
 * **Example** (Telling an end)
 *
 * ```ts
 * import { Run } from "@effect-baton/core"
 *
 * Run.isOver("queued") // => false
 * Run.isOver("incomplete") // => true
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isOver = (status: RunStatus): boolean =>
  status !== "in_progress" && status !== "queued" && status !== "waiting"

/**
 * Where a run stands in an order: by a number, and by its id among those of the same number.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  readonly at: number
  readonly id: RunId
}
