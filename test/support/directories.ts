import { NodeServices } from "@effect/platform-node"
import { ProcessProbe, Run, type RunRecord, TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { it } from "@effect/vitest"
import { Duration, Effect, Exit, FileSystem, Layer, type Path, Scope } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import { crc32 } from "node:zlib"
import * as Disks from "./disks.ts"

// Stores in directories, opened and left as processes do that live and die.

export type Service = TokenStore.TokenStore["Service"]

const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make
// A process that is dead as soon as anybody asks.
const probe = Layer.succeed(ProcessProbe.ProcessProbe, { pid: 9_999_999, host: "here", isAlive: () => false })
/** The store of a directory, in such a process. */
export const layerFile = (directory: string) => Layer.provide(TokenStore.layerFile({ directory }), probe)

/** Uses the store of a directory, and closes it. */
export const using = <A, E>(directory: string, use: (store: Service) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(TokenStore.TokenStore, use), layerFile(directory), { local: true })

/** Opens the store of a directory, as a process does that never closes it. */
export const opened = Effect.fnUntraced(function* (directory: string) {
  const context = yield* Layer.buildWithScope(layerFile(directory), yield* Scope.make())
  return yield* Effect.provide(TokenStore.TokenStore, context)
})

/** Opens the store of a directory in a scope of its own. */
export const open = Effect.fnUntraced(function* (
  directory: string,
  options: { readonly heartbeat?: Duration.Input; readonly probe?: (typeof ProcessProbe.ProcessProbe)["Service"] } = {}
) {
  const scope = yield* Scope.make()
  const layer = TokenStore.layerFile({
    directory,
    ...(options.heartbeat === undefined ? {} : { heartbeat: options.heartbeat })
  })
  const context = yield* Layer.buildWithScope(
    options.probe === undefined ? layer : Layer.provide(layer, Layer.succeed(ProcessProbe.ProcessProbe, options.probe)),
    scope
  ).pipe(Effect.onError(() => Scope.close(scope, Exit.void)))
  return { store: yield* Effect.provide(TokenStore.TokenStore, context), close: Scope.close(scope, Exit.void) }
})

/** A directory that is deleted at the end of the test. */
export const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "baton-" }))

/** All runs of a store, whoever holds them. */
export const stateOf = (store: Service) =>
  Effect.map(store.list({ limit: 1000 }), ({ items }) => items.map((record) => ({ ...record, lease: null })))

/** Creates a run, and takes it. */
export const start = (store: Service, id: string) =>
  Effect.gen(function* () {
    yield* store.create(newRun(id))
    return (yield* store.acquire(idOf(id), { owner: "a", ttl: Duration.seconds(30) })).lease
  })

const said = { incarnation: 1, by: "a" }
export const requested = (turn: number): RunRecord.NewFact => ({ _tag: "Requested", ...said, turn, try: "1" })
export const leave: TokenStore.ReleaseOptions = { seen: Number.MAX_SAFE_INTEGER, due: Duration.zero, attempt: "keep" }

/** Anybody says that the run must stop. */
export const cancel = (store: Service, id: string) =>
  Effect.gen(function* () {
    const { incarnation } = yield* Effect.flatMap(store.read(idOf(id)), Effect.fromOption)
    return yield* store.record(idOf(id), { _tag: "CancelRequested", incarnation, by: "b" }, 0)
  })

/** A commit whose position differs from that before it in two fields. */
export const moving = (id: string, ordinal: number): TokenStore.Commit => {
  const { position } = commitOf(id, ordinal)
  const status = ordinal % 2 === 0 ? "queued" : "in_progress"
  return {
    seen: Number.MAX_SAFE_INTEGER,
    ...(position === undefined ? {} : { position: { ordinal, token: { ...position.token, status } } })
  }
}

/** A line as a log holds it. */
export const logLine = (payload: string, synced = 0): string => {
  const body = `${synced} ${payload}`
  return `${crc32(body).toString(16).padStart(8, "0")} ${body}\n`
}

/** A test on a disk of its own, on which things can go wrong. */
export const testOnDisk = (
  name: string,
  effect: Effect.Effect<unknown, unknown, Scope.Scope | FileSystem.FileSystem | Path.Path | Disks.Disk>,
  timeout = 300_000
) =>
  it.effect(name, () => effect.pipe(Effect.provide(Disks.layer.pipe(Layer.provideMerge(NodeServices.layer)))), timeout)

/** A test on the disk of this machine, with time as it goes by. */
export const testLive = (
  name: string,
  effect: Effect.Effect<
    unknown,
    unknown,
    Scope.Scope | FileSystem.FileSystem | Path.Path | ChildProcessSpawner.ChildProcessSpawner
  >
) => it.live(name, () => Effect.provide(effect, NodeServices.layer), 300_000)
