import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type AgentError, LogFailed, TokenInvalid } from "../../AgentError.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { RunId } from "../../Run.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import type { Chunk, Opened, Page, UpdateLog } from "../../UpdateLog.ts"
import { type LogNotFound, type LogTruncated, UpdateLogError } from "../../UpdateLogError.ts"
import { Offsets } from "../follow/position.ts"
import * as Backoff from "../primitives/backoff.ts"
import * as Open from "../run/openRun.ts"
import { Trouble } from "../telemetry/trouble.ts"
import * as ChunkBody from "./chunkBody.ts"
import type { Entry } from "./feed.ts"

/** A run whose log is used here. */
export interface Logged {
  readonly log: UpdateLog["Service"]
  readonly runId: RunId
  readonly agent: string
  readonly policy: RunPolicy
  /** Whether token objects are accepted only if this process made them. */
  readonly sealed: boolean
  readonly errorOf: (reason: AgentError["reason"]) => AgentError
}

/** An open run, as the modules of this folder see it. */
export const loggedOf = (run: Open.OpenRun, log: UpdateLog["Service"]): Logged => ({
  log,
  runId: run.runId,
  agent: run.agent.name,
  policy: run.policy,
  sealed: run.sealed,
  errorOf: Open.errorOf(run)
})

/** A place in a log: a number of updates, and the epoch of the chunk with the last of them, if it is known. */
export interface Place {
  readonly offset: number
  readonly epoch?: number | undefined
}

/** How many chunks are read at once. */
export const pageSize = 64

const corrupt = (runId: RunId, cause: unknown): UpdateLogError =>
  new UpdateLogError({
    operation: "read",
    kind: "corrupt",
    description: `a chunk of the log of run '${runId}' cannot be read. Another program changed it, or a later version wrote it`,
    cause
  })

/** The run has ended well, and its log ends before that. */
export const lostEnd = (runId: RunId, length: number): LogFailed =>
  new LogFailed({
    error: new UpdateLogError({
      operation: "read",
      kind: "corrupt",
      description:
        `run '${runId}' has ended, and its log has lost its end: ${length} updates are left. ` +
        "Agent.result has the whole output as long as the provider has it"
    })
  })

/** Repeats an operation of the log on the schedule `reconnect` while the log cannot be reached. */
export const persistently = <A, E>(
  { agent, errorOf, policy, runId }: Pick<Logged, "agent" | "errorOf" | "policy" | "runId">,
  what: string,
  operation: Effect.Effect<A, E | UpdateLogError>
): Effect.Effect<A, AgentError | Exclude<E, UpdateLogError>> => {
  const isOfLog = (error: E | UpdateLogError): error is UpdateLogError => error instanceof UpdateLogError
  return Effect.suspend(() => {
    const trouble = new Trouble({ runId, agent })
    const pace = new Backoff.Backoff(policy.reconnect)
    const attempt: Effect.Effect<A, AgentError | Exclude<E, UpdateLogError>> = Effect.catch(operation, (error) => {
      if (!isOfLog(error)) return Effect.fail(error as Exclude<E, UpdateLogError>)
      const failed = Effect.fail(errorOf(new LogFailed({ error })))
      if (!error.isRetryable) return failed
      return trouble.began(`${what}; this is tried again`, error.message).pipe(
        Effect.andThen(pace.wait(error)),
        Effect.flatMap((isPatient) => (isPatient ? attempt : failed))
      )
    })
    return Effect.tap(attempt, trouble.ended())
  })
}

type Missing = LogNotFound | LogTruncated

/** Reads chunks of the log. */
export const read = (logged: Logged, from: number, limit: number): Effect.Effect<Page, AgentError | Missing> =>
  persistently(logged, "the log of a run could not be read", logged.log.read(logged.runId, { from, limit }))

/** Reads the updates of a chunk. Their tokens belong to this incarnation, or to that in which the chunk was written. */
export const entryOf = (logged: Logged, chunk: Chunk, incarnation?: number): Effect.Effect<Entry, AgentError> => {
  const { agent, runId, sealed } = logged
  const { epoch, from } = chunk
  return decoded(
    logged,
    Result.flatMap(ChunkBody.open(chunk.body), (body) => {
      const known = incarnation ?? ChunkBody.incarnationOf(body)
      const offsets = new Offsets({ agent, runId, incarnation: known, epoch, sealed })
      return ChunkBody.decode(runId, body, from, (offset, status) => offsets.at(offset, status))
    }),
    ({ updates }): Entry => ({ from, epoch, updates, length: chunk.body.length })
  )
}

const decoded = <A, B>(
  { errorOf, runId }: Logged,
  result: Result.Result<A, ChunkBody.BodyInvalid>,
  use: (value: A) => B
): Effect.Effect<B, AgentError> =>
  Result.isSuccess(result)
    ? Effect.succeed(use(result.success))
    : Effect.fail(errorOf(new LogFailed({ error: corrupt(runId, result.failure) })))

/** Fails if the log has other updates before a place than those that were read there. */
export const verify = Effect.fnUntraced(function* (
  logged: Logged,
  { epoch, offset }: Place
): Effect.fn.Return<void, AgentError> {
  if (offset === 0 || epoch === undefined) return
  const { errorOf } = logged
  const page = yield* read(logged, offset - 1, 1).pipe(
    Effect.catchTags({
      // Whether this was the update is no longer known, and everything after it is there.
      LogTruncated: (error) => (error.first <= offset ? Effect.undefined : Effect.fail(errorOf(error))),
      LogNotFound: () => Effect.undefined
    })
  )
  if (page === undefined) return
  const [chunk] = page.chunks
  const isSame = chunk === undefined ? !page.ended : chunk.epoch === epoch
  if (!isSame) return yield* errorOf(rewritten(offset))
})

const rewritten = (offset: number): TokenInvalid =>
  new TokenInvalid({
    kind: "rewritten",
    description:
      `the update log lost updates before offset ${offset}, and has others there now. ` +
      "Forget the updates that you have, and read the run from its start"
  })

/** The part of a place that the log still has: the same place, or that at which the log was written again. */
export const survives = Effect.fnUntraced(function* (
  logged: Logged,
  { length }: Pick<Opened, "length">,
  place: Place
): Effect.fn.Return<Place, AgentError> {
  const { epoch } = place
  let offset = Math.min(place.offset, length)
  if (epoch === undefined) return { offset }
  while (offset > 0) {
    const page = yield* read(logged, offset - 1, 1).pipe(
      Effect.catchTag(["LogTruncated", "LogNotFound"], () => Effect.undefined)
    )
    const chunk = page?.chunks[0]
    if (chunk === undefined) return { offset }
    if (chunk.epoch <= epoch) return { offset, epoch: chunk.epoch }
    offset = chunk.from
  }
  return { offset }
})

/** The position in the run from which the writer of a chunk went on. */
export const positionAfter = (logged: Logged, chunk: Chunk): Effect.Effect<ContinuationToken, AgentError> => {
  const { agent, runId } = logged
  const offset = chunk.from + chunk.count
  const position = Result.flatMap(ChunkBody.open(chunk.body), (body) =>
    ChunkBody.positionAfter(agent, runId, body, offset)
  )
  return decoded(logged, position, (token) => token)
}
