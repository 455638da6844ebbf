import * as Effect from "effect/Effect"
import { type AgentError, RunExpired } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { AgentError as AgentFailure } from "../../AgentError.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { AdoptOptions } from "../../RunInput.ts"
import * as Backoff from "../primitives/backoff.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import * as NewRun from "./newRun.ts"
import { typedModel } from "../ports/typedModel.ts"
import { glance } from "../watch/lookAtRun.ts"

/** Records a response that another program opened as a run, and polls it once. */
export const adopt = Effect.fn("Agent.adopt")(function* (
  agent: Agent,
  options: AdoptOptions
): Effect.fn.Return<AgentResponse, AgentError, BackgroundModel | TokenStore> {
  const model = yield* typedModel
  const policy = yield* RunPolicy
  const { responseId } = options
  const failed = (reason: AgentError["reason"]) =>
    Effect.fail(new AgentFailure({ agent: agent.name, responseId, reason }))
  // A run whose response does not exist could never end.
  yield* model
    .retrieve(responseId)
    .pipe(
      Effect.retry(Backoff.patiently(policy.requestRetry)),
      Effect.catchTags({ AiError: failed, ResponseGone: () => failed(new RunExpired({ responseId })) })
    )
  const { response } = yield* glance(yield* NewRun.adopt(agent, options))
  return response
})
