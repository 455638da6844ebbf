import * as Agent from "@effect-baton/core/Agent"
import type { RunId } from "@effect-baton/core/Run"
import * as Runs from "@effect-baton/core/Runs"
import * as Effect from "effect/Effect"
import { Caller, RunAccess } from "../RunAccess.ts"
import { Forbidden, InvalidRequest, RunConflict } from "../RunProblem.ts"
import type * as Wire from "../RunWire.ts"
import { infoOf, may, mayRead, type Served } from "./known.ts"
import { header, refuse } from "./problems.ts"
import { unseal } from "./sealed.ts"

/** Starts a run, or leaves it to a worker. */
export const start = Effect.fnUntraced(function* (served: Served, runId: RunId | undefined, task: Wire.NewRun) {
  const { value: caller } = yield* Caller
  const access = yield* RunAccess
  const named = runId === undefined ? {} : { runId }
  const labels = { ...task.labels, ...access.labels(caller) }
  if (!(yield* may("start", { agent: task.agent, labels, ...named }))) return yield* new Forbidden()
  const agent = served.agents.get(task.agent)
  if (agent === undefined) return yield* new InvalidRequest({ detail: "This service has no such agent." })
  const { background, input, mode = "start" } = task
  if (mode === "start" && background === false) {
    return yield* new InvalidRequest({ detail: "A run that is started is a background run. Enqueue it instead." })
  }
  const session = task.session === undefined ? {} : { session: yield* unseal(task.session) }

  if (runId !== undefined) {
    const found = yield* Effect.option(Runs.get(runId))
    // The same answer as for another task, so that it does not tell whose the key is.
    if (found._tag === "Some" && !(yield* mayRead(served, found.value))) return yield* new RunConflict()
  }
  const options = { ...named, ...session, input, ...(Object.keys(labels).length === 0 ? {} : { labels }) }
  const response = yield* Effect.catch(
    mode === "start"
      ? Agent.start(agent, options)
      : Agent.enqueue(agent, { ...options, ...(background === undefined ? {} : { background }) }),
    refuse
  )
  const record = yield* Effect.catch(Runs.get(response.runId), refuse)
  // Another caller may have been faster with the same key and task.
  if (!(yield* mayRead(served, record))) return yield* new RunConflict()
  const info = infoOf(served, record)
  yield* header("location", info.url)
  return mode === "start" ? { ...info, mode } : { ...info, mode }
})
