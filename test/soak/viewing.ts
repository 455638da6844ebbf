import { Agent, type AgentError } from "@effect-baton/core"
import { Cause, Data, Duration, Effect, Exit, FiberSet, Option, Schedule, Stream } from "effect"
import { appendFileSync, existsSync, mkdirSync, readdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { encodeView, finishedPath, readLines, readView, type Task, type ViewLine } from "./line.ts"
import { planOf } from "./plan.ts"
import { chance } from "./random.ts"

/** A viewer goes away before the end. */
class HadEnough extends Data.TaggedError("HadEnough")<{}> {}

/** Where a worker's viewers keep what they saw, a file for each run. */
export const viewsPath = (directory: string): string => join(directory, "views")

// The last viewers come this long after the first update of a run, in milliseconds.
const latest = 5000

// How long a viewer waits for the end of a run that no consumer reads any more.
const patience = Duration.seconds(20)

const endings = { RunFailed: "failed", RunCancelled: "cancelled", RunExpired: "expired" }

const isEnding = (tag: string): tag is keyof typeof endings => tag in endings

/** How a viewer stopped: a run that is over is not watched again. */
const howOf = (
  exit: Exit.Exit<void, AgentError.AgentError | HadEnough>
): Pick<ViewLine & { did: "leaves" }, "how" | "over"> => {
  if (Exit.isSuccess(exit)) return { how: "ended", over: true }
  const failure = Cause.findErrorOption(exit.cause)
  if (Option.isNone(failure)) return { how: `defect: ${Cause.pretty(exit.cause)}`, over: false }
  const error = failure.value
  if (error._tag === "HadEnough") return { how: "had enough", over: false }
  const { reason } = error
  if (isEnding(reason._tag)) return { how: endings[reason._tag], over: true }
  const kind =
    reason._tag === "LogFailed" ? ` ${reason.error.kind}` : reason._tag === "TokenInvalid" ? ` ${reason.kind}` : ""
  return { how: `${reason._tag}${kind}`, over: false }
}

/** Watches one run, by and by: comes, goes, and comes again at the place where it was, until the run is over. */
const watchRun = Effect.fnUntraced(function* (
  task: Task,
  runId: string,
  whose: string,
  injected: (kind: string) => void
) {
  const agent = Agent.make("soaker", { background: true })
  const path = join(viewsPath(task.directory), runId)
  const before = existsSync(path) ? readView(path) : []
  if (before.some((line) => line.did === "leaves" && line.over)) return
  const keep = (line: ViewLine) => appendFileSync(path, `${encodeView(line)}\n`)
  const newest = before.findLast((line) => line.did !== "leaves")
  let place: { readonly offset: number; readonly epoch?: number } = {
    offset: newest?.offset ?? 0,
    ...(newest?.epoch === undefined ? {} : { epoch: newest.epoch })
  }
  let times = 0
  const once = Effect.gen(function* () {
    const of = chance(task.seed, runId, task.worker, task.life, ++times)
    if (times > 1 || before.length > 0) injected("viewer came again")
    keep({ did: "joins", ...place })
    const most = of.hits(0.3) ? of.between(1, 60) : Infinity
    const limit = of.hits(0.3) ? of.between(50, 2500) : undefined
    let count = 0
    const ref = place.offset === 0 && of.hits(0.5) ? { runId } : { runId, ...place }
    const reading = Stream.runForEach(Agent.watch(agent, ref), (update) => {
      const { epoch = -1, offset } = Option.getOrThrow(update.continuationToken)
      keep({ did: "sees", offset, epoch, text: update.text })
      place = { offset, epoch }
      if (++count === most) return new HadEnough()
      return of.hits(0.02) ? Effect.sleep(Duration.millis(of.between(10, 400))) : Effect.void
    })
    const exit = yield* Effect.exit(
      limit === undefined
        ? reading
        : Effect.timeoutOrElse(reading, { duration: Duration.millis(limit), orElse: () => new HadEnough() })
    )
    const left = howOf(exit)
    keep({ did: "leaves", ...left })
    yield* Effect.sleep(Duration.millis(of.between(50, 1000)))
    return left.over
  })
  const whole = Effect.repeat(once, { until: (over) => over })
  const done = join(whose, "done", runId)
  /** Nobody brings a run to its end whose consumers were told to stop, or could not write that it is over. */
  const abandoned = Effect.gen(function* () {
    yield* Effect.repeat(
      Effect.sync(() => existsSync(done)),
      { until: (isThere) => isThere, schedule: Schedule.spaced("500 millis") }
    )
    const isEnded = readLines(done).some(
      (line) =>
        line.did === "end" && line.unwritten !== true && line.unleft !== true && !/^(unconf|RunDiv)/.test(line.status)
    )
    yield* Effect.sleep(isEnded ? patience : Duration.seconds(3))
  })
  yield* Effect.raceFirst(whole, abandoned)
})

/**
 * Watches logged runs: of the next two workers if all share a server, otherwise of this worker, as its log is its own. Ends
 * when these workers have finished, and no run is left to watch.
 */
export const view = Effect.fnUntraced(function* (task: Task, injected: (kind: string) => void) {
  const { directory, redis, seed, worker, workers } = task
  mkdirSync(viewsPath(directory), { recursive: true })
  const others = (redis === undefined ? [0] : [1, 2]).map((by) => (worker + by) % workers)
  const known = new Set<string>()
  const viewers = yield* FiberSet.make()
  const look = Effect.gen(function* () {
    const isOver = others.every((other) =>
      existsSync(finishedPath({ directory: join(dirname(directory), `${other}`) }))
    )
    for (const other of others) {
      const whose = join(dirname(directory), `${other}`)
      for (const where of ["open", "done"]) {
        for (const runId of existsSync(join(whose, where)) ? readdirSync(join(whose, where)) : []) {
          if (known.has(runId)) continue
          known.add(runId)
          const plan = planOf(seed, runId, Number(runId.split("-")[1]) * workers + other)
          const of = chance(seed, runId, worker, "views")
          if (!plan.logged || !of.hits(redis === undefined ? 0.8 : 0.4)) continue
          yield* FiberSet.run(
            viewers,
            Effect.delay(watchRun(task, runId, whose, injected), Duration.millis(of.between(0, latest)))
          )
        }
      }
    }
    return isOver
  })
  yield* Effect.repeat(look, { until: (isOver) => isOver, schedule: Schedule.spaced("400 millis") })
  yield* FiberSet.awaitEmpty(viewers)
}, Effect.scoped)
