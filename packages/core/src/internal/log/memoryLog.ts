import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import { LogNotFound, type LogTruncated } from "../../UpdateLogError.ts"
import { Changes } from "./changes.ts"
import * as Forgetting from "./forgetting.ts"
import type { Log } from "./port.ts"
import { bytesOf, RunLog } from "./runLog.ts"

/** A chunk, and the size of its body. */
interface Kept extends Chunk {
  readonly bytes: number
}

interface Dated extends Forgetting.Dated {
  readonly log: RunLog<Kept>
}

const plain = ({ body, count, ended, epoch, from }: Kept): Chunk => ({ from, count, epoch, ended, body })
const grown = ({ bytes, length }: RunLog<Kept>) => ({ bytes, length })

/** The logs of one process, which end with it. */
export const make = (kept: Duration.Duration): Effect.Effect<Log> =>
  Effect.sync(() => {
    const retention = Duration.toMillis(kept)
    // In the order in which they were last used.
    const logs = new Map<RunId, Dated>()
    const changes = new Changes()

    const remove = (runId: RunId) => {
      logs.delete(runId)
      changes.tell(runId)
    }
    const find = (runId: RunId, now: number): Dated | undefined => {
      const found = logs.get(runId)
      if (found === undefined || !Forgetting.isForgotten(found, retention, now)) return found
      remove(runId)
      return undefined
    }
    const logOf = (runId: RunId, epoch: number, now: number) =>
      find(runId, now)?.log ?? RunLog.empty<Kept>(runId, epoch)
    const use = (runId: RunId, log: RunLog<Kept>, now: number) => {
      Forgetting.put(logs, runId, { log, usedAt: now })
      for (const other of Forgetting.forgottenIn(logs, retention, now)) remove(other)
    }
    const at = <A, E>(f: (now: number) => Result.Result<A, E>): Effect.Effect<A, E> =>
      Clock.clockWith((clock) => Effect.fromResult(f(clock.currentTimeMillisUnsafe())))

    return {
      open: (runId, epoch) =>
        at((now) =>
          Result.map(logOf(runId, epoch, now).opened(epoch), (log) => {
            use(runId, log, now)
            return { ...grown(log), ...(log.last === undefined ? {} : { last: plain(log.last) }) }
          })
        ),
      append: (runId, chunk) =>
        at((now) => {
          const log = logOf(runId, chunk.epoch, now)
          return Result.map(log.judge(chunk), (verdict) => {
            if (verdict === "known") return grown(log)
            const after = log.with({ ...chunk, bytes: bytesOf(chunk.body) })
            use(runId, after, now)
            changes.tell(runId)
            return grown(after)
          })
        }),
      read: (runId, { from, limit }) =>
        at((now) => {
          const log = find(runId, now)?.log
          const found: Result.Result<ReadonlyArray<Kept>, LogNotFound | LogTruncated> = log === undefined
            ? Result.fail(new LogNotFound({ runId }))
            : log.from(from, limit)
          const { ended = false, first = 0, length = 0 } = log ?? {}
          return Result.map(found, (chunks) => ({ chunks: chunks.map(plain), first, length, ended }))
        }),
      changes: (runId) => changes.of(runId),
      truncate: (runId, before) =>
        at((now) => {
          const found = find(runId, now)
          if (found !== undefined) Forgetting.put(logs, runId, { ...found, log: found.log.truncated(before)[0] })
          return Result.void
        }),
      remove: (runId) => Effect.sync(() => remove(runId))
    }
  })
