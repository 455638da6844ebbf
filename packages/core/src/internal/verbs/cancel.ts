import * as Effect from "effect/Effect"
import type { AgentError } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { TokenStore } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import { finishIfOver } from "../advance/finishLog.ts"
import type { RunRef } from "../../RunInput.ts"
import * as OpenRun from "../run/openRun.ts"
import { stop } from "../watch/stop.ts"
import { glance, untilOver } from "../watch/lookAtRun.ts"

/** Cancels a run, and follows it to its true end unless `wait` is false. */
export const cancel = Effect.fn("Agent.cancel")(function* (
  agent: Agent,
  ref: RunRef & { readonly wait?: boolean }
): Effect.fn.Return<AgentResponse, AgentError, BackgroundModel | TokenStore> {
  const { wait = true } = ref
  const run = yield* OpenRun.find(agent, ref)
  // The wait for the end goes on while the provider cannot be reached, as a stream does.
  yield* stop(run, wait ? run.policy.reconnect : run.policy.requestRetry)
  const look = yield* wait ? untilOver(run) : glance(run)
  yield* finishIfOver(run, look)
  return look.response
})
