/**
 * The port to the store of runs, and its implementations in memory and in files.
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
 * The port to the store of runs.
 *
 * **Details**
 *
 * Every operation is one atomic step, and can be repeated if its result was lost: a fact is added once, an owner gets the
 * lease again that it holds, a position is written once, and the release of a lease that is no longer held does nothing.
 * The result and the cost of a commit do not grow with the journal.
 *
 * A run's journal is a list of facts, in the order in which they were added (see `RunRecord.NewFact`). A store neither
 * interprets nor reorders facts. It adds the time of its own clock to each.
 *
 * @since 0.1.0
 * @category services
 */
export class TokenStore extends Context.Service<TokenStore, Operations>()("@effect-baton/core/TokenStore") {}

/**
 * How long a store keeps runs; both are 30 days by default: see `Retention.Retention`. `Duration.infinity` means for ever.
 *
 * @since 0.1.0
 * @category configuration
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
 * Makes a token store from a driver: any database or other place that can change one row at a time, and find rows.
 *
 * **When to use**
 *
 * Use it for a store of your own. Prove it with `TokenStoreContract.suite` of `@effect-baton/testing`.
 *
 * **Details**
 *
 * The driver keeps and finds rows; this function adds leases, facts, positions, claims, hints and retention. A claim finds
 * due rows and takes each of them in a step of its own, so that two workers that claim at the same time each get some. A
 * run whose retention has ended is no longer visible; each creation or claim of a run deletes a few such runs.
 *
 * **Example** (Making a store from a driver)
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
 * A store in memory with options.
 *
 * **When to use**
 *
 * Use it in a process with many runs, none of which it needs for long after the end.
 *
 * **Example** (Keeping runs for an hour)
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
 * A store in memory, for tests, and for programs whose runs need not outlive the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = memory()

/**
 * A store in a directory, for one process whose runs must outlive it.
 *
 * **When to use**
 *
 * Use it for command-line programs, desktop applications and services with one process. If several processes share runs,
 * use a store on a server, for instance `@effect-baton/redis`. To read the runs from another process, use
 * `layerFileReadOnly`.
 *
 * **Details**
 *
 * When an operation succeeds, its data is on the disk. It survives `kill -9`, and a power failure as far as the disk
 * honours syncs. Concurrent operations share one write. If a crash cut a write short, the next process that opens the
 * directory removes the incomplete part. If durable data is damaged, the layer fails with a `TokenStoreError` of kind
 * `corrupt`, and changes nothing. If the disk is full, an operation fails with kind `full`; operations work again once
 * there is room.
 *
 * The layer creates the directory if it is missing. The directory contains `runs.log`, which the store rewrites when most
 * of it is out of date, and `lock.<n>`. Only one live process at a time can open the directory, and only once: a second
 * attempt fails with kind `locked`, and the error names the owner. If the owner is dead, the next process gets the
 * directory at once, and the leases of the dead one are void. If the owner ran on another host, in another container, or
 * before the last start of the machine, its process cannot be checked. The next process then gets the directory after the
 * owner has missed its `heartbeat` (3 seconds) four times; it first copies the log, which needs room, and keeps the old
 * lock as `lock.<n>.lost` until the copy is done.
 *
 * The store identifies its files by device, inode and length, not by name. If another program replaces, cuts, grows, moves
 * or removes the log or the lock, every later operation fails with kind `locked`, or with `corrupt` if only the length is
 * wrong. No operation succeeds whose data is not in the file at that path.
 *
 * **Gotchas**
 *
 * The store keeps all runs in memory too. Do not use it on a network file system to which several hosts write: if a host
 * stands still between its check of the lock and a write, for longer than four heartbeats, it can write to a log that
 * belongs to another owner by then.
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
 * A read-only store over a directory that another process has opened with `layerFile`.
 *
 * **When to use**
 *
 * Use it to list, count and watch runs beside the process that owns them, for instance in a command-line tool for
 * operators.
 *
 * **Details**
 *
 * The store takes no lock and writes nothing, so any number of processes can use it. Each read takes in what was added to
 * the log, and shows durable data only. Records have no leases here, because a file store does not write the end of a
 * lease. An operation that would change a run fails with kind `denied`; `Agent.watch` works. A missing directory counts as empty.
 *
 * **Example** (Counting the runs of another process)
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
