import { NodeServices } from "@effect/platform-node"
import { TokenStore, TokenStoreError, UpdateLog } from "@effect-baton/core"
import { Context, Effect, FileSystem, Layer } from "effect"
import { disk } from "./time.ts"

type Service = TokenStore.TokenStore["Service"]
type Store = Layer.Layer<TokenStore.TokenStore>

/** A store with some operations changed. */
export const changing = (store: Store, change: (inner: Service) => Partial<Service>): Store =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.map(TokenStore.TokenStore, (inner) => ({ ...inner, ...change(inner) }))
  ).pipe(Layer.provide(store))

/** The store cannot be reached. */
export const storeAway = (operation: string): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({ operation, kind: "unavailable", description: "away" })

/** What an operation of a store is passed through: with the facts that it writes. */
export type Passing = <A, E>(
  operation: keyof Service,
  effect: Effect.Effect<A, E>,
  facts?: ReadonlyArray<{ readonly _tag: string }>
) => Effect.Effect<A, E | TokenStoreError.TokenStoreError>

/** A store whose operations pass through something each. Its hints are those of the store. */
export const passed = (inner: Service, through: Passing): Service => ({
  create: (run, options) => through("create", inner.create(run, options), options?.facts),
  read: (id) => through("read", inner.read(id)),
  acquire: (id, options) => through("acquire", inner.acquire(id, options)),
  claim: (options) => through("claim", inner.claim(options)),
  renew: (lease, ttl, seen) => through("renew", inner.renew(lease, ttl, seen)),
  release: (lease, options) => through("release", inner.release(lease, options)),
  commit: (lease, commit) => through("commit", inner.commit(lease, commit), commit.facts),
  record: (id, fact, seen) => through("record", inner.record(id, fact, seen), [fact]),
  conclude: (id, options) => through("conclude", inner.conclude(id, options), options.facts),
  remove: (lease, options) => through("remove", inner.remove(lease, options)),
  list: (filter) => through("list", inner.list(filter)),
  count: (filter) => through("count", inner.count(filter)),
  shards: inner.shards,
  wakeups: inner.wakeups,
  wake: (id) => through("wake", inner.wake(id))
})

/** A store on a disk or a server, whose answers take real time, for which the test clock waits. */
export const awaited = (layer: Store): Store => {
  const timed = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.acquireUseRelease(
      Effect.sync(() => void disk.busy++),
      () => effect,
      () => Effect.sync(() => void disk.busy--)
    )
  return changing(layer, (inner) => passed(inner, (_, effect) => timed(effect)))
}

const file: Store = awaited(
  Layer.unwrap(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      return TokenStore.layerFile({ directory: yield* fs.makeTempDirectoryScoped({ prefix: "baton-" }) })
    })
  ).pipe(Layer.provide(NodeServices.layer), Layer.orDie)
)

/** Every store that the guarantees hold over. */
export const stores: ReadonlyArray<{ readonly name: string; readonly layer: Store }> = [
  { name: "memory", layer: TokenStore.layerMemory },
  { name: "file", layer: file },
  { name: "logged memory", layer: Layer.merge(TokenStore.layerMemory, UpdateLog.layerMemory) }
]

/** A commit that reached a store. */
export interface Recorded {
  readonly at: number
  readonly lease: TokenStore.Lease
  readonly commit: TokenStore.Commit
}

/** What reached a store: the operations by name, and the commits. */
export class Recorder extends Context.Service<
  Recorder,
  {
    readonly operations: Array<keyof Service>
    readonly commits: Array<Recorded>
    /** Called with each commit before the store has it. */
    onCommit: (commit: TokenStore.Commit) => void
  }
>()("test/Recorder") {}

/** A store whose operations are recorded as they arrive. */
export const recording = (store: Store): Layer.Layer<TokenStore.TokenStore | Recorder> =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.gen(function* () {
      const inner = yield* TokenStore.TokenStore
      const recorder = yield* Recorder
      const committing: Service["commit"] = (lease, commit) =>
        Effect.clockWith((clock) => {
          recorder.commits.push({ at: clock.currentTimeMillisUnsafe(), lease, commit })
          recorder.onCommit(commit)
          return inner.commit(lease, commit)
        })
      return passed({ ...inner, commit: committing }, (operation, effect) =>
        Effect.suspend(() => {
          recorder.operations.push(operation)
          return effect
        })
      )
    })
  ).pipe(
    Layer.provide(store),
    Layer.provideMerge(Layer.sync(Recorder, () => ({ operations: [], commits: [], onCommit: () => {} })))
  )
