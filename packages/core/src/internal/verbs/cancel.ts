import { Effect } from "effect"
import type { AgentError } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { OpenRun } from "../openRun.ts"
import { stop } from "../stop.ts"
import { glance, untilOver } from "./look.ts"

/** Asks for the end of a run, and follows it to its true end if asked to wait. */
export const cancel = Effect.fnUntraced(function* (
  run: OpenRun,
  wait: boolean
): Effect.fn.Return<AgentResponse, AgentError> {
  yield* stop(run)
  return (yield* wait ? untilOver(run) : glance(run)).response
})
