import { Agent } from "@effect-baton/core"
import { Duration, Effect, FiberSet, Option, Schedule, Stream } from "effect"
import { existsSync } from "node:fs"
import { finishedPath, type Task } from "../line.ts"
import { chance } from "../random.ts"
import { howOf, kept } from "./consumer.ts"
import { keeper, type Line, ofWorker, readRuns } from "./lines.ts"
import { agentOf, isLogged, saidOf } from "./plan.ts"

/** Answers the calls of one run that wait for somebody. */
const answer = Effect.fnUntraced(function* (task: Task, runId: string, injected: (kind: string) => void) {
  const { life, seed, worker } = task
  const keep = keeper(task)
  const agent = agentOf(seed, runId)
  const polled = yield* Effect.option(Agent.poll(agent, { runId }))
  const { pending = [] } = Option.getOrUndefined(polled) ?? {}
  for (const { callId, params, turn, waitingFor } of pending) {
    if (waitingFor === undefined) continue
    const { part } = params as { readonly part: string }
    const ref = { runId, callId, turn }
    const of = chance(seed, runId, turn, callId, worker, life)
    const send = Effect.fnUntraced(function* (did: "approve" | "reject" | "complete", by: string) {
      const verb = {
        approve: Agent.approve(agent, { ...ref, by }),
        reject: Agent.reject(agent, { ...ref, reason: "no", by }),
        complete: Agent.completeTool(agent, { ...ref, by, tool: "work", result: { said: saidOf(turn, part), by } })
      }
      const how = yield* verb[did].pipe(
        Effect.as("done"),
        Effect.catch(({ reason }) => Effect.succeed(reason._tag))
      )
      if (how === "done") injected(`tools: ${did} from outside`)
      if (how === "AlreadyAnswered") injected("tools: already answered")
      keep({ did, runId, life, call: `${turn}:${callId}`, by, how })
    })
    const by = `outside ${worker}.${life}`
    const did = waitingFor === "deferred" ? "complete" : of.hits(0.7) ? "approve" : "reject"
    yield* send(did, by)
    // A second answer says something else, and must not count.
    const other = did === "complete" ? did : did === "approve" ? "reject" : "approve"
    if (of.hits(0.4)) yield* send(other, `${by} again`)
  }
})

/** Watches a run to its end. */
const watch = Effect.fnUntraced(function* (task: Task, runId: string, isGone: () => boolean) {
  const { life, seed, worker } = task
  const keep: (line: Line) => void = keeper(task)
  const agent = agentOf(seed, runId)
  let place: { readonly offset: number; readonly epoch?: number } = { offset: 0 }
  let times = 0
  const once = Effect.gen(function* () {
    const reader = `viewer ${worker}.${life}.${++times}`
    const exit = yield* Effect.exit(
      Stream.runForEach(Agent.watch(agent, { runId, ...place }), (update) =>
        Effect.sync(() => {
          keep(kept(update, { runId, life, reader }, true))
          const { epoch, offset } = Option.getOrThrow(update.continuationToken)
          place = { offset, ...(epoch === undefined ? {} : { epoch }) }
        })
      )
    )
    const how = howOf(exit)
    keep({ did: "stop", runId, life, reader, how })
    return how === "ended"
  })
  const whole = Effect.repeat(once, { until: (over) => over, schedule: Schedule.spaced("200 millis") })
  // Whoever reads a run that is over hears so soon.
  const patience = Effect.andThen(
    Effect.repeat(Effect.sync(isGone), { until: (is) => is, schedule: Schedule.spaced("500 millis") }),
    Effect.sleep("20 seconds")
  )
  yield* Effect.raceFirst(whole, patience)
})

/**
 * Those outside of a run: they approve and reject calls, give results, and watch. Over a shared server they are in other
 * workers than the run's consumer, and two workers may answer the same call.
 */
export const outside = Effect.fnUntraced(function* (task: Task, injected: (kind: string) => void) {
  const { redis, seed, worker, workers } = task
  const others = (redis === undefined ? [0] : [1, 2]).map((by) => (worker + by) % workers)
  const viewers = yield* FiberSet.make()
  const watched = new Set<string>()
  const look = Effect.gen(function* () {
    const isOver = others.every((other) => existsSync(finishedPath(ofWorker(task, other))))
    for (const other of others) {
      const { begun, over } = readRuns(ofWorker(task, other))
      for (const runId of begun) {
        const isWatcher = isLogged(seed, runId) && chance(seed, runId, worker, "views").hits(0.5)
        if (isWatcher && !watched.has(runId) && !over.has(runId)) {
          watched.add(runId)
          const isGone = () => readRuns(ofWorker(task, other)).over.has(runId)
          yield* FiberSet.run(viewers, watch(task, runId, isGone))
        }
        if (!over.has(runId)) yield* answer(task, runId, injected)
      }
    }
    return isOver
  })
  yield* Effect.repeat(look, {
    until: (isOver) => isOver,
    schedule: Schedule.spaced(Duration.millis(400))
  })
  yield* FiberSet.awaitEmpty(viewers)
}, Effect.scoped)
