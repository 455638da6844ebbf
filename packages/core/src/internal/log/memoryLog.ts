import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import type { UpdateLog } from "../../UpdateLog.ts"
import { LogNotFound } from "../../UpdateLogError.ts"
import { Changes } from "./changes.ts"
import { bytesOf, RunLog } from "./runLog.ts"

interface Kept {
  readonly from: number
  readonly count: number
  readonly epoch: number
  readonly ended: boolean
  readonly bytes: number
  readonly chunk: Chunk
}

/** The logs of one process; nothing survives it. */
export const make: Effect.Effect<UpdateLog["Service"]> = Effect.sync(() => {
  const logs = new Map<RunId, RunLog<Kept>>()
  const changes = new Changes()
  const grown = ({ bytes, length }: RunLog<Kept>) => ({ bytes, length })

  return {
    open: (runId, epoch) =>
      Effect.suspend(() => {
        const log = logs.get(runId) ?? new RunLog(runId, epoch)
        logs.set(runId, log)
        return Effect.fromResult(
          Result.map(log.open(epoch), () => ({
            ...grown(log),
            ...(log.last === undefined ? {} : { last: log.last.chunk })
          }))
        )
      }),
    append: (runId, chunk) =>
      Effect.suspend(() => {
        const log = logs.get(runId) ?? new RunLog<Kept>(runId, chunk.epoch)
        return Effect.fromResult(
          Result.map(log.judge(chunk), (verdict) => {
            if (verdict._tag === "New") {
              const { count, ended, epoch, from } = chunk
              logs.set(runId, log)
              log.add({ from, count, epoch, ended, bytes: bytesOf(chunk), chunk })
              changes.tell(runId)
            }
            return grown(log)
          })
        )
      }),
    read: (runId, { from, limit }) =>
      Effect.gen(function* () {
        const log = logs.get(runId)
        if (log === undefined) return yield* new LogNotFound({ runId })
        const chunks = yield* Effect.fromResult(log.from(from, limit))
        const { ended, first, length } = log
        return { chunks: chunks.map(({ chunk }) => chunk), first, length, ended }
      }),
    changes: (runId) => changes.of(runId),
    truncate: (runId, before) => Effect.sync(() => void logs.get(runId)?.truncate(before)),
    remove: (runId) =>
      Effect.sync(() => {
        logs.delete(runId)
        changes.tell(runId)
      })
  }
})
