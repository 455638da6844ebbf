import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
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

// A real disk takes real time, for which the test clock waits.
const timed = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    disk.busy++
    return effect
  }).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        disk.busy--
      })
    )
  )

const file: Store = changing(
  Layer.unwrap(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      return TokenStore.layerFile({ directory: yield* fs.makeTempDirectoryScoped({ prefix: "baton-" }) })
    })
  ).pipe(Layer.provide(NodeServices.layer), Layer.orDie),
  (inner) => ({
    create: (run, options) => timed(inner.create(run, options)),
    read: (id) => timed(inner.read(id)),
    acquire: (id, options) => timed(inner.acquire(id, options)),
    renew: (lease, ttl, seen) => timed(inner.renew(lease, ttl, seen)),
    release: (lease, options) => timed(inner.release(lease, options)),
    commit: (lease, commit) => timed(inner.commit(lease, commit)),
    record: (id, fact, seen) => timed(inner.record(id, fact, seen)),
    conclude: (id, options) => timed(inner.conclude(id, options)),
    remove: (lease, options) => timed(inner.remove(lease, options)),
    list: (filter) => timed(inner.list(filter))
  })
)

/** Every store that the guarantees hold over. */
export const stores: ReadonlyArray<{ readonly name: string; readonly layer: Store }> = [
  { name: "memory", layer: TokenStore.layerMemory },
  { name: "file", layer: file }
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
      const note = <A, E>(operation: keyof Service, effect: Effect.Effect<A, E>) =>
        Effect.suspend(() => {
          recorder.operations.push(operation)
          return effect
        })
      return {
        create: (run, options) => note("create", inner.create(run, options)),
        read: (id) => note("read", inner.read(id)),
        acquire: (id, options) => note("acquire", inner.acquire(id, options)),
        renew: (lease, ttl, seen) => note("renew", inner.renew(lease, ttl, seen)),
        release: (lease, options) => note("release", inner.release(lease, options)),
        commit: (lease, commit) =>
          note(
            "commit",
            Effect.clockWith((clock) => {
              recorder.commits.push({ at: clock.currentTimeMillisUnsafe(), lease, commit })
              recorder.onCommit(commit)
              return inner.commit(lease, commit)
            })
          ),
        record: (id, fact, seen) => note("record", inner.record(id, fact, seen)),
        conclude: (id, options) => note("conclude", inner.conclude(id, options)),
        remove: (lease, options) => note("remove", inner.remove(lease, options)),
        list: (filter) => note("list", inner.list(filter))
      }
    })
  ).pipe(
    Layer.provide(store),
    Layer.provideMerge(Layer.sync(Recorder, () => ({ operations: [], commits: [], onCommit: () => {} })))
  )
