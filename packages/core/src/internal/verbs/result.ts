import { Effect } from "effect"
import { type AgentError, RunWaiting } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import { errorOf, type OpenRun } from "../openRun.ts"
import { honest, untilOver } from "./look.ts"

/** The response of a run that is over; fails as the run did, or if the run waits for somebody. */
export const result = (run: OpenRun): Effect.Effect<AgentResponse, AgentError> =>
  Effect.flatMap(untilOver(run), (look) =>
    look.response.status === "waiting"
      ? Effect.fail(errorOf(run)(new RunWaiting({ waitingFor: look.response.waitingFor ?? "deferred" })))
      : honest(run, look)
  )
