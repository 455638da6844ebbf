import * as Effect from "effect/Effect"
import { type AgentError, RunWaiting } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { TokenStore } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import { finishIfOver } from "../advance/finishLog.ts"
import type { RunRef } from "../../RunInput.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import * as OpenRun from "../run/openRun.ts"
import { loggedOf } from "../logged/reading.ts"
import { reasonOf } from "../run/runReason.ts"
import { responseFrom } from "../watch/logResponse.ts"
import { honest, untilOver } from "../watch/lookAtRun.ts"

/** Waits for the end of a run, and returns its response. */
export const result = Effect.fn("Agent.result")(function* (
  agent: Agent,
  ref: RunRef
): Effect.fn.Return<AgentResponse, AgentError, BackgroundModel | TokenStore> {
  return yield* resultOf(yield* OpenRun.find(agent, ref))
})

/** Returns the response of a run that has ended. Fails as the run did, or if the run waits for its caller. */
export const resultOf = Effect.fnUntraced(function* (
  run: OpenRun.OpenRun
): Effect.fn.Return<AgentResponse, AgentError> {
  const known = yield* fromLog(run, run.record)
  if (known !== undefined) return known
  const look = yield* untilOver(run)
  yield* finishIfOver(run, look)
  if (look.response.status === "waiting") {
    const { limit, waitingFor = "deferred" } = look.response
    return yield* OpenRun.errorOf(run)(new RunWaiting({ waitingFor, ...(limit === undefined ? {} : { limit }) }))
  }
  const record = run.record.logged === true ? yield* OpenRun.readAgain(run) : run.record
  return (yield* fromLog(run, record)) ?? (yield* honest(run, look))
})

/** The response of a run that has ended well, if its log has all of it. The provider is not asked. */
const fromLog = Effect.fnUntraced(function* (
  run: OpenRun.OpenRun,
  record: RunRecord
): Effect.fn.Return<AgentResponse | undefined, AgentError> {
  const { log } = run
  const state = RunState.fold(record)
  if (record.logged !== true || log === undefined || state.ended === undefined) return undefined
  const reason = reasonOf(run.agent, state)
  if (reason !== undefined) return yield* OpenRun.errorOf(run)(reason)
  return yield* responseFrom(run, record, loggedOf(run, log))
})
