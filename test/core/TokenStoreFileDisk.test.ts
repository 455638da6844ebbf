// Guarantee 15: what a file store does on a disk that is full, slow, or fails.
import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Run, type RunRecord, TokenStore, TokenStoreError } from "@effect-baton/core"
import { Deferred, Duration, Effect, Exit, Fiber, FileSystem, Layer, Option, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { TokenStoreContract } from "@effect-baton/testing"
import {
  layerFile,
  leave,
  moving,
  opened,
  requested,
  type Service,
  start,
  stateOf,
  temporary,
  testOnDisk,
  using
} from "../support/directories.ts"
import * as Disks from "../support/disks.ts"

const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make
const ttl = Duration.seconds(30)
const said = { incarnation: 1, by: "a" }
const refused = (turn: number): RunRecord.NewFact => ({ _tag: "Refused", ...said, turn, try: "1" })

const mount = (directory: string) =>
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], { stdio: "ignore" })

const unmount = (directory: string) => execFileSync("umount", ["-l", directory], { stdio: "ignore" })

const small = Option.liftThrowable(() => {
  const directory = mkdtempSync(join(tmpdir(), "baton-mount-"))
  mount(directory)
  unmount(directory)
  rmdirSync(directory)
})()

if (Option.isNone(small)) process.stderr.write("No small disk can be mounted here: not tested on a real full disk.\n")

describe("file store: troubles of the disk", () => {
  testOnDisk(
    "on a full disk operations fail, the state is the last durable one, and room makes it work again",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const store = yield* opened(directory)
      const lease = yield* start(store, "r-1")
      yield* store.commit(lease, commitOf("r-1", 1))
      const before = yield* stateOf(store)
      for (const room of [0, 1, 50, 500]) {
        disk.room = room
        const failed = yield* Effect.forEach(
          Array.from({ length: 10 }, (_, i) => i),
          (i) => Effect.flip(store.commit(lease, commitOf("r-1", 2 + i, { facts: [requested(i)] }))),
          { concurrency: "unbounded" }
        )
        for (const error of failed) {
          assert.strictEqual(error._tag, "TokenStoreError")
          if (error._tag === "TokenStoreError") {
            assert.strictEqual(error.kind, "full")
            assert.strictEqual(error.operation, "commit")
            assert.isTrue(error.isRetryable)
          }
        }
        assert.deepStrictEqual(yield* stateOf(store), before)
        disk.room = 10_000
        yield* store.renew(lease, ttl, 0)
      }
      disk.room = Infinity
      yield* store.commit(lease, commitOf("r-1", 2, { facts: [refused(0)] }))
      const after = yield* stateOf(store)
      assert.strictEqual(after[0]?.journal.length, 1)
      assert.deepStrictEqual(yield* using(directory, stateOf), after)
    })
  )

  // Needs the right to mount: elsewhere this is the one test that is skipped, and says so.
  it.live.runIf(Option.isSome(small))(
    "on a real disk that is full too",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporary
        yield* Effect.acquireRelease(
          Effect.sync(() => mount(directory)),
          () => Effect.sync(() => unmount(directory))
        )
        const store = yield* opened(`${directory}/runs`)
        const lease = yield* start(store, "r-1")
        yield* store.commit(lease, commitOf("r-1", 1))
        yield* fs.writeFile(`${directory}/ballast`, new Uint8Array(50_000))
        const facts = Array.from({ length: 500 }, (_, turn) => requested(turn))
        const error = yield* Effect.flip(store.commit(lease, commitOf("r-1", 2, { facts })))
        assert.instanceOf(error, TokenStoreError.TokenStoreError)
        assert.strictEqual(error.kind, "full")
        assert.strictEqual((yield* stateOf(store))[0]?.ordinal, 1)
        assert.strictEqual(
          (yield* Effect.flip(store.commit(lease, commitOf("r-1", 2, { facts })))).message,
          error.message
        )
        yield* fs.remove(`${directory}/ballast`)
        yield* store.commit(lease, commitOf("r-1", 2, { facts }))
        assert.strictEqual((yield* using(`${directory}/runs`, stateOf))[0]?.journal.length, 500)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    300_000
  )

  testOnDisk(
    "a write that cannot be synced, nor taken back, is not there later",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const store = yield* opened(directory)
      yield* store.create(newRun("r-1"))
      disk.refuses = (method) => (method === "sync" || method === "truncate" ? "EIO" : undefined)
      const error = yield* Effect.flip(store.create(newRun("r-2")))
      assert.strictEqual(error.kind, "unavailable")
      assert.strictEqual((yield* Effect.flip(store.create(newRun("r-2")))).kind, "unavailable")
      disk.refuses = () => undefined
      yield* store.create(newRun("r-3"))
      const ids = (state: ReadonlyArray<RunRecord.RunRecord>) => state.map(({ runId }) => String(runId))
      assert.deepStrictEqual(ids(yield* stateOf(store)), ["r-1", "r-3"])
      assert.deepStrictEqual(ids(yield* using(directory, stateOf)), ["r-1", "r-3"])
    })
  )

  testOnDisk(
    "a commit is one write and one sync, however many are made at once",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const store = yield* opened(yield* temporary)
      const leases = yield* Effect.forEach(
        Array.from({ length: 64 }, (_, i) => `r-${i}`),
        (id) => start(store, id)
      )
      disk.log.length = 0
      yield* Effect.forEach(leases, (lease) => store.commit(lease, commitOf(lease.runId, 1)), {
        concurrency: "unbounded",
        discard: true
      })
      assert.deepStrictEqual(disk.log, ["write runs.log", "sync runs.log"])
      // Leases end with the process: keeping one writes nothing, nor does giving one up if nothing else changes.
      disk.log.length = 0
      yield* Effect.forEach(leases, (lease) => store.renew(lease, ttl, 0))
      yield* Effect.forEach(leases, (lease) => store.release(lease, leave))
      assert.deepStrictEqual(disk.log, [])
      // When the run is work again is written.
      yield* Effect.forEach(leases, ({ runId }) => store.acquire(runId, { owner: "a", ttl }))
      assert.strictEqual(disk.log.splice(0).length, 128)
      yield* Effect.forEach(
        leases,
        ({ runId }) =>
          Effect.flatMap(store.acquire(runId, { owner: "a", ttl }), ({ lease }) =>
            store.release(lease, { ...leave, due: Duration.infinity })
          ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(disk.log, ["write runs.log", "sync runs.log"])
    })
  )

  testOnDisk(
    "what was computed on a write that fails fails with it",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const store = yield* opened(directory)
      disk.refuses = (method, path) => (method === "write" && path.endsWith("runs.log") ? "EROFS" : undefined)
      const results = yield* Effect.all(
        [
          Effect.flip(store.create(newRun("r-1"))),
          // These answer for a run that is not durable.
          Effect.flip(store.create(newRun("r-1"))),
          Effect.flip(store.acquire(idOf("r-1"), { owner: "a", ttl })),
          Effect.flip(store.acquire(idOf("r-1"), { owner: "b", ttl })),
          Effect.flip(store.record(idOf("r-1"), requested(0), 0))
        ],
        { concurrency: "unbounded" }
      )
      for (const error of results) {
        assert.strictEqual(error._tag, "TokenStoreError")
        if (error._tag === "TokenStoreError") assert.strictEqual(error.kind, "denied")
      }
      disk.refuses = () => undefined
      assert.deepStrictEqual(yield* store.read(idOf("r-1")), Option.none())
      assert.isTrue((yield* store.create(newRun("r-1"))).created)
    })
  )

  testOnDisk(
    "a lease that was renewed while a write failed is not lost",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const store = yield* opened(yield* temporary)
      const lease = yield* start(store, "r-1")
      yield* TestClock.adjust("20 seconds")
      yield* store.renew(lease, ttl, 0)
      disk.room = 0
      yield* Effect.flip(store.commit(lease, commitOf("r-1", 1)))
      disk.room = Infinity
      yield* TestClock.adjust("20 seconds")
      yield* store.commit(lease, commitOf("r-1", 1))
    })
  )

  testOnDisk(
    "a directory that cannot be used fails with what to do",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      yield* fs.writeFileString(`${directory}/file`, "")
      for (const place of [`${directory}/file`, `${directory}/file/below`]) {
        const error = yield* Effect.flip(using(place, stateOf))
        assert.strictEqual(error.kind, "denied")
        assert.include(error.message, "Give the path of a directory")
      }
      for (const [code, kind] of [
        ["EACCES", "denied"],
        ["EROFS", "denied"],
        ["ENOSPC", "full"],
        ["EIO", "unavailable"]
      ] as const) {
        for (const failing of ["makeDirectory", "write", "open"]) {
          disk.refuses = (method) => (method === failing ? code : undefined)
          const error = yield* Effect.flip(using(`${directory}/new`, stateOf))
          assert.strictEqual(error.kind, kind, `${code} at ${failing}`)
          assert.strictEqual(error.operation, "open")
        }
      }
      disk.refuses = () => undefined
      assert.deepStrictEqual(yield* using(`${directory}/new/and/deeper`, stateOf), [])
    })
  )

  testOnDisk(
    "closing writes what is waiting",
    Effect.gen(function* () {
      const directory = yield* temporary
      const scope = yield* Scope.make()
      const store = yield* Effect.provide(
        TokenStore.TokenStore,
        yield* Layer.buildWithScope(layerFile(directory), scope)
      )
      const fiber = yield* Effect.forkDetach(
        Effect.forEach(["r-1", "r-2", "r-3"], (id) => store.create(newRun(id)), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* Scope.close(scope, Exit.void)
      assert.isDefined(fiber.pollUnsafe())
      assert.strictEqual((yield* using(directory, stateOf)).length, 3)
      const error = yield* Effect.flip(store.create(newRun("r-4")))
      assert.strictEqual(error.kind, "closed")
      assert.include(error.message, "closed")
    })
  )

  testOnDisk(
    "closing does not wait for a disk that hangs, and goes on when it comes back",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const scope = yield* Scope.make()
      const store = yield* Effect.provide(
        TokenStore.TokenStore,
        yield* Layer.buildWithScope(layerFile(directory), scope)
      )
      const back = yield* Deferred.make<void>()
      disk.waits = Deferred.await(back)
      const creating = yield* Effect.forkChild(store.create(newRun("r-1")), { startImmediately: true })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.isUndefined(creating.pollUnsafe())
      yield* Deferred.succeed(back, undefined)
      assert.isTrue((yield* Fiber.join(creating)).created)
      const fs = yield* FileSystem.FileSystem
      yield* Effect.repeat(fs.readDirectory(directory), { until: (names) => names.includes("lock.1.free") })
    })
  )

  testOnDisk(
    "a rewrite that the machine does not live through loses nothing",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      // A log that the next writes bring over the limit.
      const origin = `${directory}/origin`
      const fill = (store: Service, lease: TokenStore.Lease, from: number, count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, i) => from + i),
          (ordinal) => store.commit(lease, moving("r-1", ordinal)),
          { concurrency: "unbounded", discard: true }
        )
      let ordinal = 0
      yield* using(origin, (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-2"))
          const lease = yield* start(store, "r-1")
          while (Number((yield* fs.stat(`${origin}/runs.log`)).size) < (1 << 20) - 30_000) {
            yield* fill(store, lease, ordinal + 1, 200)
            ordinal += 200
          }
        })
      )
      const attempt = Effect.fnUntraced(function* (steps: number) {
        const place = `${directory}/after-${steps}`
        yield* fs.makeDirectory(place)
        yield* fs.copyFile(`${origin}/runs.log`, `${place}/runs.log`)
        const store = yield* opened(place)
        const { lease } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
        disk.log.length = 0
        disk.steps = steps
        let acknowledged = ordinal
        for (let i = 0; i < 12; i++) {
          const result = yield* Effect.result(fill(store, lease, acknowledged + 1, 50))
          if (Result.isSuccess(result)) acknowledged += 50
        }
        const done = [...disk.log]
        disk.steps = Infinity
        const state = yield* using(place, stateOf)
        assert.deepStrictEqual(
          state.map(({ runId }) => String(runId)),
          ["r-1", "r-2"],
          `crash after ${steps} steps`
        )
        assert.isAtLeast(state[0]?.ordinal ?? 0, acknowledged, `crash after ${steps} steps`)
        yield* fs.remove(place, { recursive: true })
        return { done, rewritten: done.some((step) => /^rename runs\.log\..+\.new$/.test(step)) }
      })
      const whole = yield* attempt(Infinity)
      assert.isTrue(whole.rewritten)
      // The new log is on the disk before it takes the old one's place, and the directory before anything follows.
      const renamed = whole.done.findIndex((step) => /^rename runs\.log\..+\.new$/.test(step))
      assert.match(whole.done[renamed - 1] ?? "", /^sync runs\.log\..+\.new$/)
      assert.strictEqual(whole.done[renamed + 1], "sync after-Infinity")
      for (let steps = 0; steps <= whole.done.length; steps++) yield* attempt(steps)
    }),
    300_000
  )

  testOnDisk(
    "a rewrite that fails leaves the store working",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const store = yield* opened(directory)
      const lease = yield* start(store, "r-1")
      disk.refuses = (method, path) => (path.endsWith(".new") && method === "rename" ? "EACCES" : undefined)
      const fill = (from: number) =>
        Effect.forEach(
          Array.from({ length: 400 }, (_, i) => from + i),
          (ordinal) => store.commit(lease, moving("r-1", ordinal)),
          { concurrency: "unbounded", discard: true }
        )
      for (let i = 0; i < 30; i++) yield* fill(i * 400 + 1)
      assert.isAbove(Number((yield* fs.stat(`${directory}/runs.log`)).size), 1 << 20)
      disk.refuses = () => undefined
      let smallest = Number.POSITIVE_INFINITY
      for (let i = 30; i < 70; i++) {
        yield* fill(i * 400 + 1)
        smallest = Math.min(smallest, Number((yield* fs.stat(`${directory}/runs.log`)).size))
      }
      assert.isBelow(smallest, 1 << 20)
      assert.strictEqual((yield* using(directory, stateOf))[0]?.ordinal, 70 * 400)
    }),
    300_000
  )
})
