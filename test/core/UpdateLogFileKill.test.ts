import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { UpdateLog } from "@effect-baton/core"
import { Effect, FileSystem, Option, Random, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { wholeLines } from "../../examples/line.ts"
import { all, idOf, temporary } from "../support/fileLogs.ts"
import { program } from "../support/program.ts"

const fileLog = program(new URL("fileLog.program.ts", import.meta.url))
const kills = 16
const seed = "baton"
const runs = Array.from({ length: 8 }, (_, i) => `r-${i}`)

describe("file log: kill -9", () => {
  it.live(
    "every append that was reported as done is there once, however often the process is killed",
    () =>
      Effect.gen(function* () {
        const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporary
        let acknowledged = new Map<string, number>()
        let between = 0
        let rewritten = 0
        let inode: bigint | undefined
        for (let kill = 1; kill <= kills; kill++) {
          const lines = yield* Random.nextIntBetween(1, 400)
          const child = yield* spawner.spawn(
            ChildProcess.make(process.execPath, [yield* fileLog, directory, `${kill}`], { stderr: "inherit" })
          )
          let said = 0
          yield* child.stdout.pipe(
            Stream.decodeText(),
            wholeLines,
            Stream.runForEach((line) => {
              const match = /^(open|ack) (r-\d) (\d+)$/.exec(line)
              assert.isNotNull(match, line)
              const [, , runId = "", length = ""] = match
              if (match[1] === "ack") acknowledged.set(runId, Number(length))
              // The next process can also find chunks whose append was not reported as done.
              else assert.isAtLeast(Number(length), acknowledged.get(runId) ?? 0, `${runId} in process ${kill}`)
              said++
              return said === lines ? Effect.ignore(child.kill({ killSignal: "SIGKILL" })) : Effect.void
            })
          )
          if (said > lines) between++
          const { ino } = yield* fs.stat(`${directory}/updates.log`)
          if (inode !== undefined && inode !== Option.getOrUndefined(ino)) rewritten++
          inode = Option.getOrUndefined(ino)
          yield* Effect.provide(
            Effect.gen(function* () {
              const log = yield* UpdateLog.UpdateLog
              const lengths = new Map<string, number>()
              for (const runId of runs) {
                const first = yield* Effect.match(log.read(idOf(runId), { from: 0, limit: 0 }), {
                  onSuccess: () => 0,
                  onFailure: (error) => (error._tag === "LogTruncated" ? error.first : undefined)
                })
                if (first === undefined) continue
                const { chunks, length } = yield* log.read(idOf(runId), { from: first, limit: all })
                assert.isAtLeast(length, acknowledged.get(runId) ?? 0, `${runId} after kill ${kill}`)
                let at = first
                let epoch = 0
                for (const chunk of chunks) {
                  assert.deepStrictEqual([chunk.from, chunk.count], [at, (at % 3) + 1])
                  assert.strictEqual(chunk.body, `${runId} ${at} ${chunk.epoch} ${"é\n".repeat(2_000 + (at % 1_000))}`)
                  assert.isAtLeast(chunk.epoch, epoch)
                  at += chunk.count
                  epoch = chunk.epoch
                }
                assert.strictEqual(at, length)
                lengths.set(runId, length)
              }
              acknowledged = lengths
            }),
            UpdateLog.layerFile({ directory }),
            { local: true }
          )
        }
        console.log(
          `killed ${kills} processes (seed ${seed}), ${between} of which said something after the signal; ${rewritten} had rewritten the file`
        )
        assert.isAtLeast(rewritten, 3)
        assert.strictEqual(acknowledged.size, runs.length)
        for (const length of acknowledged.values()) assert.isAbove(length, 100)
      }).pipe(Random.withSeed(seed), Effect.scoped, Effect.provide(NodeServices.layer)),
    600_000
  )
})
