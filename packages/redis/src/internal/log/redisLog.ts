import { type Run, TokenStoreError, UpdateLog, UpdateLogError } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redis from "effect/persistence/Redis"
import * as CallScript from "../callScript.ts"
import type * as Connection from "../connection.ts"
import * as Keys from "../keys.ts"
import * as Existing from "../scripts/existing.ts"
import * as ShareReads from "../shareReads.ts"
import * as LogFailure from "./logFailure.ts"
import * as LogHints from "./logHints.ts"
import * as LogKeys from "./logKeys.ts"
import * as Scripts from "./logScripts.ts"
import * as StoredChunk from "./storedChunk.ts"

type Log = UpdateLog.UpdateLog["Service"]

/** The settings of a log. */
export interface Options {
  readonly prefix: string
  readonly shards: number
  readonly retention: Duration.Duration
  readonly timeout: Duration.Duration
  readonly connection: Connection.Connection
  readonly subscribe: Redis.Redis["Service"]["subscribe"]
}

// Redis refuses times to live that are much longer.
const longest = 1e15

/** The time to live of a log in milliseconds, '' for ever. With less than a second, logs would end between two chunks. */
const keptFor = (retention: Duration.Duration): string => {
  const millis = Math.max(1000, Math.ceil(Duration.toMillis(retention)))
  return millis < longest ? String(millis) : ""
}

/** A number as scripts read it. */
const whole = (value: number): string => String(Math.min(Number.MAX_SAFE_INTEGER - 1, Math.max(-1, Math.trunc(value))))

/** The logs of a namespace. Each operation is one script on one shard. */
export const make = Effect.fnUntraced(function* ({ connection, prefix, retention, subscribe, ...options }: Options) {
  const scriptOf = (operation: string, lua: string) => CallScript.make(connection, operation, lua, "log")
  const scripts = yield* Effect.all({
    open: scriptOf("open", Scripts.open),
    append: scriptOf("append", Scripts.append),
    read: scriptOf("read", Scripts.read),
    truncate: scriptOf("truncate", Scripts.truncate),
    remove: scriptOf("remove", Scripts.remove),
    layout: scriptOf("open", Existing.layout)
  })
  const limit = Duration.toMillis(options.timeout)
  const kept = keptFor(retention)
  const shards = Keys.shardsOf(prefix, options.shards)
  const channel = Keys.logHintsOf(prefix)
  const hints = yield* LogHints.make(channel, subscribe)

  const keysOf = (id: Run.RunId) => LogKeys.keysOf(Keys.shardOf(shards, id), id)
  const call = <A, E>(
    script: CallScript.Script,
    id: Run.RunId,
    args: ReadonlyArray<string>,
    answer: (reply: ReadonlyArray<unknown>) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | UpdateLogError.UpdateLogError> => {
    const keys = keysOf(id)
    return Effect.mapError(script([...Keys.called(Keys.shardOf(shards, id), keys), ...args], limit, answer), (error) =>
      error instanceof TokenStoreError.TokenStoreError ? LogFailure.fromStore(keys, error) : error
    )
  }
  const fenced = (id: Run.RunId, epoch: unknown) =>
    Effect.fail(new UpdateLogError.LogFenced({ runId: id, epoch: Number(epoch) }))
  const chunksOf = (operation: string, id: Run.RunId, entries: unknown, from?: number) => {
    const chunks = StoredChunk.decodeAll(entries, from)
    return chunks === undefined ? Effect.fail(LogFailure.corrupt(operation, keysOf(id))) : Effect.succeed(chunks)
  }

  const shared = ShareReads.make<UpdateLog.Page, Effect.Error<ReturnType<Log["read"]>>>()

  // With another number of shards this process would write a second log of the same run.
  let agreed = false
  const agree = (id: Run.RunId) =>
    Effect.suspend(() =>
      agreed
        ? Effect.void
        : Effect.mapError(
            scripts.layout(["1", Keys.layoutKey(prefix), String(options.shards)], limit, ([answer, known]) => {
              agreed = answer === "done"
              return agreed ? Effect.void : Effect.fail(LogFailure.otherLayout(prefix, options.shards, String(known)))
            }),
            (error) =>
              error instanceof TokenStoreError.TokenStoreError ? LogFailure.fromStore(keysOf(id), error) : error
          )
    )

  return UpdateLog.UpdateLog.of({
    open: (id, epoch) =>
      Effect.andThen(
        agree(id),
        call(scripts.open, id, [whole(epoch), kept], ([answer, first, bytes, found]): ReturnType<Log["open"]> =>
          answer === "fenced"
            ? fenced(id, first)
            : Effect.map(chunksOf("open", id, found), ([last]) => ({
                length: Number(first),
                bytes: Number(bytes),
                ...(last === undefined ? {} : { last })
              }))
        )
      ),
    append: (id, chunk) =>
      Effect.andThen(
        agree(id),
        call(
          scripts.append,
          id,
          [
            whole(chunk.from),
            whole(chunk.count),
            whole(chunk.epoch),
            chunk.ended ? "1" : "0",
            chunk.body,
            kept,
            channel,
            id,
            hints.by
          ],
          ([answer, first, bytes]): ReturnType<Log["append"]> => {
            if (answer === "fenced") return fenced(id, first)
            if (answer === "gap") return Effect.fail(new UpdateLogError.LogGap({ runId: id, length: Number(first) }))
            if (answer === "added") hints.tell(id)
            return Effect.succeed({ length: Number(first), bytes: Number(bytes) })
          }
        ).pipe(
          // The chunk may have been appended, and the hint that the script published is ignored in this process.
          Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => hints.tell(id))))
        )
      ),
    read: (id, { from, limit: most }) => {
      const page = call(
        scripts.read,
        id,
        [whole(from), whole(most)],
        ([answer, first, length, ended, entries]): ReturnType<Log["read"]> => {
          if (answer === "none") return Effect.fail(new UpdateLogError.LogNotFound({ runId: id }))
          if (answer === "truncated") {
            return Effect.fail(new UpdateLogError.LogTruncated({ runId: id, first: Number(first) }))
          }
          return Effect.map(chunksOf("read", id, entries, from), (chunks) => ({
            chunks,
            first: Number(first),
            length: Number(length),
            ended: ended === "1"
          }))
        }
      )
      return shared(`${from} ${most} ${id}`, page)
    },
    changes: hints.of,
    truncate: (id, before) => call(scripts.truncate, id, [whole(before)], () => Effect.void),
    remove: (id) =>
      Effect.tap(
        call(scripts.remove, id, [channel, id, hints.by], () => Effect.void),
        () => Effect.sync(() => hints.tell(id))
      )
  })
})
