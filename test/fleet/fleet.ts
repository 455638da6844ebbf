// Workers that share the runs of a Redis server, in processes of their own, and what strikes them.
import { Agent, type RunRecord, Runs, RunState } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { RedisTokenStore } from "@effect-baton/redis"
import { ResponsesServer } from "@effect-baton/sandbox"
import { NodeServices } from "@effect/platform-node"
import { Duration, Effect, FileSystem, Layer, Redacted, Schedule, type Scope, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { chance } from "../soak/random.ts"
import { program } from "../support/program.ts"
import { client, start } from "../support/redisServer.ts"
import { agent } from "./agent.ts"
import { readHistory } from "./history.ts"
import { decodeLine, type Line } from "./line.ts"

export const seed = process.env.FLEET_SEED ?? "fleet"
export const runs = Number(process.env.FLEET_RUNS ?? 24)
export const blows = Number(process.env.FLEET_BLOWS ?? 12)

const workerProgram = program(new URL("worker.program.ts", import.meta.url))

/** A fleet whose runs wait for workers. */
interface Fleet {
  readonly directory: string
  readonly launch: (name: string, concurrency?: number) => Effect.Effect<Worker, never, Scope.Scope>
}

/** A worker in a process of its own. */
interface Worker {
  readonly name: string
  readonly signal: (name: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<void>
}

/** A sandbox, a Redis server, and runs that were started and left. */
export const prepare = Effect.fnUntraced(function* (
  count: number,
  deltas: number,
  { env = {}, url }: { readonly env?: Record<string, string>; readonly url?: string } = {}
) {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const server = yield* ResponsesServer.ResponsesServer
  const address = url ?? (yield* start({ durable: true })).url
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
            FLEET_REDIS: address,
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
        // A worker that is gone although nobody struck it is a fault, and not one of its supervisor.
        signal: (signal: NodeJS.Signals) =>
          Effect.flatMap(Effect.orDie(child.isRunning), (running) =>
            running
              ? Effect.sync(() => void process.kill(Number(child.pid), signal))
              : Effect.flatMap(Effect.orDie(child.exitCode), (code) =>
                  Effect.die(new Error(`worker ${name} ended by itself, with exit code ${code}`))
                )
          ),
        ended: Effect.asVoid(Effect.exit(child.exitCode))
      }
    },
    (effect) => Effect.orDie(effect)
  )

  const Starter = Layer.merge(
    OpenAiBackgroundModel.layer({ model: `lorem:${deltas}` }).pipe(
      Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: server.url }))
    ),
    RedisTokenStore.layer().pipe(Layer.provide(client(address)))
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

export const linesOf = (directory: string, runId: string): ReadonlyArray<Line> =>
  readFileSync(join(directory, "runs", runId), "utf8")
    .split("\n")
    // The last line of a killed process may be cut.
    .filter((line) => line.endsWith("}"))
    .map((line) => decodeLine(line))

export const factsOf = ({ journal }: RunRecord.RunRecord, tag: RunRecord.Fact["_tag"]) =>
  journal.filter(({ _tag }) => _tag === tag).length

export const services = Layer.merge(ResponsesServer.layer({ pace: "15 millis" }), NodeServices.layer)

/**
 * Three workers, of which one after the other is killed, told to stop, or stopped for longer than its lease, until all runs are
 * finished. `midway` comes after the second of them, long before the end.
 */
export const strike = Effect.fnUntraced(function* (
  { launch, unfinished }: Pick<Effect.Success<ReturnType<typeof prepare>>, "launch" | "unfinished">,
  midway: Effect.Effect<void> = Effect.void
) {
  const of = chance(seed)
  let names = 0
  const next = () => launch(`w${++names}`)
  const alive = [yield* next(), yield* next(), yield* next()]
  const struck = { SIGKILL: 0, SIGTERM: 0, SIGSTOP: 0 }

  for (let blow = 0; blow < blows && (yield* unfinished) > 0; blow++) {
    if (blow === 2) yield* midway
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
  yield* Effect.forEach(alive, ({ ended, signal }) => Effect.andThen(signal("SIGTERM"), ended))
  return { names, struck }
})
