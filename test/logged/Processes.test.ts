// Processes share runs and their logs in Redis. Workers are killed, stopped for longer than their leases, and stolen from;
// two processes watch. All that they write and see keeps the rules of logged runs.
import { NodeServices } from "@effect/platform-node"
import { Agent, type RunRecord, RunState } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import { ResponsesServer } from "@effect-baton/sandbox"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted, Schedule, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { random } from "../support/chaos.ts"
import { program } from "../support/program.ts"
import { client, describeRedis, start } from "../support/redisServer.ts"
import { findRecord } from "../support/runs.ts"
import { violations } from "./history.ts"
import { readHistory } from "./recording.ts"

const agent = Agent.make("writer", { background: true })
const source = program(new URL("process.program.ts", import.meta.url))
const runIds = ["r0", "r1", "r2"]
const words = 600
const seed = 7

const prepare = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const server = yield* ResponsesServer.ResponsesServer
  const { url } = yield* start()
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-processes-" })
  let count = 0
  const launch = Effect.fnUntraced(function* (role: string, runs = runIds) {
    const name = `${role}-${++count}`
    const child = yield* ChildProcess.make(process.execPath, [yield* source], {
      env: {
        SANDBOX_URL: server.url,
        MODEL: `lorem:${words}`,
        LOGGED_ROLE: role,
        LOGGED_NAME: name,
        LOGGED_RUNS: runs.join(","),
        LOGGED_REDIS: url,
        LOGGED_FILE: join(directory, `history-${name}`)
      },
      extendEnv: true,
      stderr: "inherit"
    })
    yield* child.stdout.pipe(Stream.decodeText, Stream.splitLines, Stream.runHead)
    return {
      ended: Effect.asVoid(Effect.exit(child.exitCode)),
      signal: (signal: NodeJS.Signals) => Effect.sync(() => void process.kill(Number(child.pid), signal))
    }
  })
  const services = yield* Layer.build(
    Layer.mergeAll(
      Layer.merge(RedisTokenStore.layer(), RedisUpdateLog.layer()).pipe(Layer.provide(client(url))),
      OpenAiBackgroundModel.layer({ model: `lorem:${words}` }).pipe(
        Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: server.url }))
      )
    )
  )
  yield* Effect.forEach(runIds, (runId) => Agent.enqueue(agent, { input: "Write.", runId })).pipe(
    Effect.provideContext(services)
  )
  const history = Effect.sync(() =>
    readHistory(
      readdirSync(directory)
        .filter((name) => name.startsWith("history-"))
        .map((name) => join(directory, name))
    )
  )
  const recordOf = (runId: string) => Effect.provideContext(findRecord(runId), services)
  return { launch, history, recordOf, server }
})

const services = Layer.merge(ResponsesServer.layer({ pace: "10 millis" }), NodeServices.layer)

describeRedis("logged runs in several processes", () => {
  it.live(
    "keep the rules, whoever is killed, stopped or stolen from",
    () =>
      Effect.gen(function* () {
        const { history, launch, recordOf, server } = yield* prepare
        const next = random(seed)
        const viewers = [yield* launch("viewer"), yield* launch("viewer")]
        const alive = [yield* launch("worker"), yield* launch("worker")]
        const until = (is: (record: RunRecord.RunRecord) => boolean) =>
          Effect.forEach(runIds, recordOf).pipe(
            Effect.repeat({
              until: (records) => records.every((record) => record !== undefined && is(record)),
              schedule: Schedule.spaced("50 millis")
            })
          )
        // A worker that dies between its request and the answer leaves a run that waits for a person.
        yield* until((record) => RunState.winners(RunState.fold(record)).length > 0)
        for (const blow of ["SIGKILL", "SIGSTOP", "thief", "SIGSTOP", "thief", "SIGKILL"] as const) {
          yield* Effect.sleep(300 + next() * 600)
          if (blow === "thief") {
            yield* launch("thief", [runIds[Math.floor(next() * runIds.length)]!])
            continue
          }
          const at = Math.floor(next() * alive.length)
          yield* alive[at]!.signal(blow)
          if (blow === "SIGKILL") alive[at] = yield* launch("worker")
          // For longer than the lease, while another takes its runs.
          else yield* Effect.forkChild(Effect.andThen(Effect.sleep("1500 millis"), alive[at]!.signal("SIGCONT")))
        }
        yield* until((record) => RunState.fold(record).delivered).pipe(
          Effect.timeoutOrElse({
            duration: "3 minutes",
            orElse: () =>
              Effect.flatMap(Effect.forEach(runIds, recordOf), (records) =>
                Effect.die(
                  `these runs did not end: ${JSON.stringify(records.map((record) => [record?.parked, record?.journal]))}`
                )
              )
          })
        )
        yield* Effect.forEach(viewers, ({ ended }) => ended).pipe(Effect.timeout("1 minute"))
        const { responses } = yield* server.ledger
        const said = (runId: string) => responses.find(({ metadata }) => metadata["baton_run_id"] === runId)?.outputText
        const all = yield* history
        assert.strictEqual(violations(all, said).join("\n"), "")
        assert.lengthOf(responses, runIds.length)
        for (const runId of runIds) {
          assert.isDefined(said(runId))
          const own = all.filter((event) => event.runId === runId)
          const ends = own.filter((event) => event.what === "stops" && event.how === "ended")
          assert.isAtLeast(ends.filter(({ worker }) => worker.startsWith("viewer")).length, 2)
          assert.isAtLeast(new Set(own.flatMap((event) => (event.what === "append" ? [event.epoch] : []))).size, 2)
        }
      }).pipe(Effect.scoped, Effect.provide(services)),
    300_000
  )
})
