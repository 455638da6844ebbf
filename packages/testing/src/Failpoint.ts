/**
 * Places at which a test can kill a process: before and after each step that changes a store or a disk.
 *
 * @since 0.1.0
 */
import { TokenStore, UpdateLog } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"

/**
 * A place before or after one step.
 *
 * **Details**
 *
 * | field | meaning |
 * | --- | --- |
 * | `step` | the operation: a member of `TokenStore`, `UpdateLog` or `FileSystem`, or for an open file `write`, `sync` or `truncate` |
 * | `of` | the id of the run, the shard of a `claim`, or the path of the file |
 * | `side` | before or after the operation; `"after"` is reached only if the operation succeeded |
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  readonly step: string
  readonly of: string
  readonly side: "before" | "after"
}

/**
 * The effect to run at each place. To kill the process there, send it `SIGKILL` and return `Effect.never`.
 *
 * @since 0.1.0
 * @category models
 */
export type Reach = (place: Place) => Effect.Effect<void>

const taking =
  <Step extends string>(reach: Reach) =>
  <A, E, R>(step: Step, of: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.andThen(
      Effect.suspend(() => reach({ step, of, side: "before" })),
      Effect.tap(effect, () => reach({ step, of, side: "after" }))
    )

/**
 * The operations of a store that write. They are the steps of `layerTokenStore`.
 *
 * @since 0.1.0
 * @category models
 */
export const stepsOfTokenStore = [
  "create",
  "acquire",
  "claim",
  "renew",
  "release",
  "commit",
  "record",
  "conclude",
  "remove"
] as const

/**
 * A layer of a store that reaches a place before and after each operation that writes.
 *
 * **When to use**
 *
 * Use it in crash tests of any store: start a process that dies at a place, start it again, and check the store.
 *
 * **Example** (Dying before the third commit)
 *
 * ```ts
 * import { TokenStore } from "@effect-baton/core"
 * import { Failpoint } from "@effect-baton/testing"
 * import { Effect, Layer } from "effect"
 *
 * let commits = 0
 * export const dying = Failpoint.layerTokenStore(({ side, step }) =>
 *   Effect.suspend(() => {
 *     if (step !== "commit" || side !== "before" || ++commits < 3) return Effect.void
 *     process.kill(process.pid, "SIGKILL")
 *     return Effect.never
 *   })
 * ).pipe(Layer.provide(TokenStore.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTokenStore = (reach: Reach): Layer.Layer<TokenStore.TokenStore, never, TokenStore.TokenStore> =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.map(TokenStore.TokenStore, (store) => {
      const take = taking<(typeof stepsOfTokenStore)[number]>(reach)
      // A new operation of stores that writes does not compile until it is a step.
      const writing: Omit<typeof store, "count" | "list" | "read" | "shards" | "wake" | "wakeups"> = {
        create: (run, options) => take("create", run.runId, store.create(run, options)),
        acquire: (id, options) => take("acquire", id, store.acquire(id, options)),
        claim: (options) => take("claim", options.shard, store.claim(options)),
        renew: (lease, ttl, seen) => take("renew", lease.runId, store.renew(lease, ttl, seen)),
        release: (lease, options) => take("release", lease.runId, store.release(lease, options)),
        commit: (lease, commit) => take("commit", lease.runId, store.commit(lease, commit)),
        record: (id, fact, seen) => take("record", id, store.record(id, fact, seen)),
        conclude: (id, options) => take("conclude", id, store.conclude(id, options)),
        remove: (lease, options) => take("remove", lease.runId, store.remove(lease, options))
      }
      return { ...store, ...writing }
    })
  )

/**
 * The operations of an update log that write. They are the steps of `layerUpdateLog`.
 *
 * @since 0.1.0
 * @category models
 */
export const stepsOfUpdateLog = ["open", "append", "truncate", "remove"] as const

/**
 * A layer of an update log that reaches a place before and after each operation that writes.
 *
 * **When to use**
 *
 * Use it beside `layerTokenStore` in crash tests of runs with an update log.
 *
 * **Example** (Dying between the log and its answer)
 *
 * ```ts
 * import { UpdateLog } from "@effect-baton/core"
 * import { Failpoint } from "@effect-baton/testing"
 * import { Effect, Layer } from "effect"
 *
 * export const dying = Failpoint.layerUpdateLog(({ side, step }) =>
 *   Effect.suspend(() => {
 *     if (step !== "append" || side !== "after") return Effect.void
 *     process.kill(process.pid, "SIGKILL")
 *     return Effect.never
 *   })
 * ).pipe(Layer.provide(UpdateLog.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerUpdateLog = (reach: Reach): Layer.Layer<UpdateLog.UpdateLog, never, UpdateLog.UpdateLog> =>
  Layer.effect(
    UpdateLog.UpdateLog,
    Effect.map(UpdateLog.UpdateLog, (log) => {
      const take = taking<(typeof stepsOfUpdateLog)[number]>(reach)
      // A new operation of logs that writes does not compile until it is a step.
      const writing: Omit<typeof log, "changes" | "read"> = {
        open: (id, epoch) => take("open", id, log.open(id, epoch)),
        append: (id, chunk) => take("append", id, log.append(id, chunk)),
        truncate: (id, before) => take("truncate", id, log.truncate(id, before)),
        remove: (id) => take("remove", id, log.remove(id))
      }
      return { ...log, ...writing }
    })
  )

/**
 * A layer of a file system that reaches a place before and after each operation that changes the disk.
 *
 * **When to use**
 *
 * Use it in crash tests of stores that keep files, such as `TokenStore.layerFile`.
 *
 * **Details**
 *
 * The steps are `open` (unless it only reads), `write` (also that of `writeFile` and `writeFileString`), `truncate`, `sync`,
 * `rename`, `copy`, `copyFile`, `link`, `symlink`, `remove` and `makeDirectory`. Operations that make temporary files, or
 * only change times, owners or permissions, are not steps.
 *
 * **Example** (Dying once a log is on the disk)
 *
 * ```ts
 * import { Failpoint } from "@effect-baton/testing"
 * import { NodeServices } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 *
 * export const dying = Failpoint.layerFileSystem(({ of, side, step }) =>
 *   Effect.suspend(() => {
 *     if (step !== "sync" || side !== "after" || !of.endsWith("runs.log")) return Effect.void
 *     process.kill(process.pid, "SIGKILL")
 *     return Effect.never
 *   })
 * ).pipe(Layer.provide(NodeServices.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFileSystem = (reach: Reach): Layer.Layer<FileSystem.FileSystem, never, FileSystem.FileSystem> =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => {
      const take = taking<
        | "copy"
        | "copyFile"
        | "link"
        | "makeDirectory"
        | "open"
        | "remove"
        | "rename"
        | "symlink"
        | "sync"
        | "truncate"
        | "write"
      >(reach)
      const fileOf = (path: string, file: FileSystem.File): FileSystem.File => ({
        [FileSystem.FileTypeId]: FileSystem.FileTypeId,
        stat: file.stat,
        seek: (offset, from) => file.seek(offset, from),
        read: (buffer, options) => file.read(buffer, options),
        readAlloc: (size, options) => file.readAlloc(size, options),
        sync: take("sync", path, file.sync),
        truncate: (length) => take("truncate", path, file.truncate(length)),
        write: (buffer) => take("write", path, file.write(buffer)),
        writeAll: (buffer) => take("write", path, file.writeAll(buffer))
      })
      // `make` builds the other operations, such as `sink`, on these.
      return FileSystem.make({
        ...fs,
        open: (path, options) =>
          Effect.map(
            options?.flag === undefined || options.flag === "r"
              ? fs.open(path, options)
              : take("open", path, fs.open(path, options)),
            (file) => fileOf(path, file)
          ),
        copy: (from, to, options) => take("copy", to, fs.copy(from, to, options)),
        copyFile: (from, to) => take("copyFile", to, fs.copyFile(from, to)),
        link: (from, to) => take("link", to, fs.link(from, to)),
        symlink: (from, to) => take("symlink", to, fs.symlink(from, to)),
        makeDirectory: (path, options) => take("makeDirectory", path, fs.makeDirectory(path, options)),
        remove: (path, options) => take("remove", path, fs.remove(path, options)),
        rename: (from, to) => take("rename", from, fs.rename(from, to)),
        truncate: (path, length) => take("truncate", path, fs.truncate(path, length)),
        writeFile: (path, data, options) => take("write", path, fs.writeFile(path, data, options))
      })
    })
  )
