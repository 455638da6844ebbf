import { NodeServices } from "@effect/platform-node"
import { ProcessProbe, Run, UpdateLog } from "@effect-baton/core"
import { UpdateLogContract } from "@effect-baton/testing"
import { it } from "@effect/vitest"
import { Effect, FileSystem, Layer, type Path, Scope } from "effect"
import { crc32 } from "node:zlib"
import * as Disks from "./disks.ts"

export type Service = UpdateLog.UpdateLog["Service"]

export const { chunkOf } = UpdateLogContract
export const idOf = Run.RunId.make
export const all = 1_000_000

/** A log that a live process opens. */
export const layerFileOfMe = (directory: string, options: UpdateLog.RetentionOptions = {}) =>
  UpdateLog.layerFile({ directory, ...options })

// A process that counts as dead.
const probe = Layer.succeed(ProcessProbe.ProcessProbe, { pid: 9_999_999, host: "here", isAlive: () => false })
/** A log of a process that counts as dead, so that another process can open its directory at once. */
export const layerFile = (directory: string, options: UpdateLog.RetentionOptions = {}) =>
  Layer.provide(layerFileOfMe(directory, options), probe)

/** Opens the log of a directory, uses it, and closes it. */
export const using = <A, E>(directory: string, use: (log: Service) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(UpdateLog.UpdateLog, use), layerFile(directory), { local: true })

/** Opens the log of a directory, and never closes it. */
export const opened = Effect.fnUntraced(function* (directory: string, options: UpdateLog.RetentionOptions = {}) {
  const context = yield* Layer.buildWithScope(layerFile(directory, options), yield* Scope.make())
  return yield* Effect.provide(UpdateLog.UpdateLog, context)
})

export const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "baton-" }))

/** What can be read of some runs. */
export const stateOf = (log: Service, ids: ReadonlyArray<string>) =>
  Effect.forEach(ids, (id) =>
    Effect.gen(function* () {
      const first = yield* Effect.match(log.read(idOf(id), { from: 0, limit: all }), {
        onSuccess: (page) => page.first,
        onFailure: (error) => (error._tag === "LogTruncated" ? error.first : undefined)
      })
      return first === undefined ? undefined : yield* log.read(idOf(id), { from: first, limit: all })
    })
  )

/** A line with its checksum, as in a file. */
export const line = (payload: string, synced = 0): string => {
  const body = `${synced} ${payload}`
  return `${crc32(body).toString(16).padStart(8, "0")} ${body}\n`
}

/** A test on a disk that can fail. */
export const test = (
  name: string,
  effect: Effect.Effect<unknown, unknown, Scope.Scope | FileSystem.FileSystem | Path.Path | Disks.Disk>
) =>
  it.effect(name, () => effect.pipe(Effect.provide(Disks.layer.pipe(Layer.provideMerge(NodeServices.layer)))), 300_000)
