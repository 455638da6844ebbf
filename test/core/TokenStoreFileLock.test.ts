// Guarantee 15: whose lock of a file store counts, and whose is left behind.
import { assert, describe } from "@effect/vitest"
import { type ProcessProbe, Run, TokenStoreError } from "@effect-baton/core"
import { Deferred, Duration, Effect, Fiber, FileSystem, Layer, Option, PlatformError, Random, Result } from "effect"
import { TokenStoreContract } from "@effect-baton/testing"
import { open, temporary, testLive } from "../support/directories.ts"

type Probe = (typeof ProcessProbe.ProcessProbe)["Service"]
const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make

describe("file store: locks", () => {
  const elsewhere: Probe = { pid: 7_000_001, host: "elsewhere", isAlive: () => false }

  testLive(
    "of many who race for a place whose owners die, one holds it at any time",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      // Every look and every change takes its time, so that all come between all.
      const slow = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.gen(function* () {
          const far = (yield* Random.nextIntBetween(0, 10)) === 0
          for (let i = yield* Random.nextIntBetween(0, far ? 100 : 5); i > 0; i--)
            yield* Effect.promise(() => new Promise(setImmediate))
          return yield* effect
        })
      const slowly = Layer.succeed(FileSystem.FileSystem, {
        ...fs,
        readDirectory: (path) => slow(fs.readDirectory(path)),
        readFileString: (path) => slow(fs.readFileString(path)),
        writeFileString: (path, text, options) => slow(fs.writeFileString(path, text, options)),
        link: (from, to) => slow(fs.link(from, to)),
        rename: (from, to) => slow(fs.rename(from, to)),
        remove: (path, options) => slow(fs.remove(path, options))
      })
      const alive = new Set<number>()
      const holding = new Set<number>()
      let won = 0
      const contender = (pid: number) =>
        Effect.gen(function* () {
          alive.add(pid)
          const held = yield* Effect.result(
            open(directory, { probe: { pid, host: "here", isAlive: (other) => alive.has(other) } })
          )
          if (Result.isSuccess(held)) {
            won++
            holding.add(pid)
            assert.deepStrictEqual([...holding], [pid])
            yield* Effect.sleep("1 millis")
            holding.delete(pid)
            // Half of them die, the others leave.
            if (yield* Random.nextBoolean) yield* held.success.close
          } else {
            assert.strictEqual(held.failure.kind, "locked")
          }
          alive.delete(pid)
        }).pipe(Effect.provide(slowly))
      yield* Effect.forEach(
        Array.from({ length: 6 }, (_, i) => i),
        (i) =>
          Effect.gen(function* () {
            for (let round = 0; round < 60; round++) yield* contender(8_000_000 + i * 1000 + round)
          }),
        { concurrency: "unbounded", discard: true }
      )
      // How many are in time for their turn is the machine's affair; that none held it beside another was asserted above.
      assert.isAbove(won, 0)
      assert.isBelow((yield* fs.readDirectory(directory)).length, 12)
    })
  )

  testLive(
    "who acts on an old look gives way to who took the place since",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const alive = new Set([2, 3, 4].map((n) => 8_000_000 + n))
      const as = (n: number) => ({
        probe: { pid: 8_000_000 + n, host: "here", isAlive: (pid: number) => alive.has(pid) }
      })
      yield* open(directory, as(1))
      // The second sees the first dead, and is held up just before it takes the place.
      const arrived = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const heldUp = Layer.succeed(FileSystem.FileSystem, {
        ...fs,
        link: (from, to) =>
          Effect.andThen(Effect.andThen(Deferred.succeed(arrived, undefined), Deferred.await(go)), fs.link(from, to))
      })
      const second = yield* Effect.forkChild(Effect.flip(Effect.provide(open(directory, as(2)), heldUp)))
      yield* Deferred.await(arrived)
      yield* (yield* open(directory, as(3))).close
      const { close, store } = yield* open(directory, as(4))
      yield* Deferred.succeed(go, undefined)
      const error = yield* Fiber.join(second)
      assert.strictEqual(error.kind, "locked")
      assert.include(error.message, "8000004")
      yield* store.create(newRun("r-1"))
      yield* close
    })
  )

  testLive(
    "an owner on another host is not asked but listened to, and its place taken when it falls silent",
    Effect.gen(function* () {
      const directory = yield* temporary
      const { close, store } = yield* open(directory, { heartbeat: "50 millis", probe: elsewhere })
      yield* store.create(newRun("r-1"))
      const error = yield* Effect.flip(open(directory))
      assert.strictEqual(error.kind, "locked")
      assert.include(error.message, "7000001 on 'elsewhere'")
      // The owner is gone without a word: its file stays, and nothing touches it.
      const fs = yield* FileSystem.FileSystem
      const lock = (yield* fs.readDirectory(directory)).find((name) => name.startsWith("lock.")) ?? ""
      const text = yield* fs.readFileString(`${directory}/${lock}`)
      yield* close
      yield* fs.remove(`${directory}/${lock}.free`)
      yield* fs.writeFileString(`${directory}/${lock}`, text)
      const begun = Date.now()
      const next = yield* open(directory)
      assert.isAtLeast(Date.now() - begun, 190)
      assert.isTrue(Option.isSome(yield* next.store.read(idOf("r-1"))))
      yield* next.close
    })
  )

  testLive(
    "a pid that another process has got since is not the owner's",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const { close } = yield* open(directory)
      const text = yield* fs.readFileString(`${directory}/lock.1`)
      yield* close
      if (/"started":""/.test(text)) return yield* Effect.logWarning("This system does not tell when a process started")
      yield* fs.writeFileString(`${directory}/lock.2`, text.replace(/"started":"\d+"/, `"started":"1"`))
      yield* (yield* open(directory)).close
    })
  )

  testLive(
    "a lock that was never finished does not hold for ever",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      for (const text of ["", `{"pid":`, "null", `{"pid":-1}`]) {
        yield* fs.remove(directory, { recursive: true, force: true })
        yield* fs.makeDirectory(directory)
        yield* fs.writeFileString(`${directory}/lock.5`, text)
        yield* (yield* open(directory, { heartbeat: "50 millis" })).close
        assert.deepStrictEqual((yield* fs.readDirectory(directory)).toSorted(), ["lock.6.free", "runs.log"])
      }
    })
  )

  testLive(
    "who was overtaken writes nothing any more",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const { close, store } = yield* open(directory, { heartbeat: "50 millis" })
      yield* store.create(newRun("r-1"))
      const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl: Duration.minutes(1) })
      yield* fs.writeFileString(`${directory}/lock.9`, "{}")
      yield* Effect.sleep("500 millis")
      const before = yield* fs.readFileString(`${directory}/runs.log`)
      const committed = yield* Effect.flip(store.commit(lease, commitOf("r-1", 1)))
      const renewed = yield* Effect.flip(store.renew(lease, Duration.minutes(1), 0))
      const read = yield* Effect.flip(store.read(idOf("r-1")))
      for (const error of [committed, renewed, read]) {
        assert.instanceOf(error, TokenStoreError.TokenStoreError)
        assert.strictEqual(error.kind, "locked")
        assert.include(error.message, "Another process took")
      }
      assert.strictEqual(yield* fs.readFileString(`${directory}/runs.log`), before)
      yield* close
    })
  )

  testLive(
    "a file system without links will do",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const unlinked = Layer.succeed(FileSystem.FileSystem, {
        ...fs,
        link: (from) =>
          Effect.fail(
            PlatformError.systemError({ _tag: "Unknown", module: "FileSystem", method: "link", pathOrDescriptor: from })
          )
      })
      const { close } = yield* Effect.provide(open(directory), unlinked)
      assert.strictEqual((yield* Effect.flip(open(directory))).kind, "locked")
      yield* close
    })
  )
})
