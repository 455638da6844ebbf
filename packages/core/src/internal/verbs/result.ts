import * as Effect from "effect/Effect"
import { type AgentError, RunWaiting } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { TokenStore } from "../../TokenStore.ts"
import type { Agent } from "../../AgentDefinition.ts"
import { finishIfOver } from "../advance/finishLog.ts"
import type { RunRef } from "../../RunInput.ts"
import * as OpenRun from "../run/openRun.ts"
import { honest, untilOver } from "../watch/lookAtRun.ts"

/** Waits for the end of a run, and returns its response. */
export const result = Effect.fn("Agent.result")(function* (
  agent: Agent,
  ref: RunRef
): Effect.fn.Return<AgentResponse, AgentError, BackgroundModel | TokenStore> {
  return yield* resultOf(yield* OpenRun.find(agent, ref))
})

/** Returns the response of a run that has ended. Fails as the run did, or if the run waits for its caller. */
export const resultOf = (run: OpenRun.OpenRun): Effect.Effect<AgentResponse, AgentError> =>
  Effect.flatMap(Effect.tap(untilOver(run), (look) => finishIfOver(run, look)), (look) =>
    look.response.status === "waiting"
      ? Effect.fail(OpenRun.errorOf(run)(new RunWaiting({ waitingFor: look.response.waitingFor ?? "deferred" })))
      : honest(run, look)
  )
