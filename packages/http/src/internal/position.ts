import { AgentError, LogFailed, LogMissing } from "@effect-baton/core/AgentError"
import * as ContinuationToken from "@effect-baton/core/ContinuationToken"
import { isOver } from "@effect-baton/core/Run"
import type { RunRecord } from "@effect-baton/core/RunRecord"
import * as RunState from "@effect-baton/core/RunState"
import { UpdateLog } from "@effect-baton/core/UpdateLog"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidRequest, RunNotLogged, RunTruncated, TokenRefused } from "../RunProblem.ts"
import { refuseRead } from "./problems.ts"
import type { After } from "./viewer.ts"

/** How a request names the update after which it begins. */
export interface Named {
  readonly lastEventId: string | undefined
  readonly after?: string
  readonly token?: string
}

// Up to 16 digits, as the epochs of a Redis server have.
const natural = "(0|[1-9]\\d{0,15})"
const idForm = new RegExp(`^${natural}\\.${natural}$`)
const offsetForm = new RegExp(`^${natural}$`)

const read = (id: string): After | undefined => {
  const [, offset, epoch] = idForm.exec(id) ?? []
  return offset === undefined ? undefined : { offset: Number(offset), epoch: Number(epoch) }
}

const noId = "The id of an event is two numbers: <offset>.<epoch>."

/**
 * The place that a request names; undefined for the start. A reconnecting `EventSource` sends its last id and the URL that it
 * was made with, so the id goes first.
 */
export const placeOf = Effect.fnUntraced(function* (
  record: RunRecord,
  { after, lastEventId, token }: Named
): Effect.fn.Return<After | undefined, InvalidRequest | TokenRefused> {
  if (lastEventId !== undefined && lastEventId !== "") {
    return read(lastEventId) ?? (yield* new InvalidRequest({ detail: noId }))
  }
  if (after !== undefined && token !== undefined) {
    return yield* new InvalidRequest({ detail: "Give either `after` or `token`." })
  }
  if (after !== undefined) {
    // Whoever was told where a log begins has no id of the update before.
    if (offsetForm.test(after)) return { offset: Number(after) }
    return read(after) ?? (yield* new InvalidRequest({ detail: noId }))
  }
  return token === undefined ? undefined : yield* placeOfToken(record, token)
})

const placeOfToken = Effect.fnUntraced(function* (
  record: RunRecord,
  text: string
): Effect.fn.Return<After | undefined, TokenRefused> {
  const token = yield* Effect.mapError(ContinuationToken.decode(text), ({ kind }) => new TokenRefused({ kind }))
  if (token.runId !== record.runId || token.agent !== record.agent)
    return yield* new TokenRefused({ kind: "other-run" })
  if (token.incarnation !== RunState.fold(record).incarnation) return yield* new TokenRefused({ kind: "outdated" })
  if (token.offset === 0) return undefined
  return { offset: token.offset, ...(token.epoch === undefined ? {} : { epoch: token.epoch }) }
})

/**
 * What the log says of a place, before the first byte of the response:
 *
 * - `open`: the viewer goes on from there.
 * - `reset`: the log has something else there now, or has ended before: the viewer begins again.
 * - `nothing`: the run has ended, and the viewer has all of it.
 */
type Found = "open" | "reset" | "nothing"

/** Looks up a place in the log. */
export const look = Effect.fnUntraced(function* (record: RunRecord, place: After | undefined) {
  if (record.logged !== true) return yield* new RunNotLogged()
  const { agent, runId } = record
  const log = yield* Effect.serviceOption(UpdateLog)
  if (Option.isNone(log)) return yield* refuseRead(new AgentError({ agent, runId, reason: new LogMissing() }))
  const hasEnded = isOver(RunState.statusOfRecord(record))
  const { epoch, offset = 0 } = place ?? {}
  const pageAt = (from: number) =>
    log.value.read(runId, { from, limit: 1 }).pipe(
      Effect.map((page) => ({ page, first: page.first })),
      Effect.catchTags({
        LogNotFound: () => Effect.succeed({ page: undefined, first: 0 }),
        LogTruncated: ({ first }) => Effect.succeed({ page: undefined, first }),
        UpdateLogError: (error) => refuseRead(new AgentError({ agent, runId, reason: new LogFailed({ error }) }))
      })
    )

  const { first, page } = yield* pageAt(Math.max(0, offset - 1))
  if (first > offset) return yield* new RunTruncated({ first })
  if (offset === 0) return "open" satisfies Found
  // Only the update before is gone, which this viewer has: nobody can compare it.
  if (first === offset && page === undefined) return "open" satisfies Found
  const again = first > 0 ? new RunTruncated({ first }) : Effect.succeed("reset" satisfies Found)
  if (page === undefined) return hasEnded ? yield* again : ("open" satisfies Found)
  const [chunk] = page.chunks
  if (chunk === undefined) return page.ended ? yield* again : ("open" satisfies Found)
  if (epoch !== undefined && chunk.epoch !== epoch) return yield* again
  return hasEnded && page.ended && page.length === offset ? ("nothing" satisfies Found) : ("open" satisfies Found)
})
