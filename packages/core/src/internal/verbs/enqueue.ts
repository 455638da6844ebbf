import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type AgentError, InputTooLarge } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import * as RunState from "../../RunState.ts"
import type { TokenStore } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { EnqueueInput } from "../../RunInput.ts"
import * as NewRun from "./newRun.ts"
import { checkAgent, errorOf, now, type OpenRun } from "../run/openRun.ts"
import { stuck } from "../run/stuck.ts"
import { bytesOf } from "../primitives/bytes.ts"
import { inputOf, invalid } from "../run/task.ts"
import { typedLog } from "../ports/typedLog.ts"
import { typedStore } from "../ports/typedStore.ts"
import { respond } from "../watch/respond.ts"

/** Records a run with its input, for a worker to open. */
export const enqueue: (agent: Agent, input: EnqueueInput) => Effect.Effect<AgentResponse, AgentError, TokenStore> =
  Effect.fn("Agent.enqueue")(function* (agent, options) {
    const store = yield* typedStore
    const log = yield* typedLog
    const policy = yield* RunPolicy
    yield* checkAgent(agent)
    const asked = yield* NewRun.ask(agent, options)
    const { runId } = asked
    const known: OpenRun["known"] = { responseId: undefined }
    const run = { agent, known, log, policy, runId, store }
    const text = yield* inputOf(asked.prompt)
    const bytes = bytesOf(text)
    if (bytes > policy.maxInput) return yield* errorOf(run)(new InputTooLarge({ bytes, limit: policy.maxInput }))
    const time = yield* now
    const due = yield* Effect.mapError(dueAt(options.notBefore, time), ({ reason }) => errorOf(run)(reason))
    const { created, record } = yield* NewRun.record(run, asked, options.background ?? agent.background ?? true, {
      due,
      handled: true,
      input: { text, until: options.keepInput ?? "ended" }
    })
    // A run that was recorded before without its input does not get it now.
    const why = created ? undefined : stuck(run, record, time)
    if (why !== undefined) return yield* errorOf(run)(why)
    return respond(run, record, RunState.fold(record), { items: [] })
  })

/** The time until a date. */
const dueAt = (notBefore: EnqueueInput["notBefore"], time: number): Effect.Effect<Duration.Duration, AgentError> => {
  if (notBefore === undefined) return Effect.succeed(Duration.zero)
  const at = Predicate.isDate(notBefore) ? notBefore.getTime() : DateTime.toEpochMillis(notBefore)
  return Number.isNaN(at)
    ? Effect.fail(invalid("`notBefore` is not a valid time. Give a DateTime or a valid Date."))
    : Effect.succeed(Duration.millis(Math.max(0, at - time)))
}
