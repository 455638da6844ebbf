/**
 * The port to where runs' positions are kept, and its stores in memory and in files.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as Retention from "./Retention.ts"
import type { Driver } from "./StoreDriver.ts"
import type { Operations } from "./StoreOperations.ts"
import * as FileReader from "./internal/file/fileReader.ts"
import * as FileStore from "./internal/file/fileStore.ts"
import * as MemoryStore from "./internal/store/memoryStore.ts"
import * as FromDriver from "./internal/store/fromDriver.ts"
import type { TokenStoreError } from "./TokenStoreError.ts"

export type { Retention } from "./Retention.ts"
export type { Change, Driver } from "./StoreDriver.ts"
export { Gone } from "./StoreOperations.ts"
export type {
  AcquireOptions,
  Answer,
  Claimed,
  ClaimOptions,
  Commit,
  Counts,
  CreateOptions,
  Lease,
  Operations,
  Page,
  ReleaseOptions,
  RunFilter,
  Taken,
  Unborn,
  Wakeup
} from "./StoreOperations.ts"

/**
 * The port to where runs are kept.
 *
 * **Details**
 *
 * Every operation is one atomic step, and can be repeated if its answer did not come: a fact is added once, a lease is
 * given to its owner again, a position that was written is not written again, and a lease that is not held any more is
 * released without effect. What a commit answers and costs does not grow with the journal.
 *
 * A run's journal is a list of facts, in the order in which they were added (see `RunRecord.NewFact`). A store neither
 * interprets nor orders them. It stamps each with its own clock.
 *
 * @since 0.1.0
 * @category services
 */
export class TokenStore extends Context.Service<TokenStore, Operations>()("@effect-baton/core/TokenStore") {}

/**
 * How long a store keeps runs, both 30 days by default: see `Retention.Retention`. `Duration.infinity` is for ever.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetentionOptions {
  readonly retention?: Duration.Input | undefined
  readonly abandonedAfter?: Duration.Input | undefined
}

const retentionOf = ({ abandonedAfter, retention }: RetentionOptions): Retention.Retention => ({
  retention: Duration.fromInputUnsafe(retention ?? Retention.defaults.retention),
  abandonedAfter: Duration.fromInputUnsafe(abandonedAfter ?? Retention.defaults.abandonedAfter)
})

/**
 * A token store of a driver: of any place that can change one row at a time, and find rows.
 *
 * **When to use**
 *
 * For a store of your own. Prove it with `TokenStoreContract.suite` of `@effect-baton/testing`.
 *
 * **Details**
 *
 * The driver keeps rows; leases, facts, positions, claims, hints and retention are the store's. A claim finds due rows and
 * takes each in a step of its own, so that of two workers who claim at once each gets some. With each run that is created or
 * claimed, a few whose time is over are forgotten; they are not shown any more before that.
 *
 * **Example** (A store over rows that are kept somewhere)
 *
 * ```ts
 * import { TokenStore } from "@effect-baton/core"
 * import { Layer } from "effect"
 *
 * export const layer = (driver: TokenStore.Driver) =>
 *   Layer.succeed(TokenStore.TokenStore, TokenStore.fromDriver(driver, { retention: "7 days" }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDriver = (driver: Driver, options: RetentionOptions = {}): Operations =>
  FromDriver.make(driver, retentionOf(options))

/**
 * A store in memory that keeps runs for a time of your own.
 *
 * **When to use**
 *
 * In a process that goes through many runs, and needs none for long once it is over.
 *
 * **Example** (An hour is enough)
 *
 * ```ts
 * import { TokenStore } from "@effect-baton/core"
 *
 * export const store = TokenStore.memory({ retention: "1 hour" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options: RetentionOptions = {}): Layer.Layer<TokenStore> =>
  Layer.effect(
    TokenStore,
    Effect.map(MemoryStore.make, (driver) => fromDriver(driver, options))
  )

/**
 * A store in memory: for tests, and for programs whose runs need not outlive the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = memory()

/**
 * A store in a directory: for one process whose runs outlive it.
 *
 * **When to use**
 *
 * For command-line programs, desktop applications and services of one process. Where several processes share their runs,
 * use a store on a server.
 *
 * **Details**
 *
 * What an operation reports as done is on the disk: it survives `kill -9` and, as far as the disk keeps what it was told
 * to sync, a power failure. Operations at the same time share one write. A write that was cut short is cut off when the
 * directory is opened again; damage to what was durable is a `TokenStoreError` of kind `corrupt`, and nothing is changed.
 * When the disk is full an operation fails with kind `full`, and works again once there is room.
 *
 * The directory is created where it is missing. It holds `runs.log`, which is rewritten when most of it is out of date,
 * and `lock.<n>`. One live process at a time can open it, once: a second fails with kind `locked`, which names the owner.
 * The place of a dead process is taken at once, and its leases are void. Where an owner's process cannot be asked (it ran
 * on another host, in another container, or before the machine was started again), its place is taken when its
 * `heartbeat` (3 seconds) was missed four times: the log is then copied, which needs room, and the old lock stays as
 * `lock.<n>.lost` until that is done.
 *
 * The store knows its files by what they are, not by their names. If somebody replaces, cuts, grows, moves or removes the log
 * or the lock, every operation from then on fails with kind `locked`, or `corrupt` if only the length is wrong, and nothing is
 * reported as done that is not in the file at that path.
 *
 * Runs are forgotten as `retention` and `abandonedAfter` say. To look at the runs from another process, use
 * `layerFileReadOnly`.
 *
 * **Gotchas**
 *
 * All runs are kept in memory too. Not for network file systems that several hosts write to: a host that stands still
 * for longer than the heartbeats allow, between a look at its lock and a write, can write to a log that was taken over.
 *
 * **Example** (Runs that survive the process)
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { TokenStore } from "@effect-baton/core"
 * import { Layer } from "effect"
 *
 * export const store = TokenStore.layerFile({ directory: ".baton" }).pipe(Layer.provide(NodeServices.layer))
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
): Layer.Layer<TokenStore, TokenStoreError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    TokenStore,
    Effect.map(
      FileStore.make({
        directory: options.directory,
        heartbeat: Duration.clamp(Duration.fromInputUnsafe(options.heartbeat ?? Duration.seconds(3)), {
          minimum: Duration.millis(50),
          maximum: Duration.minutes(1)
        })
      }),
      (driver) => fromDriver(driver, options)
    )
  )

/**
 * The runs of a directory that another process has open with `layerFile`, to read only.
 *
 * **When to use**
 *
 * To list, count and watch runs beside the process that owns them: in a command-line tool of an operator, say.
 *
 * **Details**
 *
 * It takes no lock and writes nothing, and any number of processes can have it. Each look reads what the log has grown by,
 * so that it shows what is durable. Leases are not shown, as a file store does not write when they end. Whatever would
 * change a run fails with kind `denied`; `Agent.watch` needs no change. A directory without runs is empty.
 *
 * **Example** (Counting the runs of a program that runs)
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { Runs, TokenStore } from "@effect-baton/core"
 * import { Effect, Layer } from "effect"
 *
 * const store = TokenStore.layerFileReadOnly({ directory: ".baton" }).pipe(Layer.provide(NodeServices.layer))
 *
 * export const program = Runs.count().pipe(Effect.provide(store))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFileReadOnly = (
  options: RetentionOptions & { readonly directory: string }
): Layer.Layer<TokenStore, never, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    TokenStore,
    Effect.map(FileReader.make({ directory: options.directory }), (driver) => fromDriver(driver, options))
  )
