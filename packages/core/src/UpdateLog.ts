/**
 * The log of what runs said: every update, once, for any number of readers.
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
import type { RunId } from "./Run.ts"
import type { Chunk } from "./UpdateChunk.ts"
import type { LogFenced, LogGap, LogNotFound, LogTruncated, UpdateLogError } from "./UpdateLogError.ts"

export type { Chunk } from "./UpdateChunk.ts"

/**
 * Where a log stands when a holder opens it.
 *
 * **Details**
 *
 * | field | meaning |
 * | --- | --- |
 * | `length` | how many updates were appended, removed ones included: the offset of the next one |
 * | `bytes` | how large the chunks that it holds are, in bytes of UTF-8 of their bodies |
 * | `last` | the newest chunk; absent in a log without chunks. It stays when older ones are removed |
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
 * How large a log is after a chunk was appended: see `Opened`.
 *
 * @since 0.1.0
 * @category models
 */
export type Grown = Pick<Opened, "bytes" | "length">

/**
 * What a reader gets.
 *
 * **Details**
 *
 * | field | meaning |
 * | --- | --- |
 * | `chunks` | the chunks that hold the wanted updates, in order, without gaps; chunks without updates are left out |
 * | `first` | the offset of the oldest update that the log has |
 * | `length` | how many updates were appended |
 * | `ended` | whether the newest chunk says that the run ended |
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
 * The log of what runs said.
 *
 * **When to use**
 *
 * Provide one beside the token store if others than the consumer read what a run says, while it runs or later.
 *
 * **Details**
 *
 * One holder of a run appends chunks of updates, and names its epoch: the fence of its lease. Any number of readers read
 * them, in any process. The log keeps no positions of readers. `UpdateLogContract` of `@effect-baton/testing` is the
 * suite that an implementation must pass.
 *
 * @since 0.1.0
 * @category services
 */
export class UpdateLog extends Context.Service<
  UpdateLog,
  {
    /**
     * Opens the log of a run to append, and creates it if there is none. From then on every lower epoch is refused.
     * Repeated with the same epoch it answers the same. Fails with `LogFenced` if a higher epoch opened it, and with
     * `UpdateLogError`.
     */
    readonly open: (runId: RunId, epoch: number) => Effect.Effect<Opened, LogFenced | UpdateLogError>
    /**
     * Appends a chunk, whole or not at all. It answers when readers in all processes can read the chunk, and when the
     * chunk is as safe as the place makes it.
     *
     * A chunk whose epoch did not open the log opens it, and creates it if there is none. A chunk that is there already, of the
     * same epoch, is not appended again: so an append without an answer can be repeated. Fails with `LogFenced` if a higher epoch opened the log, or if the chunk at this offset is of another epoch;
     * with `LogGap` if the chunk begins elsewhere than where the log ends; and with `UpdateLogError`.
     */
    readonly append: (runId: RunId, chunk: Chunk) => Effect.Effect<Grown, LogFenced | LogGap | UpdateLogError>
    /**
     * Reads at most `limit` chunks: the one that holds the update at `from`, and those after it. There are none if `from`
     * is the length of the log or above. Fails with `LogTruncated` if the update at `from` was removed, with `LogNotFound`,
     * and with `UpdateLogError`.
     */
    readonly read: (
      runId: RunId,
      options: { readonly from: number; readonly limit: number }
    ) => Effect.Effect<Page, LogNotFound | LogTruncated | UpdateLogError>
    /**
     * Hints that the log of a run grew, from all processes that the place can hear. It begins with a hint. Hints can be
     * lost, so readers must look from time to time. Fails with `UpdateLogError` if it cannot hear any more.
     */
    readonly changes: (runId: RunId) => Stream.Stream<void, UpdateLogError>
    /**
     * Removes the oldest chunks: those whose updates are all before this offset. The newest chunk with updates stays.
     * Repeated, and for a run without a log, it does nothing. Fails with `UpdateLogError`.
     */
    readonly truncate: (runId: RunId, before: number) => Effect.Effect<void, UpdateLogError>
    /** Removes the log of a run, and its epoch. Repeated, it does nothing. Fails with `UpdateLogError`. */
    readonly remove: (runId: RunId) => Effect.Effect<void, UpdateLogError>
  }
>()("@effect-baton/core/UpdateLog") {}

/**
 * A log in memory: for tests, and for programs whose viewers are in the same process.
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
export const layerMemory: Layer.Layer<UpdateLog> = Layer.effect(UpdateLog, MemoryLog.make)

/**
 * A log in a directory: for one process whose logs outlive it.
 *
 * **When to use**
 *
 * Beside `TokenStore.layerFile`, if viewers are in the same process, or read what a run said after the program was started
 * again. Where several processes share their runs, use a log on a server.
 *
 * **Details**
 *
 * What an operation reports as done is on the disk, as it is with the token store. Appends at the same time share one write,
 * whatever runs they are of. Readers see what is on the disk, and never wait for a write. In memory are the offset, the count
 * and the place of each chunk; bodies are read from the disk when they are wanted. When the disk is full an append fails with
 * kind `full`, and works again once there is room.
 *
 * The directory is one of its own, and created if it is missing: that of a token store is refused with kind `denied`. It
 * holds `updates.log`, which is rewritten when most of it is of logs that were removed or truncated, and `lock.<n>`. One live
 * process at a time can open it, once: a second fails with kind `locked`. For `heartbeat` (3 seconds), the place of a process
 * that is gone, and files that somebody else changes, see `TokenStore.layerFile`.
 *
 * A write that was cut short is cut off when the directory is opened again. Damage to what was durable is an
 * `UpdateLogError` of kind `corrupt`, and what a later version of Baton wrote one of kind `newer`; nothing is changed then.
 *
 * **Gotchas**
 *
 * While the file is rewritten, appends wait: about as long as it takes to copy what is still needed.
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
export const layerFile = (options: {
  readonly directory: string
  readonly heartbeat?: Duration.Input
}): Layer.Layer<UpdateLog, UpdateLogError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    UpdateLog,
    FileLog.make({
      directory: options.directory,
      heartbeat: Duration.clamp(Duration.fromInputUnsafe(options.heartbeat ?? Duration.seconds(3)), {
        minimum: Duration.millis(50),
        maximum: Duration.minutes(1)
      })
    })
  )
