import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Semaphore from "effect/Semaphore"
import { RunIndex } from "../../RunIndex.ts"
import type { Driver } from "../../StoreDriver.ts"
import { TokenStoreError } from "../../TokenStoreError.ts"
import * as AppendLog from "./appendLog.ts"
import { isSame } from "./fileIdentity.ts"
import { file } from "./fileStore.ts"
import * as LogFormat from "./logFormat.ts"
import * as LogRecord from "./logRecord.ts"
import { momentOf } from "../store/memoryStore.ts"
import { fromPlatform } from "../store/storeFailure.ts"

/** The part of a log that was read, and its runs. */
class Reading {
  readonly index = new RunIndex()
  readonly info: FileSystem.File.Info | undefined
  length = 0
  private readonly replay = LogRecord.replay()
  private readonly reader = LogFormat.reader(this.replay.visit)

  constructor(info?: FileSystem.File.Info) {
    this.info = info
  }

  /** Whether reading can continue in this file: a log that was rewritten is another file. */
  goesOnIn(info: FileSystem.File.Info): boolean {
    return this.info !== undefined && isSame(info, this.info) && Number(info.size) >= this.length
  }

  feed(bytes: Uint8Array): void {
    this.length += bytes.length
    this.reader.feed(bytes)
  }

  /** Adds what was read to the index. Returns the verdict on the log. */
  finish(): LogFormat.Verdict {
    for (const { id, row } of this.replay.changes()) this.index.set(id, row)
    return this.reader.finish()
  }
}

/**
 * A read-only driver over a directory that another process may have open. Each query first reads what was added to the log.
 * It takes no lock, and writes nothing.
 */
export const make = Effect.fnUntraced(function* (settings: {
  readonly directory: string
}): Effect.fn.Return<Driver, never, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = path.resolve(settings.directory)
  const place = path.join(directory, file)
  const alone = Semaphore.makeUnsafe(1)
  let reading = new Reading()

  const refresh = Effect.gen(function* () {
    const open = yield* fs.open(place, { flag: "r" })
    const info = yield* open.stat
    if (!reading.goesOnIn(info)) reading = new Reading(info)
    yield* open.seek(BigInt(reading.length), "start")
    yield* AppendLog.readOn(open, (bytes) => reading.feed(bytes))
    return reading.finish()
  }).pipe(
    Effect.scoped,
    Effect.catchIf(
      (error) => error.reason._tag === "NotFound",
      () =>
        Effect.sync(() => {
          reading = new Reading()
          return undefined
        })
    ),
    Effect.mapError(fromPlatform("read", place)),
    Effect.flatMap((verdict) => {
      const failed = (kind: "corrupt" | "newer", what: string) => {
        // The log may have been written during the read: the next query reads all of it again.
        reading = new Reading()
        return Effect.fail(new TokenStoreError({ operation: "read", kind, description: `'${place}' ${what}` }))
      }
      switch (verdict?._tag) {
        case "Newer":
          return failed(
            "newer",
            `has format ${verdict.version} of a later version of Baton. Update @effect-baton/core.`
          )
        case "Foreign":
        case "Damaged":
          return failed(
            "corrupt",
            "is not a log of Baton, or is damaged. Open it with TokenStore.layerFile to learn more."
          )
        default:
          // The owner is writing the bytes after the sound lines.
          return Effect.void
      }
    }),
    alone.withPermit
  )

  const denied = (operation: string) =>
    Effect.fail(
      new TokenStoreError({
        operation,
        kind: "denied",
        description: `'${directory}' is open read-only. Do this in the process that has opened it with TokenStore.layerFile.`
      })
    )
  const now = Clock.clockWith((clock) => Effect.succeed(momentOf(clock)))
  return {
    modify: (operation) => denied(operation),
    draw: denied("draw"),
    read: (id) => Effect.map(refresh, () => reading.index.get(id)),
    find: (query) => Effect.flatMap(refresh, () => Effect.map(now, (at) => reading.index.find(query, at))),
    count: (agent) => Effect.map(refresh, () => reading.index.count(agent)),
    now
  }
})
