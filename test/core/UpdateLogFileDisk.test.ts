import { assert, describe } from "@effect/vitest"
import { UpdateLog, UpdateLogError } from "@effect-baton/core"
import { Deferred, Effect, Exit, Fiber, FileSystem, Layer, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Disks from "../support/disks.ts"
import {
  all,
  chunkOf,
  idOf,
  layerFile,
  opened,
  type Service,
  stateOf,
  temporary,
  test,
  using
} from "../support/fileLogs.ts"

const id = idOf("r-1")
const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const sizeOf = (directory: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) =>
    Effect.map(fs.stat(`${directory}/updates.log`), ({ size }) => Number(size))
  )

/** Opens the log of a directory, with a scope to close it. */
const scoped = Effect.fnUntraced(function* (directory: string) {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(layerFile(directory), scope)
  return { scope, log: yield* Effect.provide(UpdateLog.UpdateLog, context) }
})

const kindOf = (error: unknown) => (error instanceof UpdateLogError.UpdateLogError ? error.kind : error)

describe("file log: troubles of the disk", () => {
  test(
    "concurrent appends are one write and one sync, also for different runs",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const log = yield* opened(yield* temporary)
      const runs = range(64).map((i) => idOf(`r-${i}`))
      yield* Effect.forEach(runs, (run) => log.open(run, 1), { concurrency: "unbounded" })
      disk.log.length = 0
      yield* Effect.forEach(runs, (run) => log.append(run, chunkOf(0, { count: 5 })), { concurrency: "unbounded" })
      assert.deepStrictEqual(disk.log, ["write updates.log", "sync updates.log"])
      for (const run of runs) {
        const { chunks } = yield* log.read(run, { from: 0, limit: 1 })
        assert.deepStrictEqual(chunks, [chunkOf(0, { count: 5 })])
      }
      // Repetitions and reads write nothing.
      yield* Effect.forEach(runs, (run) => log.append(run, chunkOf(0, { count: 5 })))
      yield* Effect.forEach(runs, (run) => log.open(run, 1))
      yield* log.truncate(idOf("r-1"), 100)
      yield* log.remove(idOf("nowhere"))
      assert.deepStrictEqual(disk.log.splice(0), ["write updates.log", "sync updates.log"])
      // Also many chunks of one run.
      yield* Effect.forEach(range(64), (i) => log.append(id, chunkOf(5 + i)), { concurrency: "unbounded" })
      assert.deepStrictEqual(disk.log, ["write updates.log", "sync updates.log"])
    })
  )

  test(
    "on a full disk appends fail, the state is the last durable one, and they work again with room",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const log = yield* opened(directory)
      yield* log.open(id, 1)
      yield* log.append(id, chunkOf(0))
      const before = yield* stateOf(log, ["r-1", "r-2"])
      for (const room of [0, 1, 50, 500]) {
        disk.room = room
        const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          ...range(10).map((i) => log.append(id, chunkOf(1 + i, { body: "x".repeat(100) }))),
          log.open(id, 2),
          log.open(idOf("r-2"), 1),
          log.truncate(id, 1),
          log.remove(id)
        ]
        const failed = yield* Effect.forEach(operations, Effect.flip, { concurrency: "unbounded" })
        assert.deepStrictEqual(
          failed.map(kindOf),
          failed.map(() => "full")
        )
        const [first] = failed
        assert.strictEqual(first instanceof UpdateLogError.UpdateLogError && first.operation, "append")
        assert.deepStrictEqual(yield* stateOf(log, ["r-1", "r-2"]), before)
      }
      disk.room = Infinity
      // The epoch that could not open the log refuses nothing.
      yield* log.append(id, chunkOf(1, { body: "there is room" }))
      const after = yield* stateOf(log, ["r-1", "r-2"])
      assert.deepStrictEqual(after[0]?.chunks, [chunkOf(0), chunkOf(1, { body: "there is room" })])
      assert.deepStrictEqual(yield* using(directory, (again) => stateOf(again, ["r-1", "r-2"])), after)
    })
  )

  test(
    "a write that cannot be synced nor removed is not there later",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const log = yield* opened(directory)
      yield* log.append(id, chunkOf(0))
      disk.refuses = (method) => (method === "sync" || method === "truncate" ? "EIO" : undefined)
      for (let i = 0; i < 2; i++) {
        const error = yield* Effect.flip(log.append(id, chunkOf(1, { body: "lost" })))
        assert.strictEqual(kindOf(error), "unavailable")
      }
      disk.refuses = () => undefined
      yield* log.append(id, chunkOf(1, { body: "kept" }))
      const expected = [chunkOf(0), chunkOf(1, { body: "kept" })]
      assert.deepStrictEqual((yield* stateOf(log, ["r-1"]))[0]?.chunks, expected)
      const again = yield* using(directory, (other) => stateOf(other, ["r-1"]))
      assert.deepStrictEqual(again[0]?.chunks, expected)
    })
  )

  test(
    "if a write fails, the results that depend on it fail too",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const log = yield* opened(directory)
      disk.refuses = (method, path) => (method === "write" && path.endsWith("updates.log") ? "EROFS" : undefined)
      const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        log.open(id, 3),
        // These depend on what is not durable, also if they are refused or repeated.
        log.open(id, 3),
        log.open(id, 2),
        log.append(id, chunkOf(0, { epoch: 3 })),
        log.append(id, chunkOf(0, { epoch: 3 })),
        log.append(id, chunkOf(5, { epoch: 3 })),
        log.append(id, chunkOf(0, { epoch: 2 })),
        log.truncate(id, 0)
      ]
      const failed = yield* Effect.forEach(operations, Effect.flip, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        failed.map(kindOf),
        failed.map(() => "denied")
      )
      disk.refuses = () => undefined
      assert.strictEqual((yield* Effect.flip(log.read(id, { from: 0, limit: 1 })))._tag, "LogNotFound")
      assert.deepStrictEqual(yield* log.open(id, 1), { length: 0, bytes: 0 })
    })
  )

  test(
    "readers see durable chunks only, and do not wait for a write",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const log = yield* opened(yield* temporary)
      yield* log.append(id, chunkOf(0))
      const back = yield* Deferred.make<void>()
      disk.waits = Deferred.await(back)
      const appending = yield* Effect.forkChild(log.append(id, chunkOf(1)), { startImmediately: true })
      const repeating = yield* Effect.forkChild(log.append(id, chunkOf(1)), { startImmediately: true })
      const fenced = yield* Effect.forkChild(Effect.flip(log.append(id, chunkOf(9))), { startImmediately: true })
      for (let i = 0; i < 50; i++) {
        const { chunks, length } = yield* log.read(id, { from: 0, limit: 10 })
        assert.deepStrictEqual({ chunks, length }, { chunks: [chunkOf(0)], length: 1 })
      }
      for (const fiber of [appending, repeating, fenced]) assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(back, undefined)
      assert.strictEqual((yield* Fiber.join(appending)).length, 2)
      assert.strictEqual((yield* Fiber.join(repeating)).length, 2)
      const error = yield* Fiber.join(fenced)
      assert.deepStrictEqual(error._tag === "LogGap" ? error.length : error, 2)
      assert.strictEqual((yield* log.read(id, { from: 0, limit: 10 })).length, 2)
    })
  )

  test(
    "closing writes what is queued, and later operations fail",
    Effect.gen(function* () {
      const directory = yield* temporary
      const { log, scope } = yield* scoped(directory)
      const fiber = yield* Effect.forkDetach(
        Effect.forEach(range(3), (i) => log.append(idOf(`r-${i}`), chunkOf(0)), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* Scope.close(scope, Exit.void)
      assert.isDefined(fiber.pollUnsafe())
      const state = yield* using(directory, (again) => stateOf(again, ["r-0", "r-1", "r-2"]))
      assert.deepStrictEqual(
        state.map((page) => page?.length),
        [1, 1, 1]
      )
      const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        log.open(id, 1),
        log.append(id, chunkOf(1)),
        log.read(id, { from: 0, limit: 1 }),
        log.truncate(id, 1),
        log.remove(id)
      ]
      for (const operation of operations) assert.strictEqual(kindOf(yield* Effect.flip(operation)), "closed")
    })
  )

  test(
    "closing does not wait for a disk that hangs, and goes on in the background",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const { log, scope } = yield* scoped(directory)
      const back = yield* Deferred.make<void>()
      disk.waits = Deferred.await(back)
      const appending = yield* Effect.forkChild(log.append(id, chunkOf(0)), { startImmediately: true })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.isUndefined(appending.pollUnsafe())
      yield* Deferred.succeed(back, undefined)
      assert.strictEqual((yield* Fiber.join(appending)).length, 1)
      yield* Effect.repeat(fs.readDirectory(directory), { until: (names) => names.includes("lock.1.free") })
    })
  )
})

describe("file log: rewriting", () => {
  // 20 KB a chunk: the file can be rewritten after about 50 of them.
  const large = (from: number, letter = "x") => chunkOf(from, { body: `é\n${letter}`.repeat(5_000) })
  const keep = Effect.fnUntraced(function* (log: Service) {
    yield* log.open(idOf("kept"), 3)
    yield* log.append(idOf("kept"), chunkOf(0, { count: 2, epoch: 3, body: "first" }))
    yield* log.open(idOf("kept"), 7)
    yield* log.open(idOf("empty"), 9)
    yield* log.append(idOf("cut"), chunkOf(0, { count: 4 }))
    yield* log.append(idOf("cut"), chunkOf(4, { count: 2 }))
    yield* log.truncate(idOf("cut"), 4)
  })
  /** Checks what `keep` has written, and the epochs. */
  const isKept = Effect.fnUntraced(function* (log: Service) {
    const [kept, empty, cut] = yield* stateOf(log, ["kept", "empty", "cut"])
    assert.deepStrictEqual(kept?.chunks, [chunkOf(0, { count: 2, epoch: 3, body: "first" })])
    assert.deepStrictEqual(empty, { chunks: [], first: 0, length: 0, ended: false })
    assert.deepStrictEqual(cut, { chunks: [chunkOf(4, { count: 2 })], first: 4, length: 6, ended: false })
    for (const [name, epoch] of [
      ["kept", 7],
      ["empty", 9]
    ] as const) {
      const error = yield* Effect.flip(log.open(idOf(name), epoch - 1))
      assert.strictEqual(error._tag === "LogFenced" && error.epoch, epoch)
    }
  })

  test(
    "a file of which most is not needed is rewritten, and has what is needed",
    Effect.gen(function* () {
      const directory = yield* temporary
      const end = yield* using(directory, (log) =>
        Effect.gen(function* () {
          yield* keep(log)
          for (let i = 0; i < 300; i++) {
            yield* log.append(id, large(i))
            if (i % 10 === 9) yield* log.truncate(id, i - 4)
          }
          yield* isKept(log)
          return (yield* stateOf(log, ["r-1"]))[0]
        })
      )
      assert.isBelow(yield* sizeOf(directory), 2 << 20)
      assert.deepStrictEqual(
        end?.chunks,
        range(5).map((i) => large(295 + i))
      )
      yield* using(directory, (log) =>
        Effect.gen(function* () {
          yield* isKept(log)
          assert.deepStrictEqual((yield* stateOf(log, ["r-1"]))[0], end)
        })
      )
    })
  )

  test(
    "a read during a rewrite succeeds",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const log = yield* opened(directory)
      yield* keep(log)
      yield* Effect.forEach(range(10), (i) => log.append(idOf("read"), large(i, "r")))
      const before = yield* stateOf(log, ["read", "kept"])
      let renames = 0
      // A reader starts before each change that a rewrite makes.
      const readers: Array<Fiber.Fiber<unknown, unknown>> = []
      disk.before = (method, path) =>
        Effect.gen(function* () {
          if (method === "rename" && path.endsWith(".new")) renames++
          if (!path.endsWith(".new")) return
          readers.push(yield* Effect.forkDetach(stateOf(log, ["read", "kept"]), { startImmediately: true }))
          // This read is in the middle of its file when the file is replaced.
          const [page] = yield* stateOf(log, ["read"])
          assert.strictEqual(page?.length, 10)
        }).pipe(Effect.orDie)
      for (let round = 0; round < 8; round++) {
        yield* Effect.forEach(range(40), (i) => log.append(id, large(i)), { concurrency: "unbounded" })
        yield* log.remove(id)
      }
      yield* log.append(id, large(0))
      disk.before = () => Effect.void
      assert.isAtLeast(renames, 2)
      assert.isAtLeast(readers.length, 6)
      for (const reader of readers) assert.deepStrictEqual(yield* Fiber.join(reader), before)
      yield* isKept(log)
    })
  )

  test(
    "a crash during a rewrite loses nothing",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const origin = `${directory}/origin`
      yield* using(origin, (log) =>
        Effect.gen(function* () {
          yield* keep(log)
          // A few more chunks make the file large enough to be rewritten.
          yield* Effect.forEach(range(38), (i) => log.append(id, large(i)), { concurrency: "unbounded" })
          yield* log.truncate(id, 37)
        })
      )
      const attempt = Effect.fnUntraced(function* (steps: number) {
        const place = `${directory}/after-${steps}`
        yield* fs.makeDirectory(place)
        yield* fs.copyFile(`${origin}/updates.log`, `${place}/updates.log`)
        const log = yield* opened(place)
        disk.log.length = 0
        disk.steps = steps
        let acknowledged = 38
        for (let i = 0; i < 6; i++) {
          if (Result.isSuccess(yield* Effect.result(log.append(id, large(acknowledged))))) acknowledged++
        }
        const done = [...disk.log]
        disk.steps = Infinity
        yield* using(place, (again) =>
          Effect.gen(function* () {
            yield* isKept(again)
            const [page] = yield* stateOf(again, ["r-1"])
            assert.isAtLeast(page?.length ?? 0, acknowledged, `crash after ${steps} steps`)
            assert.deepStrictEqual(
              page?.chunks,
              range(page?.chunks.length ?? 0).map((i) => large(37 + i))
            )
          })
        )
        yield* fs.remove(place, { recursive: true })
        return done
      })
      const done = yield* attempt(Infinity)
      // The new file is durable before it replaces the old one, and the new name is durable before the next write.
      const renamed = done.findIndex((step) => /^rename updates\.log\..+\.new$/.test(step))
      assert.isAbove(renamed, 0)
      assert.match(done[renamed - 1] ?? "", /^sync updates\.log\..+\.new$/)
      assert.strictEqual(done[renamed + 1], "sync after-Infinity")
      for (let steps = 0; steps <= done.length; steps++) yield* attempt(steps)
    })
  )

  test(
    "the log works after a rewrite that fails, also because of damage",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const log = yield* opened(directory)
      yield* keep(log)
      disk.refuses = (method, path) => (path.endsWith(".new") && method === "rename" ? "EACCES" : undefined)
      const fill = Effect.gen(function* () {
        yield* Effect.forEach(range(60), (i) => log.append(id, large(i)), { concurrency: "unbounded" })
        yield* log.remove(id)
      })
      for (let i = 0; i < 3; i++) yield* fill
      assert.isAbove(yield* sizeOf(directory), 3 << 20)
      yield* isKept(log)
      disk.refuses = () => undefined
      for (let i = 0; i < 3; i++) yield* fill
      yield* log.append(id, large(0))
      assert.isBelow(yield* sizeOf(directory), 3 << 20)
      yield* isKept(log)
      // A line that cannot be read stays: the file is not rewritten.
      const text = yield* fs.readFile(`${directory}/updates.log`)
      const at = new TextDecoder("latin1").decode(text).indexOf('"first"')
      text[at + 1] = 88
      yield* Effect.scoped(
        Effect.flatMap(fs.open(`${directory}/updates.log`, { flag: "r+" }), (open) => open.writeAll(text))
      )
      for (let i = 0; i < 4; i++) yield* fill
      assert.isAbove(yield* sizeOf(directory), 4 << 20)
      const error = yield* Effect.flip(log.read(idOf("kept"), { from: 0, limit: all }))
      assert.strictEqual(kindOf(error), "corrupt")
      assert.strictEqual((yield* log.read(idOf("cut"), { from: 4, limit: all })).chunks.length, 1)
    })
  )
})
