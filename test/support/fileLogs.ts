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

/** As a process that lives opens it. */
export const layerFileOfMe = (directory: string) => UpdateLog.layerFile({ directory })

// A process that is dead as soon as anybody asks.
const probe = Layer.succeed(ProcessProbe.ProcessProbe, { pid: 9_999_999, host: "here", isAlive: () => false })
export const layerFile = (directory: string) => Layer.provide(layerFileOfMe(directory), probe)

/** Uses the log of a directory, and closes it. */
export const using = <A, E>(directory: string, use: (log: Service) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(UpdateLog.UpdateLog, use), layerFile(directory), { local: true })

/** Opens the log of a directory, as a process does that never closes it. */
export const opened = Effect.fnUntraced(function* (directory: string) {
  const context = yield* Layer.buildWithScope(layerFile(directory), yield* Scope.make())
  return yield* Effect.provide(UpdateLog.UpdateLog, context)
})

export const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "baton-" }))

/** All that can be seen of some runs, without the epochs of those that appended nothing. */
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

/** A line as a file holds it. */
export const line = (payload: string, synced = 0): string => {
  const body = `${synced} ${payload}`
  return `${crc32(body).toString(16).padStart(8, "0")} ${body}\n`
}

/** A test with a disk that can have troubles. */
export const test = (
  name: string,
  effect: Effect.Effect<unknown, unknown, Scope.Scope | FileSystem.FileSystem | Path.Path | Disks.Disk>
) =>
  it.effect(name, () => effect.pipe(Effect.provide(Disks.layer.pipe(Layer.provideMerge(NodeServices.layer)))), 300_000)
