// Guarantee 15: what a file store finds again of a log that was cut, damaged, or written by another version.
import { assert, describe } from "@effect/vitest"
import { Run, type RunRecord, TokenStoreError } from "@effect-baton/core"
import { Duration, Effect, FileSystem, Result } from "effect"
import { TestClock } from "effect/testing"
import { TokenStoreContract } from "@effect-baton/testing"
import {
  cancel,
  leave,
  logLine,
  moving,
  requested,
  start,
  stateOf,
  temporary,
  testOnDisk,
  using
} from "../support/directories.ts"

const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make
const ttl = Duration.seconds(30)

describe("file store: recovery", () => {
  testOnDisk(
    "everything is there after a restart, leases are void, and fences rise",
    Effect.gen(function* () {
      const directory = yield* temporary
      const [before, fence] = yield* using(directory, (store) =>
        Effect.gen(function* () {
          const lease = yield* start(store, "r-1")
          yield* store.commit(lease, commitOf("r-1", 1, { facts: [requested(0)] }))
          yield* cancel(store, "r-1")
          yield* store.remove(yield* start(store, "r-2"))
          yield* store.create(newRun("日本語 👩‍👩‍👧", { session: { previousResponseId: "resp_1" }, agentVersion: "3" }))
          return [yield* stateOf(store), lease.fence] as const
        })
      )
      yield* using(directory, (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* stateOf(store), before)
          const { items } = yield* store.list({ limit: 10 })
          assert.strictEqual(items.filter(({ due, lease }) => due !== null && lease === null).length, 2)
          const { lease } = yield* store.acquire(idOf("r-1"), { owner: "b", ttl })
          assert.isAbove(lease.fence, fence + 1)
          const stale = yield* Effect.result(store.commit({ ...lease, owner: "a", fence }, commitOf("r-1", 2)))
          assert.isTrue(Result.isFailure(stale))
        })
      )
    })
  )

  testOnDisk(
    "a log cut off at any byte holds exactly what was acknowledged by then",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const log = `${directory}/runs.log`
      // What there was to see, and how long the log was, after each operation.
      const acknowledged: Array<{ readonly length: number; readonly state: ReadonlyArray<RunRecord.RunRecord> }> = []
      yield* using(directory, (store) =>
        Effect.gen(function* () {
          const note = Effect.gen(function* () {
            const length = Number((yield* fs.stat(log)).size)
            acknowledged.push({ length, state: yield* stateOf(store) })
            yield* TestClock.adjust("1 millis")
          })
          const noting = <A, E>(effect: Effect.Effect<A, E>) => Effect.tap(effect, () => note)
          yield* note
          const { record } = yield* noting(store.create(newRun("r-1")))
          const { incarnation } = record
          const { lease } = yield* noting(store.acquire(idOf("r-1"), { owner: "a", ttl }))
          yield* noting(store.commit(lease, commitOf("r-1", 1, { facts: [requested(0)] })))
          yield* noting(store.commit(lease, commitOf("r-1", 2)))
          yield* noting(cancel(store, "r-1"))
          yield* noting(store.create(newRun("é👍")))
          const [shard = ""] = store.shards
          const { taken } = yield* noting(store.claim({ agents: ["analyst"], owner: "a", ttl, limit: 1, shard }))
          const [other] = taken
          assert.isDefined(other)
          yield* noting(store.release(other.lease, { ...leave, parked: "later", attempt: "back" }))
          const { lease: last } = yield* noting(store.acquire(idOf("é👍"), { owner: "b", ttl }))
          yield* noting(store.remove(last))
          yield* noting(store.release(lease, { ...leave, due: Duration.infinity }))
          const ended: RunRecord.NewFact = { _tag: "Ended", incarnation, by: "a", status: "completed" }
          yield* noting(store.conclude(idOf("r-1"), { seen: 2, facts: [ended], due: Duration.zero }))
        })
      )
      const bytes = yield* fs.readFile(log)
      assert.strictEqual(acknowledged.at(-1)?.length, bytes.length)
      yield* Effect.forEach(
        Array.from({ length: bytes.length + 1 }, (_, cut) => cut),
        Effect.fnUntraced(function* (cut) {
          const place = `${directory}/cut-${cut}`
          yield* fs.makeDirectory(place)
          yield* fs.writeFile(`${place}/runs.log`, bytes.subarray(0, cut))
          const expected = acknowledged.findLast(({ length }) => length <= cut)?.state ?? []
          assert.deepStrictEqual(yield* using(place, stateOf), expected, `cut at ${cut}`)
          // What is written behind the cut is found again.
          if (cut % 16 === 0) {
            yield* using(place, (store) => store.create(newRun("later")))
            const again = yield* using(place, stateOf)
            assert.deepStrictEqual(again.slice(0, -1), expected, `cut at ${cut}, and written on`)
            assert.strictEqual(again.at(-1)?.runId, "later")
          }
          yield* fs.remove(place, { recursive: true })
        }),
        { concurrency: 8, discard: true }
      )
    }),
    300_000
  )

  testOnDisk(
    "of a batch that was cut off, a beginning is there",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const ids = Array.from({ length: 20 }, (_, i) => `r-${String(i).padStart(2, "0")}`)
      yield* using(directory, (store) =>
        Effect.forEach(ids, (id) => store.create(newRun(id)), { concurrency: "unbounded" })
      )
      const bytes = yield* fs.readFile(`${directory}/runs.log`)
      let seen = 0
      for (let cut = 0; cut <= bytes.length; cut += 97) {
        const place = `${directory}/cut-${cut}`
        yield* fs.makeDirectory(place)
        yield* fs.writeFile(`${place}/runs.log`, bytes.subarray(0, cut))
        const found = (yield* using(place, stateOf)).map(({ runId }) => String(runId))
        assert.deepStrictEqual(found, ids.slice(0, found.length))
        assert.isAtLeast(found.length, seen)
        seen = found.length
      }
      assert.isAbove(seen, 17)
    })
  )

  /** A log of five lines after the header, one write each, and where they begin. */
  const sample = Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* temporary
    yield* using(directory, (store) =>
      Effect.forEach(["r-1", "r-2", "r-3", "r-4", "r-5"], (id) => store.create(newRun(id)))
    )
    const log = `${directory}/runs.log`
    const bytes = yield* fs.readFile(log)
    const starts = [0]
    bytes.forEach((byte, at) => {
      if (byte === 10) starts.push(at + 1)
    })
    return { fs, directory, log, bytes, starts: starts.slice(1, -1) }
  })

  testOnDisk(
    "damage before sound lines is told with its place, and nothing is changed",
    Effect.gen(function* () {
      const { bytes, directory, fs, log, starts } = yield* sample
      for (const [i, from] of starts.entries()) {
        for (const at of [from, from + 8, from + 9, from + 60]) {
          const damaged = Uint8Array.from(bytes)
          damaged[at] = (damaged[at] ?? 0) ^ 1
          yield* fs.writeFile(log, damaged)
          if (i < starts.length - 1) {
            const error = yield* Effect.flip(using(directory, stateOf))
            assert.strictEqual(error.kind, "corrupt")
            assert.include(error.message, log)
            assert.include(error.message, `byte ${from}`)
            assert.deepStrictEqual(Uint8Array.from(yield* fs.readFile(log)), damaged)
          } else {
            assert.strictEqual((yield* using(directory, stateOf)).length, 4)
          }
        }
      }
    })
  )

  testOnDisk(
    "a hole that a power failure left in the last write is cut off; one before it is damage",
    Effect.gen(function* () {
      const { bytes, directory, fs, log, starts } = yield* sample
      const [, second, third] = starts
      // Lines four and five as of one write, and a hole in four.
      const text = new TextDecoder().decode(bytes)
      const lines = text.split("\n")
      const payload = (i: number) => lines[i]?.split(" ").slice(2).join(" ") ?? ""
      const head = new TextEncoder().encode(lines.slice(0, 4).join("\n") + "\n")
      const tail = new TextEncoder().encode(logLine(payload(4), head.length) + logLine(payload(5), head.length))
      const torn = new Uint8Array([...head, ...tail])
      torn.fill(0, head.length + 20, head.length + 90)
      yield* fs.writeFile(log, torn)
      assert.strictEqual((yield* using(directory, stateOf)).length, 3)
      // Other damage is no hole, also in the last write.
      const flipped = new Uint8Array([...head, ...tail])
      flipped[head.length + 20] = 33
      yield* fs.writeFile(log, flipped)
      const damage = yield* Effect.flip(using(directory, stateOf))
      assert.strictEqual(damage.kind, "corrupt")
      assert.include(damage.message, `byte ${head.length}`)
      const durable = Uint8Array.from(bytes).fill(0, (second ?? 0) + 20, (third ?? 0) - 1)
      yield* fs.writeFile(log, durable)
      const error = yield* Effect.flip(using(directory, stateOf))
      assert.strictEqual(error.kind, "corrupt")
    })
  )

  testOnDisk(
    "a log of a later format is left alone, and so is a file that is none",
    Effect.gen(function* () {
      const { directory, fs, log } = yield* sample
      for (const [text, kind] of [
        ["baton-log/2\nwhatever", "newer"],
        ["baton-log/10\n", "newer"],
        ["hello", "corrupt"],
        ["\n", "corrupt"],
        ["baton-log/x\n", "corrupt"],
        [`baton-log/1\n${logLine("[]")}`, "corrupt"],
        [`baton-log/1\n${logLine("no json")}`, "corrupt"]
      ] as const) {
        yield* fs.writeFileString(log, text)
        const error = yield* Effect.flip(using(directory, stateOf))
        assert.strictEqual(error.kind, kind, text)
        assert.strictEqual(yield* fs.readFileString(log), text)
      }
    })
  )

  testOnDisk(
    "a log that was just begun is begun again",
    Effect.gen(function* () {
      const { directory, fs, log } = yield* sample
      for (const text of ["", "b", "baton-log/1", "\0\0\0\0\0\0\0\0\0\0\0\0"]) {
        yield* fs.writeFileString(log, text)
        assert.deepStrictEqual(yield* using(directory, stateOf), [])
        assert.strictEqual(yield* fs.readFileString(log), "baton-log/1\n")
      }
    })
  )

  testOnDisk(
    "a run that a later version wrote is left alone, and kept through a rewrite",
    Effect.gen(function* () {
      const { directory, fs, log } = yield* sample
      const record = { ...(yield* using(directory, stateOf))[0] }
      const strange = [
        logLine(`[2,"r-1","set",{"mood":"new"}]`),
        logLine(`[2,"r-2","replaced",{}]`),
        logLine(`[3,"r-new","new",{"version":3}]`),
        logLine(`[3,"","index",{}]`),
        logLine(JSON.stringify([2, "r-new-2", "new", { ...record, runId: "r-new-2", version: 3 }]))
      ]
      yield* fs.writeFileString(log, (yield* fs.readFileString(log)) + strange.join(""))
      const check = using(directory, (store) =>
        Effect.gen(function* () {
          for (const id of ["r-1", "r-2", "r-new", "r-new-2"]) {
            const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
              store.read(idOf(id)),
              store.create(newRun(id)),
              store.acquire(idOf(id), { owner: "a", ttl }),
              store.record(idOf(id), requested(0), 0),
              store.conclude(idOf(id), { seen: 0, facts: [requested(0)], due: Duration.zero }),
              store.remove({ runId: idOf(id), owner: "a", fence: 1 })
            ]
            for (const operation of operations) {
              const error = yield* Effect.flip(operation)
              assert.instanceOf(error, TokenStoreError.TokenStoreError)
              assert.strictEqual(error.kind, "newer")
            }
          }
          assert.deepStrictEqual(
            (yield* stateOf(store)).map(({ runId }) => String(runId)),
            ["r-3", "r-4", "r-5"]
          )
        })
      )
      yield* check
      const lease = { id: "r-3" }
      const before = Number((yield* fs.stat(log)).size)
      yield* using(directory, (store) =>
        Effect.gen(function* () {
          const { lease: held } = yield* store.acquire(idOf(lease.id), { owner: "a", ttl: Duration.hours(1) })
          for (let round = 0; round < 80; round++) {
            yield* Effect.forEach(
              Array.from({ length: 100 }, (_, i) => round * 100 + i + 1),
              (ordinal) => store.commit(held, moving(lease.id, ordinal)),
              { concurrency: "unbounded", discard: true }
            )
          }
        })
      )
      const after = yield* fs.readFileString(log)
      assert.isBelow(after.length, 1 << 20, `${before} bytes before`)
      for (const text of strange) assert.include(after, text.slice(text.indexOf("[")))
      assert.include(after, `"r-1","new"`)
      yield* check
    })
  )
})
