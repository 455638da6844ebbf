import { assert, describe } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { TestClock } from "effect/testing"
import * as Disks from "../support/disks.ts"
import { chunkOf, idOf, opened, stateOf, temporary, test, using } from "../support/fileLogs.ts"

const secret = "my secret"
const id = idOf("r-1")

const textOf = (directory: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(`${directory}/updates.log`))
const hasSecret = (directory: string) => Effect.map(textOf(directory), (text) => text.includes(secret))
/** Waits until the file is rewritten without the secret. */
const erased = (directory: string) =>
  Effect.repeat(hasSecret(directory), { while: (has) => has, times: 20_000 }).pipe(
    Effect.map((has) => assert.isFalse(has, "the file is rewritten"))
  )

describe("file log: erasing", () => {
  test(
    "the content of a removed log leaves the file within an hour, and other logs stay",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const log = yield* opened(directory)
      yield* log.append(id, chunkOf(0, { body: secret }))
      yield* log.open(idOf("r-2"), 7)
      yield* log.append(idOf("r-2"), chunkOf(0, { epoch: 7, body: "stays" }))
      const before = yield* stateOf(log, ["r-2"])
      yield* log.remove(id)
      assert.isTrue(yield* hasSecret(directory))
      yield* TestClock.adjust("59 minutes")
      assert.isTrue(yield* hasSecret(directory))
      yield* TestClock.adjust("1 minute")
      yield* erased(directory)
      assert.deepStrictEqual(yield* stateOf(log, ["r-1", "r-2"]), [undefined, ...before])
      assert.strictEqual((yield* Effect.flip(log.open(idOf("r-2"), 6)))._tag, "LogFenced")
      yield* log.append(idOf("r-2"), chunkOf(1, { epoch: 7 }))
      // If no log was removed, the file is not rewritten.
      disk.log.length = 0
      yield* log.truncate(idOf("r-2"), 1)
      yield* TestClock.adjust("3 hours")
      yield* log.append(idOf("r-2"), chunkOf(2, { epoch: 7 }))
      assert.isEmpty(disk.log.filter((step) => step.startsWith("rename")))
      const after = yield* stateOf(log, ["r-1"])
      assert.deepStrictEqual(yield* using(directory, (again) => stateOf(again, ["r-1"])), after)
    })
  )

  test(
    "the content of a removed log leaves the file when the log is closed",
    Effect.gen(function* () {
      const directory = yield* temporary
      yield* using(directory, (log) =>
        Effect.gen(function* () {
          yield* log.append(id, chunkOf(0, { body: secret }))
          yield* log.append(idOf("r-2"), chunkOf(0, { body: "stays" }))
          yield* log.remove(id)
        })
      )
      assert.isFalse(yield* hasSecret(directory))
      const [gone, page] = yield* using(directory, (log) => stateOf(log, ["r-1", "r-2"]))
      assert.isUndefined(gone)
      assert.deepStrictEqual(page?.chunks, [chunkOf(0, { body: "stays" })])
    })
  )

  test(
    "if the process dies before the rewrite, the next one rewrites the file",
    Effect.gen(function* () {
      for (const end of ["close", "wait"] as const) {
        const directory = yield* temporary
        const log = yield* opened(directory)
        yield* log.append(id, chunkOf(0, { body: secret }))
        yield* log.remove(id)
        if (end === "close") {
          yield* using(directory, () => Effect.void)
          assert.isFalse(yield* hasSecret(directory))
        } else {
          yield* opened(directory)
          assert.isTrue(yield* hasSecret(directory))
          yield* TestClock.adjust("1 hour")
          yield* erased(directory)
        }
      }
    })
  )

  test(
    "a rewrite that fails is tried again an hour later",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const log = yield* opened(directory)
      yield* log.append(id, chunkOf(0, { body: secret }))
      yield* log.remove(id)
      let refused = 0
      disk.refuses = (method, path) => {
        if (method !== "rename" || !path.endsWith(".new")) return undefined
        refused++
        return "EACCES"
      }
      yield* TestClock.adjust("1 hour")
      yield* Effect.repeat(
        Effect.suspend(() => textOf(directory)),
        { until: () => refused > 0 }
      )
      yield* log.append(idOf("r-2"), chunkOf(0))
      assert.isTrue(yield* hasSecret(directory))
      disk.refuses = () => undefined
      yield* TestClock.adjust("1 hour")
      yield* erased(directory)
      assert.strictEqual((yield* stateOf(log, ["r-2"]))[0]?.length, 1)
    })
  )
})

describe("file log: retention", () => {
  const goneIn = (directory: string) => Effect.map(textOf(directory), (text) => text.split('"gone"').length - 1)

  test(
    "each opening and each append removes a few logs whose retention has ended, and their content leaves the file",
    Effect.gen(function* () {
      const directory = yield* temporary
      const log = yield* opened(directory, { retention: "1 day" })
      for (let i = 0; i < 20; i++) yield* log.append(idOf(`old-${i}`), chunkOf(0, { body: secret }))
      yield* TestClock.adjust("12 hours")
      // This log was used first of all, and is not the oldest any more.
      yield* log.append(idOf("old-0"), chunkOf(1, { body: "stays" }))
      yield* TestClock.adjust("13 hours")
      yield* log.open(id, 1)
      const first = yield* goneIn(directory)
      assert.isAtLeast(first, 2)
      assert.isBelow(first, 19)
      for (let i = 0; i < 10; i++) yield* log.append(id, chunkOf(i))
      assert.strictEqual(yield* goneIn(directory), 19)
      yield* log.truncate(idOf("old-0"), 1)
      yield* TestClock.adjust("1 hour")
      yield* erased(directory)
      const [kept] = yield* stateOf(log, ["old-0"])
      assert.deepStrictEqual(kept?.chunks, [chunkOf(1, { body: "stays" })])
    })
  )

  test(
    "a log whose retention has ended is removed and begins again in one write",
    Effect.gen(function* () {
      const disk = yield* Disks.Disk
      const directory = yield* temporary
      const log = yield* opened(directory, { retention: "1 day" })
      yield* log.append(id, chunkOf(0, { count: 3, epoch: 8 }))
      yield* TestClock.adjust("25 hours")
      disk.log.length = 0
      yield* log.append(id, chunkOf(0))
      assert.deepStrictEqual(
        disk.log.filter((step) => step.endsWith(" updates.log")),
        ["write updates.log", "sync updates.log"]
      )
      // The next process does not know the retention of this one.
      const [page] = yield* using(directory, (again) => stateOf(again, ["r-1"]))
      assert.deepStrictEqual(page?.chunks, [chunkOf(0)])
    })
  )

  test(
    "a retention below a second counts as a second",
    Effect.gen(function* () {
      const log = yield* opened(yield* temporary, { retention: 0 })
      yield* log.open(id, 1)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual((yield* stateOf(log, ["r-1"]))[0]?.length, 0)
      yield* TestClock.adjust("1 millis")
      assert.isUndefined((yield* stateOf(log, ["r-1"]))[0])
    })
  )
})
