// Workers share the runs of a Redis server, and are killed, stopped and paused: every run is finished, whole and once.
import { NodeServices } from "@effect/platform-node"
import { Agent, type RunRecord, Runs, RunState } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { RedisTokenStore } from "@effect-baton/redis"
import { ResponsesServer } from "@effect-baton/testing"
import { assert, it } from "@effect/vitest"
import { Console, Duration, Effect, FileSystem, Layer, Redacted, Schedule, type Scope, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { chance } from "../soak/random.ts"
import { program } from "../support/program.ts"
import { client, describeRedis, start } from "../support/redisServer.ts"
import { agent } from "./agent.ts"
import { repeated, violations } from "./fencing.ts"
import { readHistory } from "./history.ts"
import { decodeLine, type Line } from "./line.ts"

const seed = process.env.FLEET_SEED ?? "fleet"
const runs = Number(process.env.FLEET_RUNS ?? 24)
const blows = Number(process.env.FLEET_BLOWS ?? 12)

const workerProgram = program(new URL("worker.program.ts", import.meta.url))

interface Fleet {
  readonly directory: string
  readonly launch: (name: string, concurrency?: number) => Effect.Effect<Worker, never, Scope.Scope>
}

interface Worker {
  readonly name: string
  readonly signal: (name: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<void>
}

/** A sandbox, a Redis server, and runs that were started and left. */
const prepare = Effect.fnUntraced(function* (count: number, deltas: number, env: Record<string, string> = {}) {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const server = yield* ResponsesServer.ResponsesServer
  const redis = yield* start({ durable: true })
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-fleet-" })
  mkdirSync(join(directory, "runs"))

  const launch: Fleet["launch"] = Effect.fnUntraced(
    function* (name, concurrency = 10) {
      const child = yield* spawner.spawn(
        ChildProcess.make(process.execPath, [yield* workerProgram], {
          env: {
            SANDBOX_URL: server.url,
            MODEL: "unused",
            FLEET_DIRECTORY: directory,
            FLEET_WORKER: name,
            FLEET_REDIS: redis.url,
            FLEET_CONCURRENCY: `${concurrency}`,
            ...env
          },
          extendEnv: true,
          stderr: "inherit",
          stdout: "ignore"
        })
      )
      return {
        name,
        signal: (signal: NodeJS.Signals) => Effect.sync(() => void process.kill(Number(child.pid), signal)),
        ended: Effect.asVoid(Effect.exit(child.exitCode))
      }
    },
    (effect) => Effect.orDie(effect)
  )

  const Starter = Layer.merge(
    OpenAiBackgroundModel.layer({ model: `lorem:${deltas}` }).pipe(
      Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: server.url }))
    ),
    RedisTokenStore.layer().pipe(Layer.provide(client(redis.url)))
  )
  const context = yield* Layer.build(Starter)
  const begin = (runId: string) =>
    Stream.runDrain(
      Stream.takeUntil(Agent.stream(agent, { input: "Write.", runId }), ({ status }) => status === "in_progress")
    ).pipe(Effect.provideContext(context))
  yield* Effect.forEach(
    Array.from({ length: count }, (_, i) => `run-${i}`),
    begin,
    { concurrency: 8, discard: true }
  )
  // Workers leave a parked run alone: it is judged as it is.
  const unfinished = Runs.list({ parked: false }).pipe(
    Stream.filter((record) => !RunState.fold(record).delivered),
    Stream.runCount,
    Effect.provideContext(context)
  )
  const history = Effect.sync(() =>
    readHistory(
      readdirSync(directory)
        .filter((name) => name.startsWith("history-"))
        .map((name) => join(directory, name))
    )
  )
  return { begin, directory, launch, unfinished, history, context, server }
})

const linesOf = (directory: string, runId: string): ReadonlyArray<Line> =>
  readFileSync(join(directory, "runs", runId), "utf8")
    .split("\n")
    // The last line of a killed process may be cut.
    .filter((line) => line.endsWith("}"))
    .map((line) => decodeLine(line))

const factsOf = ({ journal }: RunRecord.RunRecord, tag: RunRecord.Fact["_tag"]) =>
  journal.filter(({ _tag }) => _tag === tag).length

const services = Layer.merge(ResponsesServer.layer({ pace: "15 millis" }), NodeServices.layer)

/** The leases, in milliseconds, of workers whose runs are handed over: nobody comes to wait for their end. */
const leaseTime = 60_000

/** One worker is told to stop while another is there: how long it took until the last run went on, in milliseconds. */
const handOver = Effect.gen(function* () {
  const { begin, directory, launch, server, unfinished } = yield* prepare(10, 2000, {
    FLEET_LEASE: `${leaseTime} millis`
  })
  const first = yield* launch("first")
  const lines = () => readdirSync(join(directory, "runs")).flatMap((runId) => linesOf(directory, runId))
  const until = (count: number) =>
    Effect.repeat(Effect.sync(lines), {
      until: (all) => all.length >= count,
      schedule: Schedule.spaced("20 millis")
    })
  yield* until(10 * 40)
  const second = yield* launch("second", 20)
  // Nobody else has room for one more run: when it has come on, the second worker is there.
  yield* begin("eleventh")
  yield* Effect.repeat(Effect.sync(lines), {
    until: (all) => all.some(({ worker }) => worker === "second"),
    schedule: Schedule.spaced("20 millis")
  })
  const stopped = Number(process.hrtime.bigint()) / 1e6
  yield* first.signal("SIGTERM")
  yield* first.ended
  const runIds = Array.from({ length: 10 }, (_, i) => `run-${i}`)
  yield* Effect.repeat(
    Effect.sync(() => runIds.map((runId) => linesOf(directory, runId))),
    {
      until: (all) => all.every((own) => own.some(({ worker }) => worker === "second")),
      schedule: Schedule.spaced("20 millis")
    }
  )
  // What is to be seen was seen.
  yield* server.setPace("1 millis")
  yield* unfinished.pipe(
    Effect.repeat({ until: (count) => count === 0, schedule: Schedule.spaced("100 millis") }),
    Effect.timeout("5 minutes")
  )
  let slowest = 0
  for (const runId of runIds) {
    const all = linesOf(directory, runId)
    const positions = all.map(({ position }) => position)
    assert.deepStrictEqual(positions, [...new Set(positions)])
    const taken = all.find(({ worker }) => worker === "second")
    assert.isDefined(taken, `${runId} was taken by nobody`)
    slowest = Math.max(slowest, taken!.at - stopped)
  }
  yield* Effect.andThen(second.signal("SIGTERM"), second.ended)
  return slowest
}).pipe(Effect.scoped)

describeRedis("a fleet of workers", () => {
  it.live(
    "is killed, told to stop, and paused for longer than a lease; every run is finished, whole, and bought once",
    () =>
      Effect.gen(function* () {
        const { context, directory, history, launch, server, unfinished } = yield* prepare(runs, 400)
        const of = chance(seed)
        let names = 0
        const next = () => launch(`w${++names}`)
        const alive = [yield* next(), yield* next(), yield* next()]
        const struck = { SIGKILL: 0, SIGTERM: 0, SIGSTOP: 0 }

        for (let blow = 0; blow < blows && (yield* unfinished) > 0; blow++) {
          yield* Effect.sleep(of.between(200, 900))
          const at = of.between(0, alive.length - 1)
          const worker = alive[at]!
          const how = (["SIGKILL", "SIGTERM", "SIGSTOP"] as const)[blow % 3]!
          struck[how]++
          yield* worker.signal(how)
          if (how === "SIGSTOP") {
            // For longer than the lease, while the others take its runs.
            yield* Effect.forkChild(
              Effect.andThen(Effect.sleep(of.between(1000, 1800)), Effect.ignoreCause(worker.signal("SIGCONT")))
            )
          } else {
            alive[at] = yield* next()
          }
        }
        yield* unfinished.pipe(
          Effect.repeat({ until: (count) => count === 0, schedule: Schedule.spaced("200 millis") }),
          Effect.timeout(Duration.seconds(300 + runs))
        )
        yield* Effect.forEach(alive, (worker) =>
          Effect.andThen(Effect.ignoreCause(worker.signal("SIGTERM")), worker.ended)
        )

        const { responses } = yield* server.ledger
        const operations = yield* history
        let again = 0
        for (const record of yield* Stream.runCollect(Runs.list()).pipe(Effect.provideContext(context))) {
          const state = RunState.fold(record)
          assert.isNull(record.parked, record.parked?.reason)
          assert.strictEqual(RunState.statusOf(state, record.position), "completed")
          // Everything is done: no worker looks at it again.
          assert.isNull(record.due)
          assert.isNull(record.lease)
          assert.deepStrictEqual([state.loose, state.unresolved], [[], []])
          for (const once of ["Requested", "Accepted", "ResponseEnded", "Ended", "Delivered"] as const) {
            assert.strictEqual(factsOf(record, once), 1, `${once} of ${record.runId}`)
          }
          const lines = linesOf(directory, record.runId)
          const texts = new Map<string, string>()
          for (const { position, text } of lines) {
            assert.strictEqual(texts.get(position) ?? text, text)
            if (texts.has(position)) again++
            texts.set(position, text)
          }
          assert.deepStrictEqual(repeated(operations, record.runId, lines), [])
          const created = responses.filter(({ metadata }) => metadata["baton_run_id"] === record.runId)
          assert.deepStrictEqual(
            created.map(({ id }) => id),
            RunState.responseIds(record)
          )
          assert.strictEqual([...texts.values()].join(""), created[0]?.outputText, `the output of ${record.runId}`)
        }
        assert.deepStrictEqual(violations(operations), [])
        console.log(
          `fleet (seed ${seed}): ${runs} runs by ${names} workers, ${JSON.stringify(struck)}, ` +
            `${operations.length} operations on leases, ${again} updates came again`
        )
        assert.isAtLeast(struck.SIGSTOP, 1)
      }).pipe(Effect.scoped, Effect.provide(services)),
    (600 + runs + blows) * 1000
  )

  it.live(
    "goes on at once with the runs of a worker that is told to stop, and repeats nothing",
    () =>
      handOver.pipe(
        Effect.tap((slowest) =>
          Console.log(`after SIGTERM the last run went on elsewhere in ${slowest.toFixed(0)} ms`)
        ),
        // Less than a second if the machine has the time; more than their leases if it were those that end.
        Effect.tap((slowest) => Effect.sync(() => assert.isBelow(slowest, leaseTime / 2))),
        Effect.provide(services)
      ),
    600_000
  )

  it.live(
    "of workers that no fence stops is seen through",
    () =>
      Effect.gen(function* () {
        const { history, launch } = yield* prepare(6, 2000, { FLEET_SABOTAGE: "true" })
        yield* launch("a")
        yield* launch("b")
        yield* history.pipe(
          Effect.map(violations),
          Effect.repeat({ until: (found) => found.length > 0, schedule: Schedule.spaced("200 millis") }),
          Effect.timeout("5 minutes")
        )
      }).pipe(Effect.scoped, Effect.provide(services)),
    600_000
  )
})
