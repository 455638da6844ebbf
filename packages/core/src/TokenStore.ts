/**
 * The port to where runs' positions are kept, and its stores in memory and in files.
 *
 * @since 0.1.0
 */
import { Context, Duration, type Effect, type FileSystem, Layer, type Option, type Path } from "effect"
import type { LeaseLost, RunLeased, RunNotFound } from "./AgentError.ts"
import type { ContinuationToken } from "./ContinuationToken.ts"
import type { RunId, RunStatus } from "./Run.ts"
import type { JournalEntry, NewRun, RunRecord, Signal, Stage } from "./RunRecord.ts"
import * as FileSteps from "./internal/fileSteps.ts"
import * as FileStore from "./internal/fileStore.ts"
import * as MemoryStore from "./internal/memoryStore.ts"
import * as Probe from "./internal/processProbe.ts"
import type { TokenStoreError } from "./TokenStoreError.ts"

/**
 * The right to advance a run until it expires, is released, or is lost. `fence` rises with every new holder.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lease {
  readonly runId: RunId
  readonly owner: string
  readonly fence: number
}

/**
 * What a commit writes: all of it or nothing.
 *
 * **Details**
 *
 * `ordinal` counts the commits of a run: one at or below the stored ordinal succeeds and changes nothing, so that a
 * commit can be sent again after a timeout. `journal` is appended. A `token` of null says that the consumer finished.
 * `setAside` is the reason why workers shall leave the run alone, or null that they need not; without it, and without
 * `attempts`, these stay as they are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Commit {
  readonly ordinal: number
  readonly token: ContinuationToken | null
  readonly status: RunStatus
  readonly journal?: ReadonlyArray<JournalEntry>
  readonly attempts?: number
  readonly setAside?: string | null
}

/**
 * Which runs to list. `unleased` lists only runs that nobody advances now; stores find the runs of one `stage` without
 * looking at the others.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunFilter {
  readonly stage?: Stage
  readonly status?: ReadonlyArray<RunStatus>
  readonly agent?: string
  readonly unleased?: boolean
  /** Where the page before this one ended. */
  readonly cursor?: string
  readonly limit: number
}

/**
 * One page of a listing, oldest first; without `cursor` it is the last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly cursor?: string
}

/**
 * The port to where runs' positions are kept.
 *
 * **Details**
 *
 * Every operation is atomic, and safe to repeat after a timeout: `create` gives back the record that is there,
 * `acquire` the lease that the same owner holds, `commit` at or below the stored ordinal changes nothing, `release` of a
 * lease that is not held any more is nothing. `acquire` with `takeOver` gets the run though another holds it, whose lease
 * is lost then. A fence never goes back. `commit` returns the signals that had reached the
 * run by then, in the same atomic step, so that a worker learns of a cancellation before it opens the next response.
 *
 * @since 0.1.0
 * @category services
 */
export class TokenStore extends Context.Service<
  TokenStore,
  {
    readonly create: (
      run: NewRun
    ) => Effect.Effect<{ readonly record: RunRecord; readonly created: boolean }, TokenStoreError>
    readonly read: (id: RunId) => Effect.Effect<Option.Option<RunRecord>, TokenStoreError>
    readonly acquire: (
      id: RunId,
      options: { readonly owner: string; readonly ttl: Duration.Duration; readonly takeOver?: boolean }
    ) => Effect.Effect<{ readonly lease: Lease; readonly record: RunRecord }, RunNotFound | RunLeased | TokenStoreError>
    readonly renew: (lease: Lease, ttl: Duration.Duration) => Effect.Effect<Lease, LeaseLost | TokenStoreError>
    readonly release: (lease: Lease) => Effect.Effect<void, TokenStoreError>
    readonly commit: (lease: Lease, commit: Commit) => Effect.Effect<ReadonlyArray<Signal>, LeaseLost | TokenStoreError>
    readonly signal: (id: RunId, signal: Signal) => Effect.Effect<void, RunNotFound | TokenStoreError>
    readonly remove: (id: RunId) => Effect.Effect<void, TokenStoreError>
    readonly list: (filter: RunFilter) => Effect.Effect<Page<RunRecord>, TokenStoreError>
  }
>()("@effect-baton/core/TokenStore") {}

/**
 * A store in memory: for tests, and for programs whose runs need not outlive the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = Layer.effect(TokenStore, MemoryStore.make)

/**
 * How `layerFile` calls this process, and tells whether the process that left a lock behind is still alive.
 *
 * **When to use**
 *
 * Provide your own where the default does not know: without Node's `process`, or in a test.
 *
 * **Details**
 *
 * The default asks `globalThis.process`: its `pid`, the name of the host, and `process.kill(pid, 0)`. Where there is no
 * `process`, the process is called 1 on `localhost`, and every other counts as alive.
 *
 * **Example** (Naming the host)
 *
 * ```ts
 * import { TokenStore } from "@effect-baton/core"
 * import { Layer } from "effect"
 *
 * export const probe = Layer.succeed(TokenStore.ProcessProbe, {
 *   pid: process.pid,
 *   host: "worker-7",
 *   isAlive: (pid) => pid === process.pid
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const ProcessProbe: Context.Reference<{
  readonly pid: number
  readonly host: string
  readonly isAlive: (pid: number) => boolean
}> = Probe.ProcessProbe

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
 * `heartbeat` (3 seconds) was missed four times.
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
export const layerFile = (options: {
  readonly directory: string
  readonly heartbeat?: Duration.Input
}): Layer.Layer<TokenStore, TokenStoreError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    TokenStore,
    FileStore.make({
      directory: options.directory,
      heartbeat: Duration.clamp(Duration.fromInputUnsafe(options.heartbeat ?? Duration.seconds(3)), {
        minimum: Duration.millis(50),
        maximum: Duration.minutes(1)
      })
    })
  )

/**
 * The places around the durable steps of `layerFile`, for crash tests: see `Failpoint`.
 *
 * @since 0.1.0
 * @category testing
 */
export const failpointsFile: ReadonlyArray<string> = FileSteps.places
