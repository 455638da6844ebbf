// Places to crash at: each operation that changes a disk passes two, however it is asked for.
import { NodeServices } from "@effect/platform-node"
import { Run, UpdateLog } from "@effect-baton/core"
import { Failpoint } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stream } from "effect"
import { basename } from "node:path"

const bytes = new TextEncoder().encode("hello")

const operations: ReadonlyArray<
  readonly [
    name: string,
    run: (fs: FileSystem.FileSystem, at: string) => Effect.Effect<unknown, unknown>,
    ...Array<string>
  ]
> = [
  ["writeFile", (fs, at) => fs.writeFile(`${at}/new`, bytes), "write new"],
  ["writeFileString", (fs, at) => fs.writeFileString(`${at}/new`, "hello"), "write new"],
  ["sink", (fs, at) => Stream.run(Stream.succeed(bytes), fs.sink(`${at}/new`)), "open new", "write new"],
  ["copyFile", (fs, at) => fs.copyFile(`${at}/old`, `${at}/new`), "copyFile new"],
  ["copy", (fs, at) => fs.copy(`${at}/old`, `${at}/new`), "copy new"],
  ["link", (fs, at) => fs.link(`${at}/old`, `${at}/new`), "link new"],
  ["symlink", (fs, at) => fs.symlink(`${at}/old`, `${at}/new`), "symlink new"],
  ["rename", (fs, at) => fs.rename(`${at}/old`, `${at}/new`), "rename old"],
  ["truncate", (fs, at) => fs.truncate(`${at}/old`, 1), "truncate old"],
  ["remove", (fs, at) => fs.remove(`${at}/old`), "remove old"],
  ["readFileString", (fs, at) => fs.readFileString(`${at}/old`)],
  ["stream", (fs, at) => Stream.runDrain(fs.stream(`${at}/old`))]
]

describe("Failpoint.layerFileSystem", () => {
  it.live.each(operations)("%s", ([, run, ...steps]) => {
    const reached: Array<string> = []
    const layer = Failpoint.layerFileSystem(({ of, side, step }) =>
      Effect.sync(() => void reached.push(`${step} ${basename(of)}:${side}`))
    ).pipe(Layer.provide(NodeServices.layer))
    return Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const at = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFile(`${at}/old`, bytes)
      reached.length = 0
      yield* run(fs, at)
      assert.deepStrictEqual(
        reached,
        steps.flatMap((step) => [`${step}:before`, `${step}:after`])
      )
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})

describe("Failpoint.layerUpdateLog", () => {
  it.effect("passes two places at each operation that writes", () => {
    const reached: Array<string> = []
    const layer = Failpoint.layerUpdateLog(({ of, side, step }) =>
      Effect.sync(() => void reached.push(`${step} ${of}:${side}`))
    ).pipe(Layer.provide(UpdateLog.layerMemory))
    return Effect.gen(function* () {
      const log = yield* UpdateLog.UpdateLog
      const id = Run.RunId.make("r")
      yield* log.open(id, 1)
      yield* log.append(id, { from: 0, count: 1, epoch: 1, ended: false, body: "" })
      yield* log.read(id, { from: 0, limit: 1 })
      yield* log.truncate(id, 1)
      yield* log.remove(id)
      assert.deepStrictEqual(
        reached,
        Failpoint.stepsOfUpdateLog.flatMap((step) => [`${step} r:before`, `${step} r:after`])
      )
    }).pipe(Effect.provide(layer))
  })
})
