/**
 * The name and the state of a run: one task given to an agent.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const utf8 = new TextEncoder()

/**
 * The length of the longest `RunId`, in bytes of UTF-8. It keeps continuation tokens below one kilobyte.
 *
 * @since 0.1.0
 * @category models
 */
export const maxRunIdBytes = 128

/**
 * The name of a run, and its idempotency key: a call with the same id and the same input continues the run.
 *
 * **When to use**
 *
 * Give an id, such as an order number, if a task must be paid for only once, however often your program is repeated.
 *
 * **Details**
 *
 * A `RunId` has 1 to 128 bytes of UTF-8, no slashes (`runId/callId` names a tool call) and no control characters.
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
 * @category schemas
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
 * The status of a run. A run that is `queued`, `in_progress` or `waiting` is under way; with all others it has ended.
 *
 * **Details**
 *
 * A run that is `waiting` goes on after its caller has approved a tool call, given a call's result, or raised a limit.
 * `completed` and `incomplete` (a limit or a content filter cut the output short) end a run's stream. `failed`, `cancelled`
 * and `expired` (the provider no longer has the response) fail it.
 *
 * @since 0.1.0
 * @category schemas
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
 * What a run with status `waiting` waits for: that somebody approves a tool call, gives the result of a tool call, or raises
 * a limit.
 *
 * @since 0.1.0
 * @category schemas
 */
export const WaitingFor = Schema.Literals(["approval", "deferred", "limit"])

/**
 * The type of `WaitingFor`.
 *
 * @since 0.1.0
 * @category models
 */
export type WaitingFor = typeof WaitingFor.Type

/**
 * The name of a limit of a run: see `RunRecord.Limits`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const LimitName = Schema.Literals(["turns", "toolCalls", "tokens", "time", "cost"])

/**
 * The type of `LimitName`.
 *
 * @since 0.1.0
 * @category models
 */
export type LimitName = typeof LimitName.Type

/**
 * Whether a run with this status has ended.
 *
 * **Example** (Checking for an end)
 *
 * ```ts
 * import { Run } from "@effect-baton/core"
 *
 * Run.isOver("queued") // => false
 * Run.isOver("incomplete") // => true
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const isOver = (status: RunStatus): boolean =>
  status !== "in_progress" && status !== "queued" && status !== "waiting"

/**
 * The place of a run in a listing: runs are ordered by the number `at`, and runs with the same number by id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  readonly at: number
  readonly id: RunId
}
