import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import { LogNotFound } from "../../UpdateLogError.ts"
import { Changes } from "./changes.ts"
import type { Log } from "./port.ts"
import { bytesOf, RunLog } from "./runLog.ts"

/** A chunk, and how large its body is. */
interface Kept extends Chunk {
  readonly bytes: number
}

const plain = ({ body, count, ended, epoch, from }: Kept): Chunk => ({ from, count, epoch, ended, body })

/** The logs of one process; nothing survives it. */
export const make: Effect.Effect<Log> = Effect.sync(() => {
  const logs = new Map<RunId, RunLog<Kept>>()
  const changes = new Changes()
  const grown = ({ bytes, length }: RunLog<Kept>) => ({ bytes, length })
  const logOf = (runId: RunId, epoch: number) => logs.get(runId) ?? RunLog.empty<Kept>(runId, epoch)

  return {
    open: (runId, epoch) =>
      Effect.suspend(() =>
        Effect.fromResult(
          Result.map(logOf(runId, epoch).opened(epoch), (log) => {
            logs.set(runId, log)
            return { ...grown(log), ...(log.last === undefined ? {} : { last: plain(log.last) }) }
          })
        )
      ),
    append: (runId, chunk) =>
      Effect.suspend(() => {
        const log = logOf(runId, chunk.epoch)
        return Effect.fromResult(
          Result.map(log.judge(chunk), (verdict) => {
            if (verdict === "known") return grown(log)
            const after = log.with({ ...chunk, bytes: bytesOf(chunk.body) })
            logs.set(runId, after)
            changes.tell(runId)
            return grown(after)
          })
        )
      }),
    read: (runId, { from, limit }) =>
      Effect.gen(function* () {
        const log = logs.get(runId)
        if (log === undefined) return yield* new LogNotFound({ runId })
        const chunks = yield* Effect.fromResult(log.from(from, limit))
        const { ended, first, length } = log
        return { chunks: chunks.map(plain), first, length, ended }
      }),
    changes: (runId) => changes.of(runId),
    truncate: (runId, before) =>
      Effect.sync(() => {
        const log = logs.get(runId)
        if (log !== undefined) logs.set(runId, log.truncated(before)[0])
      }),
    remove: (runId) =>
      Effect.sync(() => {
        logs.delete(runId)
        changes.tell(runId)
      })
  }
})
