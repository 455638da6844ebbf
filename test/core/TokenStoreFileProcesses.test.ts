// Guarantee 15: one process at a time has the directory of a file store.
import { assert, describe } from "@effect/vitest"
import { type ProcessProbe, Run } from "@effect-baton/core"
import { Deferred, Effect, Fiber, FileSystem, Layer, Option, Random, Result, Schedule, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { TokenStoreContract } from "@effect-baton/testing"
import { open, temporary, testLive } from "../support/directories.ts"
import { program } from "../support/program.ts"

type Probe = (typeof ProcessProbe.ProcessProbe)["Service"]
const { newRun } = TokenStoreContract
const idOf = Run.RunId.make
const fileStore = program(new URL("fileStore.program.ts", import.meta.url))

/** A process with the program beside this file, and what it has said so far. */
const spawn = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const child = yield* spawner.spawn(
    ChildProcess.make(process.execPath, [yield* fileStore, ...args], { stderr: "inherit" })
  )
  const said: Array<string> = []
  const spoke = yield* Deferred.make<void>()
  const reading = yield* child.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) =>
      Effect.suspend(() => {
        said.push(line)
        return Deferred.succeed(spoke, undefined)
      })
    ),
    Effect.forkScoped
  )
  /** Waits until it has said so many lines. */
  const saying = (lines: number) =>
    Effect.repeat(
      Effect.sync(() => said.length),
      { until: (length) => length >= lines, schedule: Schedule.spaced("1 millis") }
    )
  return { child, said, saying, spoke: Deferred.await(spoke), ended: Fiber.await(reading), pid: Number(child.pid) }
})

describe("file store: one process per directory", () => {
  testLive(
    "a second process is refused while the first lives, and goes in when it was killed",
    Effect.gen(function* () {
      const directory = yield* temporary
      const first = yield* spawn(directory, "60000")
      yield* first.spoke
      assert.deepStrictEqual(first.said, [`open ${first.pid}`])
      const error = yield* Effect.flip(open(directory))
      assert.strictEqual(error.kind, "locked")
      assert.include(error.message, `Process ${first.pid} on`)
      assert.isTrue(error.isRetryable)

      yield* first.child.kill({ killSignal: "SIGKILL" })
      const begun = Date.now()
      const { close, store } = yield* open(directory)
      // It did not wait for heartbeats: four of three seconds would have to fail to come.
      assert.isBelow(Date.now() - begun, 10_000)
      yield* store.create(newRun("r-1"))
      yield* close
    })
  )

  testLive(
    "S2: a process that was killed and whose parent does not ask for it is dead",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      if (!(yield* fs.exists("/proc/self/stat"))) return yield* Effect.logWarning("This system has no /proc")
      const directory = yield* temporary
      const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
      // The shell becomes a program that knows nothing of the child that it has.
      const parent = yield* spawner.spawn(
        ChildProcess.make(
          "sh",
          ["-c", `"$0" "$1" "$2" 600000 & exec sleep 600`, process.execPath, yield* fileStore, directory],
          { stderr: "inherit" }
        )
      )
      const line = yield* parent.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.runHead)
      const pid = Number(/^open (\d+)$/.exec(Option.getOrThrow(line))?.[1])
      assert.strictEqual((yield* Effect.flip(open(directory))).kind, "locked")
      process.kill(pid, "SIGKILL")
      yield* Effect.repeat(fs.readFileString(`/proc/${pid}/stat`), {
        until: (stat) => stat.includes(") Z "),
        schedule: Schedule.spaced("1 millis")
      })
      yield* (yield* open(directory)).close
    })
  )

  testLive(
    "S2: what became of an owner is read behind the name of its program; a stopped one lives",
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const probe: Probe = { pid: 8_000_001, host: "here", isAlive: () => true }
      for (const [state, isDead] of [
        ["Z", true],
        ["X", true],
        ["T", false],
        ["S", false]
      ] as const) {
        const told = Layer.succeed(FileSystem.FileSystem, {
          ...fs,
          readFileString: (path, encoding) =>
            path === "/proc/8000001/stat"
              ? Effect.succeed(`8000001 (a) ${isDead ? "S" : "Z"} 1) ${state} 1`)
              : fs.readFileString(path, encoding)
        })
        const first = yield* open(`${directory}/${state}`, { probe })
        const second = yield* Effect.result(
          Effect.provide(open(`${directory}/${state}`, { probe: { ...probe, pid: 8_000_002 } }), told)
        )
        assert.strictEqual(Result.isSuccess(second), isDead, state)
        if (Result.isSuccess(second)) yield* second.success.close
        yield* first.close
      }
    })
  )

  testLive(
    "a process that ends well leaves the place free",
    Effect.gen(function* () {
      const directory = yield* temporary
      const first = yield* spawn(directory, "60000")
      yield* first.spoke
      yield* first.child.kill({ killSignal: "SIGTERM" })
      const { close } = yield* open(directory)
      yield* close
    })
  )

  testLive(
    "the same process is refused too",
    Effect.gen(function* () {
      const directory = yield* temporary
      const { close } = yield* open(directory)
      const error = yield* Effect.flip(open(directory))
      assert.strictEqual(error.kind, "locked")
      assert.include(error.message, "This process")
      yield* close
      yield* (yield* open(directory)).close
    })
  )

  testLive(
    "of processes that race for a dead one's place, one wins",
    Effect.gen(function* () {
      const directory = yield* temporary
      const dead = yield* spawn(directory, "60000")
      yield* dead.spoke
      yield* dead.child.kill({ killSignal: "SIGKILL" })
      for (let round = 0; round < 3; round++) {
        const racers = yield* Effect.forEach(
          Array.from({ length: 6 }, (_, i) => i),
          () => spawn(directory, "60000", "when told"),
          { concurrency: "unbounded" }
        )
        yield* Effect.forEach(racers, ({ spoke }) => spoke, { concurrency: "unbounded", discard: true })
        yield* Effect.forEach(racers, ({ child }) => Stream.run(Stream.make(new Uint8Array(1)), child.stdin), {
          concurrency: "unbounded",
          discard: true
        })
        yield* Effect.forEach(racers, ({ saying }) => saying(2), { concurrency: "unbounded", discard: true })
        const winners = racers.filter(({ said }) => said[1]?.startsWith("open"))
        assert.strictEqual(winners.length, 1, racers.map(({ said }) => said.join()).join("\n"))
        assert.strictEqual(racers.filter(({ said }) => said[1]?.startsWith("locked")).length, 5)
        // The next round finds this one's winner dead.
        yield* Effect.forEach(winners, ({ child }) => child.kill({ killSignal: "SIGKILL" }))
      }
    })
  )

  testLive(
    "what a process reported as durable is there after it was killed in the middle of its work",
    Effect.gen(function* () {
      const directory = yield* temporary
      const highest = new Map<string, number>()
      for (let round = 0; round < 4; round++) {
        const child = yield* spawn(directory, "commit")
        // Eight runs take their turns.
        yield* child.saying(8 * 20 + (yield* Random.nextIntBetween(0, 400)))
        yield* child.child.kill({ killSignal: "SIGKILL" })
        yield* child.ended
        for (const line of child.said) {
          const [what, id = "", ordinal = "0"] = line.split(" ")
          if (what === "ack") highest.set(id, Math.max(highest.get(id) ?? 0, Number(ordinal)))
        }
        const { close, store } = yield* open(directory)
        for (const [id, ordinal] of highest) {
          const record = Option.getOrThrow(yield* store.read(idOf(id)))
          assert.isAtLeast(record.ordinal, ordinal)
          assert.strictEqual(record.position.sequenceNumber, record.ordinal)
          assert.deepStrictEqual(
            record.journal.map((fact) => (fact._tag === "Requested" ? fact.turn : -1)),
            Array.from({ length: Math.floor(record.ordinal / 10) }, (_, i) => (i + 1) * 10)
          )
          assert.isNull(record.lease)
        }
        yield* close
      }
      assert.strictEqual(highest.size, 8)
      assert.isAbove(Math.min(...highest.values()), 20)
    })
  )
})
