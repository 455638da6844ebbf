import { assert, describe } from "@effect/vitest"
import { TokenStore, UpdateLogError } from "@effect-baton/core"
import { Effect, FileSystem, Layer, Result } from "effect"
import * as Disks from "../support/disks.ts"
import {
  all,
  chunkOf,
  idOf,
  layerFileOfMe,
  line,
  opened,
  type Service,
  stateOf,
  temporary,
  test,
  using
} from "../support/fileLogs.ts"

const ids = ["r-1", "é👍"]

describe("file log: recovery", () => {
  test(
    "a file that is cut at any byte has exactly what was reported as done by then",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const file = `${directory}/updates.log`
      // The length of the file, and what could be read, after each operation.
      const acknowledged: Array<{ readonly length: number; readonly state: unknown }> = []
      // Never closed, because closing rewrites a file with a removed log.
      const first = yield* opened(directory)
      const note = Effect.gen(function* () {
        const length = Number((yield* fs.stat(file)).size)
        acknowledged.push({ length, state: yield* stateOf(first, ids) })
      })
      const [one = "", other = ""] = ids
      const noting = <A, E>(effect: Effect.Effect<A, E>) => Effect.tap(effect, () => note)
      yield* note
      yield* noting(first.open(idOf(one), 1))
      yield* noting(first.append(idOf(one), chunkOf(0, { count: 3, body: "é\n\0" })))
      yield* noting(first.append(idOf(one), chunkOf(3)))
      yield* noting(first.open(idOf(other), 5))
      yield* noting(first.append(idOf(other), chunkOf(0, { epoch: 5, body: "日本語" })))
      yield* noting(first.append(idOf(one), chunkOf(4, { count: 0, ended: true })))
      yield* noting(first.append(idOf(one), chunkOf(4, { count: 0 })))
      yield* noting(first.append(idOf(one), chunkOf(4, { count: 2 })))
      yield* noting(first.truncate(idOf(one), 3))
      yield* noting(first.remove(idOf(other)))
      yield* noting(first.open(idOf(other), 2))
      yield* noting(first.append(idOf(other), chunkOf(0, { epoch: 2, ended: true })))
      const bytes = yield* fs.readFile(file)
      assert.strictEqual(acknowledged.at(-1)?.length, bytes.length)
      yield* Effect.forEach(
        Array.from({ length: bytes.length + 1 }, (_, cut) => cut),
        Effect.fnUntraced(function* (cut) {
          const place = `${directory}/cut-${cut}`
          yield* fs.makeDirectory(place)
          yield* fs.writeFile(`${place}/updates.log`, bytes.subarray(0, cut))
          const expected = acknowledged.findLast(({ length }) => length <= cut)?.state ?? [undefined, undefined]
          assert.deepStrictEqual(yield* using(place, (log) => stateOf(log, ids)), expected, `cut at ${cut}`)
          // Chunks that are appended after the cut are found again.
          if (cut % 16 === 0) {
            yield* using(place, (log) => log.append(idOf("later"), chunkOf(0)))
            const [later, ...again] = yield* using(place, (log) => stateOf(log, ["later", ...ids]))
            assert.deepStrictEqual(again, expected, `cut at ${cut}, and written on`)
            assert.deepStrictEqual(later?.chunks, [chunkOf(0)])
          }
          yield* fs.remove(place, { recursive: true })
        }),
        { concurrency: 8, discard: true }
      )
    })
  )

  test(
    "if a write of concurrent appends is cut, the first ones are there",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const runs = Array.from({ length: 20 }, (_, i) => `r-${i}`)
      yield* using(directory, (log) =>
        Effect.forEach(runs, (id) => log.append(idOf(id), chunkOf(0)), { concurrency: "unbounded" })
      )
      const bytes = yield* fs.readFile(`${directory}/updates.log`)
      let seen = 0
      for (let cut = 0; cut <= bytes.length; cut += 37) {
        const place = `${directory}/cut-${cut}`
        yield* fs.makeDirectory(place)
        yield* fs.writeFile(`${place}/updates.log`, bytes.subarray(0, cut))
        const state = yield* using(place, (log) => stateOf(log, runs))
        const count = state.filter((page) => page !== undefined).length
        assert.isTrue(state.slice(0, count).every((page) => page?.chunks.length === 1))
        assert.isAtLeast(count, seen)
        seen = count
      }
      assert.isAbove(seen, 17)
    })
  )

  /** A file with a header and five lines, each from its own write, and the offsets of the lines. */
  const sample = Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* temporary
    yield* using(directory, (log) =>
      Effect.forEach([0, 1, 2, 3, 4], (from) => log.append(idOf("r-1"), chunkOf(from, { body: "x".repeat(80) })))
    )
    const file = `${directory}/updates.log`
    const bytes = yield* fs.readFile(file)
    const starts = [0]
    bytes.forEach((byte, at) => {
      if (byte === 10) starts.push(at + 1)
    })
    return { fs, directory, file, bytes, starts: starts.slice(1, -1) }
  })
  const lengthOf = (log: Service) => Effect.map(log.read(idOf("r-1"), { from: 0, limit: 0 }), ({ length }) => length)

  test(
    "damage before sound lines is reported with its place, and nothing is changed",
    Effect.gen(function* () {
      const { bytes, directory, file, fs, starts } = yield* sample
      for (const [i, from] of starts.entries()) {
        for (const at of [from, from + 8, from + 9, from + 60]) {
          const damaged = Uint8Array.from(bytes)
          damaged[at] = (damaged[at] ?? 0) ^ 1
          yield* fs.writeFile(file, damaged)
          if (i < starts.length - 1) {
            const error = yield* Effect.flip(using(directory, lengthOf))
            assert.instanceOf(error, UpdateLogError.UpdateLogError)
            assert.strictEqual(error.kind, "corrupt")
            assert.strictEqual(error.operation, "open")
            assert.include(error.message, file)
            assert.include(error.message, `byte ${from}`)
            assert.deepStrictEqual(Uint8Array.from(yield* fs.readFile(file)), damaged)
          } else {
            assert.strictEqual(yield* using(directory, lengthOf), 4)
          }
        }
      }
    })
  )

  test(
    "damage while the log is open fails the read, and other chunks can be read",
    Effect.gen(function* () {
      const { bytes, directory, file, fs, starts } = yield* sample
      const log = yield* opened(directory)
      const damaged = Uint8Array.from(bytes)
      damaged[(starts[2] ?? 0) + 70] = 33
      // In place: the file and its length stay the same.
      yield* Effect.scoped(Effect.flatMap(fs.open(file, { flag: "r+" }), (open) => open.writeAll(damaged)))
      const error = yield* Effect.flip(log.read(idOf("r-1"), { from: 1, limit: 3 }))
      assert.instanceOf(error, UpdateLogError.UpdateLogError)
      assert.strictEqual(error.kind, "corrupt")
      assert.strictEqual(error.operation, "read")
      assert.include(error.message, `byte ${starts[2]}`)
      const { chunks } = yield* log.read(idOf("r-1"), { from: 3, limit: 2 })
      assert.strictEqual(chunks.length, 2)
    })
  )

  test(
    "a file of a later format is not changed, nor is one that is not a log",
    Effect.gen(function* () {
      const { directory, file, fs } = yield* sample
      const whole = "baton-log/1\n"
      for (const [text, kind, part] of [
        ["baton-log/2\nwhatever", "newer", "format 2"],
        ["baton-log/10\n", "newer", "format 10"],
        [`${whole}${line('[2,"r-1","add",0]')}`, "newer", "byte 12"],
        [`${whole}${line('[1,"r-1","rename","r-2"]')}`, "newer", "byte 12"],
        [`${whole}${line('[1,"r-1","add",0,0,1,1,false]')}`, "newer", "byte 12"],
        ["hello", "corrupt", "byte 0"],
        ["\n", "corrupt", "byte 0"],
        ["baton-log/x\n", "corrupt", "byte 0"],
        [`${whole}${line("[]")}`, "corrupt", "byte 12"],
        [`${whole}${line("{}")}`, "corrupt", "byte 12"],
        [`${whole}${line("no json")}`, "corrupt", "byte 12"],
        [
          `${whole}${line('[1,"r","add",0,0,1,1,false,""]')}${line('[1,"r","add",0,2,1,1,false,""]')}`,
          "corrupt",
          "byte 54"
        ],
        [`${whole}${line('[1,"r","cut",2]')}`, "corrupt", "byte 12"]
      ] as const) {
        yield* fs.writeFileString(file, text)
        const error = yield* Effect.flip(using(directory, lengthOf))
        assert.instanceOf(error, UpdateLogError.UpdateLogError, text)
        assert.strictEqual(error.kind, kind, text)
        assert.include(error.message, part, text)
        assert.strictEqual(yield* fs.readFileString(file), text)
      }
    })
  )

  test(
    "a file with an incomplete header is started again",
    Effect.gen(function* () {
      const { directory, file, fs } = yield* sample
      for (const text of ["", "b", "baton-log/1", "\0\0\0\0\0\0\0\0\0\0\0\0"]) {
        yield* fs.writeFileString(file, text)
        assert.deepStrictEqual(yield* using(directory, (log) => stateOf(log, ["r-1"])), [undefined])
        assert.strictEqual(yield* fs.readFileString(file), "baton-log/1\n")
      }
    })
  )

  test(
    "after a crash at any step, all that was reported as done is there, and nothing that was refused",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const id = idOf("r-1")
      const attempt = Effect.fnUntraced(function* (steps: number) {
        const place = `${directory}/after-${steps}`
        disk.log.length = 0
        disk.steps = steps
        const opening = yield* Effect.result(opened(place))
        let acknowledged = 0
        let epoch = 0
        let isGone = false
        if (Result.isSuccess(opening)) {
          const log = opening.success
          for (let i = 0; i < 6; i++) {
            if (i % 3 === 0 && Result.isSuccess(yield* Effect.result(log.open(id, i + 1)))) epoch = i + 1
            const chunk = chunkOf(acknowledged, { count: 2, epoch, body: "x".repeat(200) })
            if (epoch > 0 && Result.isSuccess(yield* Effect.result(log.append(id, chunk)))) acknowledged += 2
          }
          isGone = Result.isSuccess(yield* Effect.result(log.remove(idOf("r-2"))))
        }
        const done = disk.log.length
        disk.steps = Infinity
        yield* using(place, (log) =>
          Effect.gen(function* () {
            const [page] = yield* stateOf(log, ["r-1"])
            const length = page?.length ?? 0
            // The write during the crash can be on the disk, although it was not reported as done.
            assert.isAtLeast(length, acknowledged, `crash after ${steps} steps`)
            assert.isAtMost(length, acknowledged + 2, `crash after ${steps} steps`)
            if (epoch > 1) {
              const fenced = yield* Effect.flip(log.open(id, epoch - 1))
              assert.strictEqual(fenced._tag, "LogFenced")
            }
            const next = chunkOf(length, { epoch: 9, body: "next" })
            yield* log.append(id, next)
            assert.deepStrictEqual((yield* log.read(id, { from: length, limit: 1 })).chunks, [next])
          })
        )
        yield* fs.remove(place, { recursive: true })
        return { done, acknowledged, isGone }
      })
      const whole = yield* attempt(Infinity)
      assert.deepStrictEqual(
        { acknowledged: whole.acknowledged, isGone: whole.isGone },
        { acknowledged: 12, isGone: true }
      )
      for (let steps = 0; steps <= whole.done; steps++) yield* attempt(steps)
    })
  )
})

describe("file log: its directory", () => {
  test(
    "a directory that is open already is refused, and so is that of a token store",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      yield* Layer.build(layerFileOfMe(`${directory}/updates`))
      const again = yield* Effect.flip(Layer.build(layerFileOfMe(`${directory}/updates`)))
      assert.strictEqual(again.kind, "locked")
      assert.include(again.message, "open already")
      yield* Layer.build(TokenStore.layerFile({ directory: `${directory}/runs` }))
      const error = yield* Effect.flip(Layer.build(layerFileOfMe(`${directory}/runs`)))
      assert.strictEqual(error.kind, "denied")
      assert.strictEqual(error.operation, "open")
      assert.include(error.message, "token store")
      assert.include(error.message, `${directory}/runs/updates`)
      assert.isFalse(yield* fs.exists(`${directory}/runs/updates.log`))
    })
  )

  test(
    "a directory that cannot be used fails with an error that says what to do",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      yield* fs.writeFileString(`${directory}/file`, "")
      const look = (place: string) => Effect.flip(using(place, (log) => log.open(idOf("r-1"), 1)))
      for (const place of [`${directory}/file`, `${directory}/file/below`]) {
        const error = yield* look(place)
        assert.instanceOf(error, UpdateLogError.UpdateLogError)
        assert.strictEqual(error.kind, "denied")
        assert.include(error.message, "Give the path of a directory")
      }
      for (const [code, kind] of [
        ["EACCES", "denied"],
        ["EROFS", "denied"],
        ["ENOSPC", "full"],
        ["EIO", "unavailable"]
      ] as const) {
        for (const method of ["makeDirectory", "write", "open"]) {
          disk.refuses = (tried) => (tried === method ? code : undefined)
          const error = yield* look(`${directory}/new`)
          assert.instanceOf(error, UpdateLogError.UpdateLogError)
          assert.strictEqual(error.kind, kind, `${code} at ${method}`)
          assert.strictEqual(error.operation, "open")
        }
      }
      disk.refuses = () => undefined
      yield* using(`${directory}/new/and/deeper`, (log) => log.open(idOf("r-1"), 1))
    })
  )

  test(
    "a process that lost the lock or the file writes and reads nothing",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      for (const take of [
        (directory: string) => fs.remove(`${directory}/lock.1`),
        (directory: string) => fs.rename(`${directory}/updates.log`, `${directory}/moved.log`),
        (directory: string) => Effect.scoped(Effect.flatMap(opened(directory), () => Effect.void))
      ]) {
        const directory = yield* temporary
        const log = yield* opened(directory)
        yield* log.append(idOf("r-1"), chunkOf(0))
        yield* take(directory)
        const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          log.append(idOf("r-1"), chunkOf(1)),
          log.append(idOf("r-1"), chunkOf(0)),
          log.open(idOf("r-1"), 2),
          log.read(idOf("r-1"), { from: 0, limit: all }),
          log.truncate(idOf("r-1"), 0),
          log.remove(idOf("r-1"))
        ]
        for (const operation of operations) {
          const error = yield* Effect.flip(operation)
          assert.instanceOf(error, UpdateLogError.UpdateLogError)
          assert.strictEqual(error.kind, "locked")
          assert.notInclude(error.message.replaceAll(directory, ""), "store")
        }
      }
    })
  )
})
