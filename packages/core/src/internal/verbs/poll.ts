import * as Effect from "effect/Effect"
import type { AgentError } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { TokenStore } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import { finishIfOver } from "../advance/finishLog.ts"
import type { RunRef } from "../../RunInput.ts"
import * as OpenRun from "../run/openRun.ts"
import { glance } from "../watch/lookAtRun.ts"

/** Polls a run once, and returns its response. */
export const poll = Effect.fn("Agent.poll")(function* (
  agent: Agent,
  ref: RunRef
): Effect.fn.Return<AgentResponse, AgentError, BackgroundModel | TokenStore> {
  const run = yield* OpenRun.find(agent, ref)
  const look = yield* glance(run)
  yield* finishIfOver(run, look)
  return look.response
})
