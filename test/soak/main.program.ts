// Hundreds of runs side by side under random troubles, kills, cuts and clock jumps: pnpm soak --minutes 5 --seed 7 --store redis.
// More than half of the runs have an update log, which viewers watch: over Redis, those of other workers.
// What consumers and viewers kept in their own files is held against the ledger of the sandbox server.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { RedisServer, type ResponseScript, ResponsesServer, type SandboxLedger } from "@effect-baton/sandbox"
import { Console, Data, Duration, Effect, Exit, FileSystem, Layer, Option, Schedule, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { carriedOut, findings } from "./journal.ts"
import { judge } from "./judge.ts"
import { begunPath, Leaks, readLines, readView, sabotageNames, Task } from "./line.ts"
import { logFindings, placed } from "./logs.ts"
import { kinds, planOf, refusals, scriptOf } from "./plan.ts"
import { chance } from "./random.ts"
import { type Left, redisInjections, redisTroubles, runsLeft } from "./stores.ts"
import { scriptOf as toolScriptOf, type Told } from "./tools/plan.ts"
import { judgeTools, toolInjections } from "./tools/total.ts"
import { viewsPath } from "./viewing.ts"
import { viewers } from "./viewers/main.ts"

class SoakFailed extends Data.TaggedError("SoakFailed")<{ readonly message: string }> {}

const workers = 4
const sideBySide = 60

/** What happens to workers and consumers, beside the server's troubles: each at least once. */
const injections = [
  "SIGKILL",
  "SIGTERM",
  "clock jump",
  "cut by take",
  "consumer failed",
  "interruption",
  "resumed by token",
  "resumed by early token",
  "rival turned away",
  "cancelled early",
  "cancelled late",
  "cancel recorded only",
  "cancel by the holder",
  "store away",
  "store answer lost",
  "opening away",
  "opening answer lost",
  "request withdrawn",
  "record away",
  "record answer lost",
  "renewal lost",
  "lease lost",
  "stolen",
  "log away",
  "log answer lost",
  "viewer came again"
]

/** Waits until a worker's life has begun: a busy machine takes its time to start a process. */
const begun = (directory: string, life: number) =>
  Effect.sync(() => existsSync(begunPath({ directory, life }))).pipe(
    Effect.repeat({ until: (isThere) => isThere, schedule: Schedule.spaced("50 millis") }),
    Effect.timeoutOption("30 seconds")
  )

/** One worker's lives, one after the other, until all its runs are over. */
const lives = Effect.fnUntraced(function* (options: {
  readonly task: Omit<Task, "life">
  readonly deadline: number
  readonly injected: (kind: string) => void
}) {
  const { deadline, injected, task } = options
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const of = chance(task.seed, task.worker, "lives")
  let crashes = 0
  for (let life = 1; ; life++) {
    const environment = yield* Schema.encodeEffect(Task)({ ...task, life })
    const exit = yield* Effect.scoped(
      Effect.gen(function* () {
        const child = yield* spawner.spawn(
          ChildProcess.make(process.execPath, [new URL("worker.program.ts", import.meta.url).pathname], {
            env: { SOAK: environment },
            extendEnv: true,
            stdout: "ignore",
            stderr: "inherit"
          })
        )
        const wait = Effect.suspend(() => Effect.exit(child.exitCode))
        yield* begun(task.directory, life).pipe(Effect.raceFirst(wait))
        const age = of.between(6000, 10_000)
        const name = life % 2 === task.worker % 2 ? "SIGKILL" : "SIGTERM"
        const killed = life <= 2 || Date.now() + age < task.until
        const first = yield* Effect.timeoutOption(
          wait,
          Duration.millis(killed ? age : Math.max(0, deadline - Date.now()))
        )
        if (Option.isSome(first)) return first.value
        injected(killed ? name : "too late")
        yield* Effect.ignore(child.kill({ killSignal: killed ? name : "SIGKILL" }))
        return Option.none<Exit.Exit<number, unknown>>()
      })
    )
    if (Date.now() >= deadline) return crashes
    if (Option.isOption(exit)) continue
    if (Exit.isSuccess(exit) && exit.value === 0) return crashes
    if (++crashes > 3) return crashes
  }
})

const soak = Effect.fnUntraced(function* (options: {
  readonly minutes: number
  readonly seed: string
  readonly sabotage: Task["sabotage"]
  readonly store: "file" | "redis"
  /** What the model was told of the results of tool calls. */
  readonly told: ReadonlyArray<Told>
}) {
  const { minutes, sabotage, seed, store, told } = options
  const fs = yield* FileSystem.FileSystem
  const server = yield* ResponsesServer.ResponsesServer
  const directory = yield* fs.makeTempDirectory({ prefix: "baton-soak-" })
  const counts = new Map<string, number>()
  const injected = (kind: string, times = 1) => void counts.set(kind, (counts.get(kind) ?? 0) + times)

  yield* Console.log(
    `soak: seed ${seed}, ${minutes} minutes, ${workers} workers with ${sideBySide} runs each, store ${store}`
  )
  const whole = minutes * 60_000
  const until = Date.now() + whole - Math.min(25_000, whole / 2)
  const deadline = until + 120_000
  const places = Array.from({ length: workers }, (_, worker) => join(directory, `${worker}`))
  for (const place of places) yield* fs.makeDirectory(place)
  yield* Effect.forkScoped(
    Effect.forever(Effect.andThen(server.setTroubles(refusals), Effect.sleep(Duration.seconds(2))))
  )
  const redis = store === "redis" ? yield* RedisServer.start({ durable: true }) : undefined
  // A server that does not come back is no trouble that workers could survive.
  const troubles =
    redis === undefined
      ? Effect.never
      : Effect.forEach(places, (place) => begun(place, 1)).pipe(
          Effect.andThen(redisTroubles({ server: redis, seed, until, injected })),
          Effect.andThen(Effect.never)
        )
  const [took, crashes] = yield* Effect.timed(
    Effect.forEach(
      places,
      (place, worker) =>
        lives({
          task: {
            ...(redis === undefined ? {} : { redis: redis.url }),
            url: server.url,
            directory: place,
            seed,
            worker,
            workers,
            sideBySide,
            until,
            sabotage
          },
          deadline,
          injected
        }),
      { concurrency: "unbounded" }
    ).pipe(Effect.raceFirst(troubles))
  )

  const stored = new Map<string, Left>()
  for (const place of redis === undefined ? places : [directory]) {
    const found = yield* runsLeft({ directory: place, ...(redis === undefined ? {} : { redis: redis.url }) })
    for (const one of found) {
      const { record } = one
      stored.set(record.runId, one)
      for (const kind of carriedOut(record)) injected(kind)
    }
  }
  const ledger = yield* server.ledger
  const responses = new Map<string, Array<SandboxLedger.LedgerResponse>>()
  for (const response of ledger.responses) {
    const runId = response.metadata["baton_run_id"] ?? ""
    responses.set(runId, [...(responses.get(runId) ?? []), response])
  }
  for (const [kind, times] of Object.entries(ledger.troubles)) injected(kind, times)

  const total = {
    runs: 0,
    updates: 0,
    again: 0,
    lost: 0,
    repeated: 0,
    stale: 0,
    double: 0,
    unconfirmed: 0,
    diverged: 0,
    wrong: 0,
    parked: 0,
    journals: 0,
    logged: 0,
    views: 0,
    viewed: 0,
    logs: 0
  }
  const leaks = { lives: 0, fibers: 0, sockets: 0, files: 0 }
  const bad: Array<string> = []
  for (const [worker, place] of places.entries()) {
    for (const line of linesOf(join(place, "injections"))) injected(line)
    for (const line of linesOf(join(place, "leaks"))) {
      const left = yield* Schema.decodeEffect(Leaks)(line)
      leaks.lives++
      leaks.fibers += left.fibers
      leaks.sockets += left.sockets
      leaks.files += left.files
      if (left.fibers + left.sockets + left.files > 0) bad.push(`worker ${worker} left over ${line}`)
    }
    for (const where of ["open", "done"]) {
      for (const runId of existsSync(join(place, where)) ? readdirSync(join(place, where)) : []) {
        const plan = planOf(seed, runId, Number(runId.split("-")[1]) * workers + worker)
        const { log, record } = stored.get(runId) ?? {}
        const views = places
          .map((viewer) => join(viewsPath(viewer), runId))
          .flatMap((path) => (existsSync(path) ? [readView(path)] : []))
        const kept = readLines(join(place, where, runId))
        const lines = plan.logged ? placed(kept, views, log) : kept
        const misplaced = logFindings({ record, log, lines, views, plan })
        if (misplaced.length > 0) {
          total.logs++
          bad.push(`${runId}: ${misplaced.slice(0, 3).join("; ")}; ${JSON.stringify(plan.troubles)}`)
        }
        total.logged += plan.logged ? 1 : 0
        total.views += views.length
        for (const view of views) total.viewed += view.filter(({ did }) => did === "sees").length
        const found = judge(lines, plan, responses.get(runId) ?? [], redis !== undefined)
        const wrong = findings(record, lines, plan, responses.get(runId) ?? [])
        responses.delete(runId)
        if (record?.parked != null) total.parked++
        if (wrong.length > 0) {
          total.journals++
          bad.push(`${runId}: ${wrong.slice(0, 3).join("; ")}; ${JSON.stringify(plan.troubles)}`)
        }
        total.runs++
        total.updates += found.updates
        total.again += found.again
        total.lost += found.lost
        total.repeated += found.repeated
        total.stale += found.stale
        total.unconfirmed += found.unconfirmed ? 1 : 0
        total.diverged += found.diverged ? 1 : 0
        total.double += found.creates > 1 ? 1 : 0
        total.wrong += found.wrongEnd === undefined ? 0 : 1
        if (found.creates > 1) bad.push(`${runId}: ${found.creates} creates`)
        if (found.wrongEnd !== undefined)
          bad.push(`${runId}: ended ${found.wrongEnd}; ${JSON.stringify(plan.troubles)}`)
        if (found.lost + found.repeated + found.stale > 0) {
          bad.push(`${runId}: ${found.notes.slice(0, 3).join("; ")}; ${JSON.stringify(plan.troubles)}`)
        }
      }
    }
  }
  const tools = judgeTools({ seed, places, stored, told, responses, injected })
  bad.push(...tools.bad)
  for (const runId of responses.keys()) bad.push(`${runId}: created, and in no file`)
  const crashed = crashes.reduce((sum, n) => sum + n, 0)
  if (crashed > 0) bad.push(`${crashed} workers ended by themselves`)
  const expected = [...injections, ...toolInjections, ...kinds, ...(redis === undefined ? [] : redisInjections)]
  const missing = expected.filter((kind) => !counts.has(kind))
  if (missing.length > 0) bad.push(`never injected: ${missing.join(", ")}`)

  yield* Console.log(`\ninjections, ${counts.size} kinds:`)
  yield* Console.log(
    [...counts]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, times]) => `  ${kind.padEnd(24)} ${String(times).padStart(6)}`)
      .join("\n")
  )
  const row = (name: string, value: number | string) => Console.log(`${name.padEnd(26)} ${String(value).padStart(6)}`)
  yield* Console.log("")
  yield* row("seconds", Duration.toSeconds(took).toFixed(0))
  yield* row("runs", total.runs)
  yield* row("of these logged", total.logged)
  yield* row("updates delivered", total.updates)
  yield* row("viewers", total.views)
  yield* row("updates that viewers saw", total.viewed)
  yield* row("came again, dropped", total.again)
  yield* row("unconfirmed, as it may be", total.unconfirmed)
  yield* row("parked, as it may be", total.parked)
  yield* row("diverged, as it may be", total.diverged)
  yield* row("lost", total.lost)
  yield* row("repeated in the output", total.repeated)
  yield* row("by a stale consumer", total.stale)
  yield* row("wrong ends", total.wrong)
  yield* row("double creates", total.double)
  yield* row("wrong records", total.journals)
  yield* row("wrong logs or views", total.logs)
  yield* row("runs with tools", tools.total.runs)
  yield* row("tool calls", tools.total.calls)
  yield* row("attempts of handlers", tools.total.attempts)
  yield* row("updates of these runs", tools.total.updates)
  yield* row("wrong runs with tools", tools.total.wrong)
  yield* row("lives looked at for leaks", leaks.lives)
  yield* row("leaked fibers", leaks.fibers)
  yield* row("leaked sockets", leaks.sockets)
  yield* row("leaked files", leaks.files)
  for (const line of bad.slice(0, 20)) yield* Console.log(`! ${line}`)
  if (bad.length > 20) yield* Console.log(`! and ${bad.length - 20} more`)

  const figures = `${total.runs} runs, ${total.updates} updates, ${total.lost} lost, ${total.repeated} repeated, seed ${seed}`
  if (bad.length === 0) {
    yield* fs.remove(directory, { recursive: true })
    return yield* Console.log(`soak: ok, ${figures}`)
  }
  yield* Console.log(`the workers' files are in ${directory}`)
  yield* Console.log(`soak: FAILED, ${bad.length} findings, ${figures}`)
  return yield* new SoakFailed({ message: `${bad.length} findings` })
})

const linesOf = (path: string): ReadonlyArray<string> =>
  existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []

/** The server's model, of runs with tools and of others. */
const modelOf = (request: ResponseScript.ModelRequest, told: Array<Told>): ResponseScript.ResponseScript =>
  toolScriptOf(request, (one) => told.push(one)) ??
  scriptOf(request.input.map((one) => ("text" in one ? one.text : "")).join(""))

const command = Command.make(
  "soak",
  {
    minutes: Flag.Finite("minutes").pipe(Flag.withDescription("How long, such as 0.5"), Flag.withDefault(1)),
    seed: Flag.String("seed").pipe(Flag.withDescription("Decides all that is by chance"), Flag.optional),
    sabotage: Flag.Literals("sabotage", sabotageNames).pipe(
      Flag.withDescription(
        "A guarantee to break on purpose: must be found. The log takes chunks of outdated epochs (log-fence), says that " +
          "chunks are stored before they are (log-order), or does not store that a run has ended (log-end). The last result " +
          "of a tool call counts, and not the first (tool-first)"
      ),
      Flag.withDefault("none" as const)
    ),
    store: Flag.Literals("store", ["file", "redis"]).pipe(
      Flag.withDescription("Where runs and logs are kept: files of each worker, or a Redis server that comes and goes"),
      Flag.withDefault("file" as const)
    )
  },
  ({ minutes, sabotage, seed, store }) =>
    Effect.suspend(() => {
      const told: Array<Told> = []
      return soak({
        minutes,
        sabotage,
        store,
        told,
        seed: Option.getOrElse(seed, () => String(Date.now() % 1_000_000))
      }).pipe(
        Effect.onInterrupt(() => Console.log("soak: FAILED, interrupted from outside")),
        Effect.scoped,
        Effect.provide(ResponsesServer.layer({ model: (request) => Effect.sync(() => modelOf(request, told)) }))
      )
    })
).pipe(Command.withDescription("Runs under random troubles, held against the sandbox's ledger"))

const watched = Command.make(
  "viewers",
  {
    viewers: Flag.Int("viewers").pipe(Flag.withDescription("How many"), Flag.withDefault(1000)),
    seconds: Flag.Int("seconds").pipe(Flag.withDescription("How long the run is"), Flag.withDefault(40)),
    pace: Flag.Int("pace").pipe(Flag.withDescription("Milliseconds between two texts"), Flag.withDefault(50)),
    kill: Flag.Boolean("kill").pipe(
      Flag.withDescription("Kill the server that writes, midway"),
      Flag.withDefault(false)
    ),
    seed: Flag.String("seed").pipe(Flag.withDescription("Decides when they come"), Flag.withDefault("baton"))
  },
  (options) => viewers(options).pipe(Effect.provide(ResponsesServer.layer()))
).pipe(Command.withDescription("Many viewers of one run, over two servers and Redis"))

command.pipe(
  Command.withSubcommands([watched]),
  Command.run({ version: "0.1.0" }),
  Effect.catchTag("SoakFailed", () => Effect.sync(() => void (process.exitCode = 1))),
  Effect.catchTag("ViewersFailed", ({ message }) =>
    Effect.andThen(
      Console.log(`viewers: FAILED, ${message}`),
      Effect.sync(() => void (process.exitCode = 1))
    )
  ),
  Effect.provide(Layer.mergeAll(NodeServices.layer)),
  NodeRuntime.runMain
)
