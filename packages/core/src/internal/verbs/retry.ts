import * as Effect from "effect/Effect"
import type * as Prompt from "effect/ai/Prompt"
import { type AgentError, InvalidInput, RunInputMismatch, Unconfirmed } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type * as RunState from "../../RunState.ts"
import type { TokenStore } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import { hold } from "../advance/advance.ts"
import { finishLog } from "../advance/finishLog.ts"
import { checkVersion, errorOf, find, logOf, type OpenRun } from "../run/openRun.ts"
import { firstRequest, readTask } from "../run/task.ts"
import { leavable, openAndLeave } from "./start.ts"

interface RetryOptions {
  readonly runId: string
  readonly input?: Prompt.RawInput
  readonly mayBuyTwice?: boolean
}

/** The turn that failed: the first one whose response is not completed. */
const failedTurn = ({ turns }: RunState.RunState): number => {
  const failed = turns.findIndex(({ end }) => end?.status !== "completed")
  return failed === -1 ? Math.max(0, turns.length - 1) : failed
}

/** Opens the failed turn of a run again, in a new incarnation of the run. */
export const retry = Effect.fn("Agent.retry")(function* (
  agent: Agent,
  options: RetryOptions
): Effect.fn.Return<AgentResponse, AgentError, BackgroundModel | TokenStore> {
  const run = yield* find(agent, { runId: options.runId })
  const fail = (reason: AgentError["reason"]) => Effect.fail(errorOf(run)(reason))
  yield* checkVersion(run)
  yield* leavable(run)
  yield* logOf(run)
  yield* finishLog(run)
  const given = options.input === undefined ? run : yield* withInput(run, options.input)
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const held = yield* hold(given)
      while (true) {
        const state = held.state()
        const status = state.ended?.status
        const isUnconfirmed = state.unresolved.length > 0
        if (status === "completed" || status === "incomplete" || (status === undefined && !isUnconfirmed)) {
          const why = status === undefined ? "The run is still under way" : "The run ended well"
          return yield* fail(
            new InvalidInput({
              description: `${why}. Only a run that failed, was cancelled or expired can be retried.`
            })
          )
        }
        if (isUnconfirmed && options.mayBuyTwice !== true) return yield* fail(new Unconfirmed({}))
        const turn = failedTurn(state)
        if (turn === 0 && (yield* held.firstRequest()) === undefined) {
          const description =
            "The run's first turn failed, and cannot be opened again without input: give the input that it was started with."
          return yield* fail(new InvalidInput({ description }))
        }
        if ((yield* held.retry(turn)) === "moved") continue
        held.leaveAs({ attempt: "reset" })
        return yield* openAndLeave(given, held)
      }
    })
  )
})

/** Adds the request for the first turn, made from the input, to the run. */
const withInput = Effect.fnUntraced(function* (
  run: OpenRun,
  input: Prompt.RawInput
): Effect.fn.Return<OpenRun, AgentError> {
  const { agent, record } = run
  const task = yield* readTask(agent, { input, session: record.session }).pipe(
    Effect.mapError(({ reason }) => errorOf(run)(reason))
  )
  if (record.digest !== undefined && record.digest !== task.digest) {
    return yield* errorOf(run)(new RunInputMismatch({ runId: run.runId }))
  }
  return { ...run, request: firstRequest(agent, record, task.prompt) }
})
