import { Effect, Stream } from "effect"
import type { AgentError } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import * as RunState from "../../RunState.ts"
import { advance } from "../advance.ts"
import type { LeaseOptions, StreamOptions } from "../agent.ts"
import type { Ending } from "../cursor.ts"
import { type OpenRun, readAgain } from "../openRun.ts"
import { respond } from "./look.ts"
import { result } from "./result.ts"

/** Follows a run to its end, and answers the whole of it. */
export const complete = Effect.fnUntraced(function* (
  run: OpenRun,
  options: LeaseOptions & Pick<StreamOptions, "onInterrupt">
): Effect.fn.Return<AgentResponse, AgentError> {
  let ending: Ending | undefined
  yield* Stream.runDrain(Stream.unwrap(advance(run, { ...options, onEnd: (how) => void (ending = how) })))
  const shown = ending?.snapshot
  if (shown === undefined) return yield* result(run)
  const record = yield* readAgain(run)
  return respond(run, record, RunState.fold(record), shown)
})
