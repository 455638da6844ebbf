/**
 * The log of what runs said: every update, once, for any number of readers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
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
     * A chunk that is there already, of the same epoch, is not appended again: so an append without an answer can be
     * repeated. Fails with `LogFenced` if a higher epoch opened the log, or if the chunk at this offset is of another epoch;
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
