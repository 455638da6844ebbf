import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { ProcessProbe, Run, TokenStore, TokenStoreError } from "@effect-baton/core"
import {
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FileSystem,
  Layer,
  Option,
  type Path,
  PlatformError,
  Random,
  Result,
  Schedule,
  Scope,
  Stream
} from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { TokenStoreContract } from "@effect-baton/testing"
import { program } from "../support/program.ts"

type Probe = (typeof ProcessProbe.ProcessProbe)["Service"]

const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make
const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "baton-" }))

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

/** Opens the store of a directory in a scope of its own. */
const open = Effect.fnUntraced(function* (
  directory: string,
  options: { readonly heartbeat?: Duration.Input; readonly probe?: Probe } = {}
) {
  const scope = yield* Scope.make()
  const layer = TokenStore.layerFile({
    directory,
    ...(options.heartbeat === undefined ? {} : { heartbeat: options.heartbeat })
  })
  const context = yield* Layer.buildWithScope(
    options.probe === undefined ? layer : Layer.provide(layer, Layer.succeed(ProcessProbe.ProcessProbe, options.probe)),
    scope
  ).pipe(Effect.onError(() => Scope.close(scope, Exit.void)))
  return { store: yield* Effect.provide(TokenStore.TokenStore, context), close: Scope.close(scope, Exit.void) }
})

const test = (
  name: string,
  effect: Effect.Effect<
    unknown,
    unknown,
    Scope.Scope | FileSystem.FileSystem | Path.Path | ChildProcessSpawner.ChildProcessSpawner
  >,
  timeout = 300_000
) => it.live(name, () => Effect.provide(effect, NodeServices.layer), timeout)

describe("file store: one process per directory", () => {
  test(
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

  test(
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

  test(
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

  test(
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

  test(
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

  test(
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

  test(
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

describe("file store: locks", () => {
  const elsewhere: Probe = { pid: 7_000_001, host: "elsewhere", isAlive: () => false }

  test(
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

  test(
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

  test(
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

  test(
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

  test(
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

  test(
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

  test(
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
