/**
 * The port to the log of the updates of runs, and its implementations in memory and in files.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import type * as Stream from "effect/Stream"
import * as FileLog from "./internal/log/fileLog.ts"
import * as MemoryLog from "./internal/log/memoryLog.ts"
import * as Retention from "./Retention.ts"
import type { RunId } from "./Run.ts"
import type { Chunk } from "./UpdateChunk.ts"
import type { LogFenced, LogGap, LogNotFound, LogTruncated, UpdateLogError } from "./UpdateLogError.ts"

export type { Chunk } from "./UpdateChunk.ts"

/**
 * The state of a log when a writer opens it.
 *
 * **Details**
 *
 * | field | meaning |
 * | --- | --- |
 * | `length` | the number of updates that were ever appended, which is the offset of the next one |
 * | `bytes` | the size of the bodies of all chunks in the log, in bytes of UTF-8 |
 * | `last` | the newest chunk; absent if there are no chunks. Truncation never removes it |
 *
 * @since 0.1.0
 * @category models
 */
export interface Opened {
  readonly length: number
  readonly bytes: number
  readonly last?: Chunk
}

/**
 * The size of a log after an append: see `Opened`.
 *
 * @since 0.1.0
 * @category models
 */
export type Grown = Pick<Opened, "bytes" | "length">

/**
 * The result of a read.
 *
 * **Details**
 *
 * | field | meaning |
 * | --- | --- |
 * | `chunks` | the chunks that contain the wanted updates, in order and without gaps. Chunks without updates are left out |
 * | `first` | the offset of the oldest update in the log |
 * | `length` | the number of updates that were ever appended |
 * | `ended` | whether the newest chunk says that the run has ended |
 *
 * @since 0.1.0
 * @category models
 */
export interface Page {
  readonly chunks: ReadonlyArray<Chunk>
  readonly first: number
  readonly length: number
  readonly ended: boolean
}

/**
 * The port to the log of the updates of runs.
 *
 * **When to use**
 *
 * Provide a layer of it beside the token store if others than the consumer of a run read its updates, during the run or
 * later.
 *
 * **Details**
 *
 * One worker at a time writes the log of a run: it appends chunks of updates, and identifies itself by its epoch, the fence
 * of its lease. Any number of readers, in any process, read the chunks. The log does not store the positions of readers.
 *
 * A log is removed when nothing was opened or appended for the `retention` of its layer. To a reader it is then a log that
 * was never opened, and a writer that appends to it gets `LogGap`. A repeated chunk, a read and a truncation do not count.
 *
 * Check a log of your own with `UpdateLogContract.suite` of `@effect-baton/testing`.
 *
 * @since 0.1.0
 * @category services
 */
export class UpdateLog extends Context.Service<
  UpdateLog,
  {
    /**
     * Opens the log of a run to append to it, and creates it if there is none. From then on lower epochs are refused. An
     * operation with the same epoch can be repeated. Fails with `LogFenced` if a higher epoch has opened the log.
     */
    readonly open: (runId: RunId, epoch: number) => Effect.Effect<Opened, LogFenced | UpdateLogError>
    /**
     * Appends a whole chunk or nothing. When it succeeds, readers in all processes can read the chunk, and the chunk is
     * stored as safely as the implementation promises.
     *
     * If the epoch of the chunk has not opened the log, the append opens it, and creates it if there is none. A chunk that
     * is already there, from the same epoch, is not appended again. So an append whose result was lost can be repeated.
     *
     * Fails with `LogFenced` if a higher epoch has opened the log, or if another epoch wrote the chunk at this offset. Fails
     * with `LogGap` if the chunk does not begin where the log ends.
     */
    readonly append: (runId: RunId, chunk: Chunk) => Effect.Effect<Grown, LogFenced | LogGap | UpdateLogError>
    /**
     * Reads at most `limit` chunks, starting with the one that contains the update at offset `from`. There are none if
     * `from` is the length of the log or more. Fails with `LogTruncated` if the update at `from` was removed, and with
     * `LogNotFound` if the run has no log.
     */
    readonly read: (
      runId: RunId,
      options: { readonly from: number; readonly limit: number }
    ) => Effect.Effect<Page, LogNotFound | LogTruncated | UpdateLogError>
    /**
     * A stream of hints that the log of a run changed, from every process that the log can hear. The first hint comes at
     * once. Hints can be lost, so readers must also read from time to time. Fails with `UpdateLogError` if no more hints
     * can come.
     */
    readonly changes: (runId: RunId) => Stream.Stream<void, UpdateLogError>
    /**
     * Removes the chunks whose updates are all before an offset. The newest chunk with updates is never removed. Does
     * nothing if there is nothing to remove, or no log.
     */
    readonly truncate: (runId: RunId, before: number) => Effect.Effect<void, UpdateLogError>
    /** Removes the log of a run, and its epoch. Does nothing if there is no log. */
    readonly remove: (runId: RunId) => Effect.Effect<void, UpdateLogError>
  }
>()("@effect-baton/core/UpdateLog") {}

/**
 * How long a log is kept after it was last opened or appended to: 30 days by default, at least one second.
 * `Duration.infinity` means for ever.
 *
 * @since 0.1.0
 * @category configuration
 */
export interface RetentionOptions {
  readonly retention?: Duration.Input | undefined
}

// With less, a log would be removed between two chunks of its writer.
const least = Duration.seconds(1)

const retentionOf = ({ retention }: RetentionOptions): Duration.Duration =>
  Duration.max(least, Duration.fromInputUnsafe(retention ?? Retention.defaults.retention))

/**
 * A log in memory with options.
 *
 * **When to use**
 *
 * Use it in a process with many runs whose logs it does not need for long.
 *
 * **Details**
 *
 * Each opening and each append also removes a few of the logs whose retention has ended.
 *
 * **Gotchas**
 *
 * A log does not know whether its run is over. Set `retention` longer than any run waits between two updates. Otherwise the
 * log of a waiting run is removed, and begins again at offset 0.
 *
 * **Example** (Keeping logs for an hour)
 *
 * ```ts
 * import { UpdateLog } from "@effect-baton/core"
 *
 * export const log = UpdateLog.memory({ retention: "1 hour" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options: RetentionOptions = {}): Layer.Layer<UpdateLog> =>
  Layer.effect(UpdateLog, MemoryLog.make(retentionOf(options)))

/**
 * A log in memory, for tests, and for programs whose viewers are in the same process.
 *
 * **Example** (Logged runs)
 *
 * ```ts
 * import { TokenStore, UpdateLog } from "@effect-baton/core"
 * import { Layer } from "effect"
 *
 * export const Live = Layer.merge(TokenStore.layerMemory, UpdateLog.layerMemory)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<UpdateLog> = memory()

/**
 * A log in a directory, for one process whose logs must outlive it.
 *
 * **When to use**
 *
 * Use it beside `TokenStore.layerFile` if viewers are in the same process, or read the updates after the program has
 * started again. If several processes share runs, use a log on a server, for instance `@effect-baton/redis`.
 *
 * **Details**
 *
 * When an operation succeeds, its data is on the disk, as in the token store. Concurrent appends share one write, also if
 * they are for different runs. Readers see only what is on the disk, and never wait for a write. The offset, the size and
 * the place of each chunk are in memory; bodies are read from the disk when they are needed. If the disk is full, an append
 * fails with kind `full`; appends work again once there is room.
 *
 * The layer creates the directory if it is missing. It must not be the directory of a token store, which is refused with
 * kind `denied`. The directory contains `updates.log` and `lock.<n>`. Only one live process at a time can open it, and only
 * once: a second attempt fails with kind `locked`. `TokenStore.layerFile` explains `heartbeat` (3 seconds), the place of
 * a process that is gone, and files that another program changes.
 *
 * If a crash cut a write short, the next process that opens the directory removes the incomplete part. If durable data is
 * damaged, the layer fails with an `UpdateLogError` of kind `corrupt`; if a later version of Baton wrote it, with kind
 * `newer`. Nothing is changed then.
 *
 * Each opening and each append also removes a few of the logs whose `retention` has ended. The time since the last opening
 * or append counts while no process has the directory open too.
 *
 * A removed log can no longer be read at once. Its bytes stay in `updates.log` until the file is rewritten: when most of it
 * is no longer needed, at the latest an hour after the removal, and when the layer is closed. If the process dies before,
 * the next process that opens the directory rewrites the file, again within an hour or when it closes. A rewrite leaves the
 * old blocks to the file system, which does not overwrite them at once. Truncated chunks leave the file in the same rewrite.
 *
 * **Gotchas**
 *
 * While the file is rewritten, appends wait, for about as long as it takes to copy what is still needed.
 *
 * A log does not know whether its run is over. Set `retention` longer than any run waits between two updates. Otherwise the
 * log of a waiting run is removed, and begins again at offset 0.
 *
 * **Example** (Runs and their logs)
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { TokenStore, UpdateLog } from "@effect-baton/core"
 * import { Layer } from "effect"
 *
 * export const Live = Layer.merge(
 *   TokenStore.layerFile({ directory: ".baton/runs" }),
 *   UpdateLog.layerFile({ directory: ".baton/updates" })
 * ).pipe(Layer.provide(NodeServices.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFile = (
  options: RetentionOptions & {
    readonly directory: string
    readonly heartbeat?: Duration.Input
  }
): Layer.Layer<UpdateLog, UpdateLogError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    UpdateLog,
    FileLog.make({
      directory: options.directory,
      retention: retentionOf(options),
      heartbeat: Duration.clamp(Duration.fromInputUnsafe(options.heartbeat ?? Duration.seconds(3)), {
        minimum: Duration.millis(50),
        maximum: Duration.minutes(1)
      })
    })
  )
