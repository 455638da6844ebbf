import * as Effect from "effect/Effect"
import * as Prompt from "effect/ai/Prompt"
import type { ModelRequest } from "../../BackgroundModel.ts"
import type { AgentError } from "../../AgentError.ts"
import type { RunState } from "../../RunState.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import type { OpenRun } from "../run/openRun.ts"

/** The request that opens a turn. The first comes from the caller's or the store's input, later ones from the journal. */
export const requestOf = (
  run: OpenRun,
  held: HeldRun,
  turn: number
): Effect.Effect<ModelRequest | undefined, AgentError> =>
  turn === 0 ? held.firstRequest() : Effect.sync(() => laterRequest(run, held.state(), turn))

const laterRequest = (run: OpenRun, state: RunState, turn: number): ModelRequest | undefined => {
  const before = state.turns[turn - 1]
  if (before?.winner === undefined) return undefined
  const content = before.calls.flatMap((call) =>
    call.result === undefined
      ? []
      : [
          Prompt.makePart("tool-result", {
            id: call.callId,
            name: call.name,
            result: call.result.result,
            isFailure: call.result.isFailure,
            providerExecuted: false
          })
        ]
  )
  const { agent, record, runId } = run
  return {
    runId,
    agent: agent.name,
    ...(agent.instructions === undefined ? {} : { instructions: agent.instructions }),
    prompt: Prompt.fromMessages([Prompt.makeMessage("tool", { content })]),
    previousResponseId: before.winner.responseId,
    background: record.background,
    ...(agent.options === undefined ? {} : { options: agent.options })
  }
}
