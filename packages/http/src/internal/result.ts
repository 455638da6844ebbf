import * as Agent from "@effect-baton/core/Agent"
import type { AgentError } from "@effect-baton/core/AgentError"
import type { AgentResponse } from "@effect-baton/core/AgentResponse"
import type { WaitingFor } from "@effect-baton/core/Run"
import * as Runs from "@effect-baton/core/Runs"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { RunWaiting } from "../RunProblem.ts"
import type * as Wire from "../RunWire.ts"
import { pendingOf, viewOf } from "./calls.ts"
import { type Engine, find, infoOf, type Served } from "./known.ts"
import { refuse, retryAfter } from "./problems.ts"
import { seal } from "./sealed.ts"

/** Waits for the end of a run, but not for ever. */
export const result = Effect.fnUntraced(function* (served: Served, runId: string, wait: Duration.Duration) {
  const { agent } = yield* find(served, runId, "result")
  const ended = yield* Effect.timeoutOption(Agent.result(agent, { runId }), wait).pipe(
    Effect.catchReason("AgentError", "RunWaiting", ({ waitingFor }) => waits(served, agent, runId, waitingFor)),
    Effect.catchTag("AgentError", refuse)
  )
  if (Option.isSome(ended)) return yield* resultOf(ended.value)
  yield* retryAfter()
  const record = yield* Effect.catch(Runs.get(runId), refuse)
  return yield* viewOf(served, agent, record)
})

/** Says for what a run waits. */
const waits = Effect.fnUntraced(function* (
  served: Served,
  agent: Agent.Any,
  runId: string,
  waitingFor: WaitingFor
): Effect.fn.Return<never, AgentError | RunWaiting, Engine> {
  const { limit, pending } = yield* Agent.poll(agent, { runId })
  const limited = limit === undefined ? {} : { limit }
  return yield* new RunWaiting({ waitingFor, ...limited, ...pendingOf(served, runId, pending) })
})

const resultOf = Effect.fnUntraced(function* (response: AgentResponse): Effect.fn.Return<Wire.RunResult> {
  const { content, runId, status, text } = response
  return {
    runId,
    status: status === "incomplete" ? "incomplete" : "completed",
    text,
    // What the provider says about itself is not for clients.
    content: content.map((part) => ({ ...part, metadata: {} })),
    ...(Option.isNone(response.usage) ? {} : { usage: response.usage.value }),
    ...(Option.isNone(response.finishReason) ? {} : { finishReason: response.finishReason.value }),
    session: yield* seal(response.session)
  }
})

/** Cancels a run. */
export const cancel = Effect.fnUntraced(function* (served: Served, runId: string) {
  const { agent } = yield* find(served, runId, "cancel")
  yield* Effect.catch(Agent.cancel(agent, { runId, wait: false }), refuse)
  return infoOf(served, yield* Effect.catch(Runs.get(runId), refuse))
})
