// Guarantee 15: a file store notices what somebody else does to its directory, and writes nothing over it.
import { assert, describe } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Run } from "@effect-baton/core"
import { Deferred, Duration, Effect, Fiber, FileSystem, Layer, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import * as NFS from "node:fs"
import { TokenStoreContract } from "@effect-baton/testing"
import { type Service, temporary, testOnDisk } from "../support/directories.ts"
import * as Disks from "../support/disks.ts"
import { damages, fill, moments, nearlyFull, openAs, operations, strangerIn } from "./damages.ts"

const { newRun } = TokenStoreContract
const idOf = Run.RunId.make
const ttl = Duration.hours(1)
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const idsOf = (store: Service) =>
  Effect.map(store.list({ limit: 1000 }), ({ items }) => items.map(({ runId }) => String(runId)))

describe("file store: a directory that somebody else changes", () => {
  for (const [moment, at] of moments) {
    testOnDisk(
      `S1: what is not in the file is not reported, if the directory is changed ${moment}`,
      Effect.gen(function* () {
        const disk = yield* Disks.Disk
        const root = yield* temporary
        const full = yield* nearlyFull
        const isRewrite = at !== undefined && !at.file.test("runs.log")
        for (const [i, [name, kind, damage]] of damages.entries()) {
          const directory = `${root}/${i}`
          NFS.mkdirSync(directory)
          if (isRewrite) {
            NFS.writeFileSync(`${directory}/runs.log`, full.log)
            NFS.writeFileSync(`${directory}/lock.0.free`, "")
          }
          const { close, store } = yield* openAs(directory, 8_000_001)
          yield* store.create(newRun("r-1"))
          NFS.cpSync(directory, `${directory}.backup`, { recursive: true })
          const held = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
          const reported: Array<string> = []
          const create = (id: string) =>
            Effect.gen(function* () {
              const result = yield* Effect.result(store.create(newRun(id)))
              if (Result.isFailure(result)) {
                assert.strictEqual(result.failure.kind, kind, `${name}: ${result.failure.message}`)
              } else {
                reported.push(id)
                assert.include(NFS.readFileSync(`${directory}/runs.log`, "utf8"), `"${id}"`, name)
              }
            })
          yield* create("r-2")
          const struck: Array<string> = []
          const isDamaged = () => struck.length > 0
          const strike = () => {
            struck.push(name)
            damage(directory)
          }
          disk.before = (method, path) =>
            Effect.sync(() => {
              if (!isDamaged() && method === at?.method && path.startsWith(directory) && at.file.test(path)) strike()
            })
          if (at === undefined) strike()
          else if (isRewrite) {
            for (let from = full.ordinal; !isDamaged(); from += 50) {
              yield* Effect.exit(fill(store, held.lease, from, 50))
              // A log is written again after its batch was answered.
              for (let turns = 0; turns < 50 && !isDamaged(); turns++) yield* turn
            }
          }
          if (at !== undefined) {
            yield* Effect.all(["r-3", "r-4"].map(create), { concurrency: "unbounded", discard: true })
            yield* create("r-5")
          }
          assert.isTrue(isDamaged(), name)
          disk.before = () => Effect.void
          if (at?.method === "rename" && /the log|a backup is written/.test(name)) {
            // The new log took the place of what somebody did to the old one.
            assert.deepStrictEqual(reported.slice(-1), ["r-5"], name)
            yield* close
            continue
          }
          // By the next heartbeat at the latest nothing works any more.
          let isRead = true
          for (let turns = 0; turns < 5000 && isRead; turns++) {
            // A heartbeat that was still busy with the disk is not waiting for its time yet.
            if (turns % 250 === 0) yield* TestClock.adjust("3 seconds")
            yield* turn
            isRead = yield* Effect.isSuccess(store.read(idOf("r-1")))
          }
          assert.isFalse(isRead, name)
          for (const [operation, effect] of Object.entries(operations(store))) {
            const error = yield* Effect.flip(effect)
            assert.propertyVal(error, "_tag", "TokenStoreError", `${name}: ${operation}`)
            assert.propertyVal(error, "kind", kind, `${name}: ${operation}`)
            assert.propertyVal(error, "operation", operation, name)
          }
          if (!name.startsWith("another's lock")) {
            assert.notIncludeMembers(reported, ["r-5"], name)
            if (!isRewrite) assert.notIncludeMembers(reported, ["r-3"], name)
          }
          // Who opens it now is refused, or is the only one from then on: the first one's end frees nothing of it.
          const second = yield* Effect.result(openAs(directory, 8_000_002))
          yield* close
          if (name === "somebody appends to the log") {
            assert.include(NFS.readFileSync(`${directory}/runs.log`, "utf8"), "hello\n")
          }
          if (Result.isFailure(second)) {
            assert.strictEqual(second.failure.kind, "locked", name)
          } else {
            assert.strictEqual((yield* Effect.flip(openAs(directory, 8_000_003))).kind, "locked", name)
            yield* second.success.store.create(newRun("r-6"))
            const ids = yield* idsOf(second.success.store)
            yield* second.success.close
            const third = yield* openAs(directory, 8_000_003)
            assert.deepStrictEqual(yield* idsOf(third.store), ids, name)
            yield* third.close
          }
        }
      })
    )
  }

  testOnDisk(
    "S1: a log that somebody changed a while ago is left as it is",
    Effect.gen(function* () {
      const root = yield* temporary
      for (const [i, [name, kind, damage]] of damages.entries()) {
        if (kind !== "corrupt") continue
        const directory = `${root}/${i}`
        NFS.mkdirSync(directory)
        const { close, store } = yield* openAs(directory, 8_000_001)
        yield* store.create(newRun("r-1"))
        NFS.cpSync(directory, `${directory}.backup`, { recursive: true })
        yield* store.create(newRun("r-2"))
        damage(directory)
        const before = NFS.readFileSync(`${directory}/runs.log`, "utf8")
        // No heartbeat comes.
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual((yield* Effect.flip(store.create(newRun("r-3")))).kind, "corrupt", name)
        yield* close
        assert.strictEqual(NFS.readFileSync(`${directory}/runs.log`, "utf8"), before, name)
      }
    })
  )

  testOnDisk(
    "S1: if files have no numbers, the lock is read",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const without = (info: FileSystem.File.Info) => ({ ...info, ino: Option.none() })
      const unnumbered = Layer.succeed(FileSystem.FileSystem, {
        ...fs,
        stat: (path) => Effect.map(fs.stat(path), without),
        open: (path, options) =>
          Effect.map(fs.open(path, options), (file) => ({
            [FileSystem.FileTypeId]: FileSystem.FileTypeId,
            stat: Effect.map(file.stat, without),
            sync: file.sync,
            seek: (offset, from) => file.seek(offset, from),
            read: (buffer, read) => file.read(buffer, read),
            readAlloc: (size, read) => file.readAlloc(size, read),
            truncate: (length) => file.truncate(length),
            write: (buffer) => file.write(buffer),
            writeAll: (bytes) => file.writeAll(bytes)
          }))
      })
      const { close, store } = yield* Effect.provide(openAs(directory, 8_000_001), unnumbered)
      yield* store.create(newRun("r-1"))
      NFS.writeFileSync(`${directory}/another`, strangerIn(directory))
      NFS.renameSync(`${directory}/another`, `${directory}/lock.1`)
      assert.strictEqual((yield* Effect.flip(store.create(newRun("r-2")))).kind, "locked")
      yield* close
    })
  )

  testOnDisk(
    "S1: what was lost once is lost, also if it comes back",
    Effect.gen(function* () {
      const directory = `${yield* temporary}/runs`
      const { close, store } = yield* openAs(directory, 8_000_001)
      yield* store.create(newRun("r-1"))
      NFS.renameSync(directory, `${directory}.away`)
      assert.strictEqual((yield* Effect.flip(store.create(newRun("r-2")))).kind, "locked")
      NFS.renameSync(`${directory}.away`, directory)
      for (const effect of Object.values(operations(store))) {
        assert.propertyVal(yield* Effect.flip(effect), "kind", "locked")
      }
      yield* close
      const next = yield* openAs(directory, 8_000_002)
      // What failed may be there or not.
      assert.includeMembers(yield* idsOf(next.store), ["r-1"])
      yield* next.close
    })
  )

  /** Opens it on the disk that is given, while time goes by. */
  const takeOver = Effect.fnUntraced(function* <A, E, R>(opening: Effect.Effect<A, E, R>) {
    const next = yield* Effect.forkChild(opening, { startImmediately: true })
    while (next.pollUnsafe() === undefined) {
      yield* turn
      yield* TestClock.adjust("1 seconds")
    }
    return yield* Fiber.join(next)
  })

  const loseLock = (directory: string) => {
    for (const name of NFS.readdirSync(directory)) if (/^lock\.\d+$/.test(name)) NFS.rmSync(`${directory}/${name}`)
  }

  for (const [moment, at] of [
    ["before a write", { method: "write", file: /runs\.log$/ }],
    ["before it cuts what a write left", { method: "truncate", file: /runs\.log$/ }],
    ["during a write", { method: "sync", file: /runs\.log$/ }],
    ["before it begins a new log", { method: "open", file: /\.new$/ }],
    ["before its new log takes its place", { method: "rename", file: /\.new$/ }]
  ] as const) {
    for (const how of ["fell silent", "lost its lock"]) {
      testOnDisk(
        `S1: an owner that ${how}, and goes on ${moment}, changes nothing of the next one's`,
        Effect.gen(function* () {
          const disk = yield* Disks.Disk
          const directory = `${yield* temporary}/runs`
          const full = yield* nearlyFull
          const isRewrite = at.file.test("runs.log.new")
          NFS.mkdirSync(directory)
          if (isRewrite) NFS.writeFileSync(`${directory}/runs.log`, full.log)
          const first = yield* openAs(directory, 8_000_001, how === "fell silent" ? "elsewhere" : "here")
          yield* first.store.create(newRun("r-1"))
          const held = yield* first.store.acquire(idOf("r-1"), { owner: "a", ttl })
          // It stands still at a change, and its heart does too.
          const arrived = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          disk.before = (method, path) =>
            method === "utimes"
              ? Deferred.await(go)
              : method === at.method && at.file.test(path)
                ? Effect.andThen(Deferred.succeed(arrived, undefined), Deferred.await(go))
                : Effect.void
          if (at.method === "truncate") disk.room = 10
          const late = yield* Effect.forkChild(
            isRewrite
              ? Effect.gen(function* () {
                  for (let from = full.ordinal; ; from += 50) yield* fill(first.store, held.lease, from, 50)
                })
              : first.store.create(newRun("late")),
            { startImmediately: true }
          )
          yield* Deferred.await(arrived)
          if (how === "lost its lock") loseLock(directory)
          const second = yield* takeOver(
            Effect.provide(openAs(directory, 8_000_002), NodeServices.layer, { local: true })
          )
          yield* second.store.create(newRun("r-2"))
          // Also if the log was written again after that.
          yield* second.store.create(newRun("r-2b"))
          yield* Deferred.succeed(go, undefined)
          const end = yield* Effect.flip(Fiber.join(late))
          assert.propertyVal(end, "_tag", "TokenStoreError")
          if (at.method !== "truncate") assert.propertyVal(end, "kind", "locked")
          assert.strictEqual((yield* Effect.flip(first.store.create(newRun("later")))).kind, "locked")
          disk.room = Infinity
          yield* first.close
          yield* second.store.create(newRun("r-3"))
          const ids = yield* idsOf(second.store)
          assert.includeMembers(ids, ["r-1", "r-2", "r-3"])
          assert.strictEqual((yield* Effect.flip(openAs(directory, 8_000_003))).kind, "locked")
          yield* second.close
          const third = yield* openAs(directory, 8_000_003)
          assert.deepStrictEqual(yield* idsOf(third.store), ids)
          yield* third.close
          assert.deepStrictEqual(
            NFS.readdirSync(directory).filter((name) => !/^lock\.\d+\.free$/.test(name)),
            ["runs.log"]
          )
        })
      )
    }
  }

  for (const how of ["fell silent", "lost its lock"]) {
    testOnDisk(
      `S1: who could not copy the log of an owner that ${how} leaves that to the next`,
      Effect.gen(function* () {
        const disk = yield* Disks.Disk
        const directory = `${yield* temporary}/runs`
        disk.before = (method, path) => (method === "utimes" && path.endsWith("lock.1") ? Effect.never : Effect.void)
        const first = yield* openAs(directory, 8_000_001, how === "fell silent" ? "elsewhere" : "here")
        yield* first.store.create(newRun("r-1"))
        const { ino } = NFS.statSync(`${directory}/runs.log`)
        if (how === "lost its lock") loseLock(directory)
        disk.refuses = (method, path) => (method === "write" && path.endsWith(".new") ? "EIO" : undefined)
        const refused = yield* takeOver(Effect.flip(openAs(directory, 8_000_002)))
        assert.strictEqual(refused.kind, "unavailable")
        assert.strictEqual(NFS.statSync(`${directory}/runs.log`).ino, ino)
        disk.refuses = () => undefined
        const third = yield* openAs(directory, 8_000_003)
        const copied = NFS.statSync(`${directory}/runs.log`).ino
        assert.notStrictEqual(copied, ino)
        assert.deepStrictEqual(yield* idsOf(third.store), ["r-1"])
        assert.strictEqual((yield* Effect.flip(first.store.create(newRun("late")))).kind, "locked")
        yield* third.close
        // Once is enough.
        yield* (yield* openAs(directory, 8_000_003)).close
        assert.strictEqual(NFS.statSync(`${directory}/runs.log`).ino, copied)
        yield* first.close
      })
    )
  }
})
