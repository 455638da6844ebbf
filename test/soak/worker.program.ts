// A worker of the soak: advances many runs side by side over one store until it is told to stop, or is killed.
import { RunPolicy } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { Cause, Clock, Config, Duration, Effect, Exit, Layer, Metric, Redacted, Schedule, Schema } from "effect"
import { appendFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { consume } from "./consumer.ts"
import { jumping, sabotages, troubled, troubledLog } from "./layers.ts"
import * as Leaking from "./leaks.ts"
import { begunPath, finishedPath, Leaks, Task } from "./line.ts"
import { planOf } from "./plan.ts"
import { chance } from "./random.ts"
import * as Stores from "./stores.ts"
import { consumeAll } from "./tools/consumer.ts"
import { outside } from "./tools/outside.ts"
import { view } from "./viewing.ts"

const policy = RunPolicy.layer({
  checkpointEvery: Duration.millis(100),
  leaseTime: Stores.leaseTime,
  closeTimeout: Duration.seconds(15),
  // Longer than a busy machine takes to answer: what opens a response is Unconfirmed after that.
  idleTimeout: Duration.seconds(10),
  requestRetry: Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 10 })),
  reconnect: Schedule.spaced("100 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 30 })),
  pollEvery: Schedule.spaced("200 millis")
})

// So that each scenario comes round often enough, however slow the machine.
const fewest = 36

const work = Effect.fnUntraced(function* (task: Task) {
  const { life, seed, sideBySide, worker, workers } = task
  writeFileSync(begunPath(task), "")
  const open = join(task.directory, "open")
  const done = join(task.directory, "done")
  mkdirSync(open, { recursive: true })
  mkdirSync(done, { recursive: true })
  const places = { open: (runId: string) => join(open, runId), done: (runId: string) => join(done, runId) }
  const injected = (kind: string) => appendFileSync(join(task.directory, "injections"), `${kind}\n`)

  const unsaid = { unwritten: new Set<string>(), unleft: new Set<string>() }

  const begun = readdirSync(open)
  let next = begun.length + readdirSync(done).length
  const runs = function* () {
    yield* begun
    while (Date.now() < task.until || next < fewest) yield `w${worker}-${next++}`
  }
  const clock = yield* jumping(`${seed}/${worker}/${life}`, injected)
  const broken = sabotages(seed)[task.sabotage]
  const place = Stores.layer(task)
  const store = broken.store.pipe(
    Layer.provide(troubled(`${seed}/${worker}/${life}`, injected, unsaid)),
    Layer.provide(place)
  )
  const log = broken.log.pipe(Layer.provide(troubledLog(`${seed}/${worker}/${life}`, injected)), Layer.provide(place))
  const model = broken.model.pipe(
    Layer.provide(OpenAiBackgroundModel.layer({ model: "soak" })),
    Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: task.url }))
  )
  const queue = runs()
  const of = chance(seed, worker, life, "lanes")
  const lane = Effect.gen(function* () {
    // Not all at once: a kill meanwhile would leave most of them Unconfirmed.
    yield* Effect.sleep(Duration.millis(of.between(0, 2500)))
    for (let at = queue.next(); at.done !== true; at = queue.next()) {
      const runId = at.value
      const plan = planOf(seed, runId, Number(runId.split("-")[1]) * workers + worker)
      const rivals = task.sabotage.endsWith("fence") ? 1 : 0.2
      const steals = task.sabotage === "log-fence" ? 0.3 : 0.1
      yield* consume({ runId, plan, seed, life, rivals, steals, places, injected, unsaid })
    }
  })
  const working = Effect.all(
    Array.from({ length: sideBySide }, () => lane),
    { concurrency: "unbounded", discard: true }
  )
  yield* Effect.andThen(
    Effect.zip(working, consumeAll(task, injected), { concurrent: true }),
    Effect.sync(() => writeFileSync(finishedPath(task), ""))
  ).pipe(
    Effect.zip(view(task, injected), { concurrent: true }),
    Effect.zip(outside(task, injected), { concurrent: true }),
    Effect.provide([store, log, model, policy]),
    Effect.provideService(Clock.Clock, clock)
  )
}, Effect.scoped)

// Not runMain's own: after the work was interrupted there is still something to do.
const told = Effect.callback<void>((resume) => void process.on("SIGTERM", () => resume(Effect.void)))

const fibers = Leaking.makeFibers()

const program = Effect.gen(function* () {
  const task = yield* Config.schema(Task, "SOAK")
  const left = Leaking.watch(fibers.active)
  yield* Effect.raceFirst(work(task), told)
  const leaks = yield* Schema.encodeEffect(Leaks)(yield* left)
  appendFileSync(join(task.directory, "leaks"), `${leaks}\n`)
})

Effect.runCallback(Effect.provideService(program, Metric.FiberRuntimeMetrics, fibers.service), {
  onExit: (exit) => {
    if (Exit.isFailure(exit)) process.stderr.write(`worker: ${Cause.pretty(exit.cause)}\n`)
    process.exit(Exit.isSuccess(exit) ? 0 : 1)
  }
})
