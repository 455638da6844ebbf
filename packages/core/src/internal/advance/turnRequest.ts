import * as Effect from "effect/Effect"
import * as Prompt from "effect/ai/Prompt"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Tool from "effect/ai/Tool"
import type { ModelRequest } from "../../BackgroundModel.ts"
import type { AgentError } from "../../AgentError.ts"
import type { CallState, RunState } from "../../RunState.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import type { OpenRun } from "../run/openRun.ts"
import { requestFields } from "../run/task.ts"
import { toolOf } from "../tools/handlers.ts"
import { codecOf } from "../tools/recorded.ts"
import { resultOf } from "../tools/told.ts"

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
  const content = before.calls.map((call) => answerOf(run, call))
  return {
    ...requestFields(run.agent, run.record),
    prompt: Prompt.fromMessages([Prompt.makeMessage("tool", { content })]),
    previousResponseId: before.winner.responseId
  }
}

/** The answer to a call, as the model gets it. */
const answerOf = (run: OpenRun, call: CallState): Prompt.ToolMessagePart => {
  const { callId: id, decision, external, metadata, name, provider } = call
  if (provider === true) {
    return Prompt.makePart("tool-approval-response", {
      approvalId: id,
      approved: decision?._tag !== "Rejected",
      ...(decision?._tag === "Rejected" ? { reason: decision.reason } : {})
    })
  }
  // A response with a call of the agent and one of an unknown tool: the model must learn that the latter has no result.
  const { isFailure, result } = external
    ? { isFailure: true, result: { type: "execution-denied", reason: `There is no tool '${name}'.` } }
    : (resultOf(call) ?? { isFailure: true, result: null })
  const modelOutput = isFailure ? undefined : outputOf(toolOf(run.agent, name), result)
  return Prompt.makePart("tool-result", {
    id,
    name,
    result,
    isFailure,
    providerExecuted: false,
    ...(modelOutput === undefined ? {} : { modelOutput }),
    ...(metadata === undefined ? {} : { options: metadata })
  })
}

/** What the tool shows the model in place of a result; undefined if it shows the result itself. */
const outputOf = (tool: Tool.Any | undefined, result: unknown): Prompt.ToolResultPart["modelOutput"] => {
  const { toModelOutput } = tool ?? {}
  if (tool === undefined || toModelOutput === undefined) return undefined
  const decoded = Schema.decodeUnknownResult(codecOf(tool, false))(result)
  return Result.isFailure(decoded)
    ? undefined
    : Result.getOrElse(
        Result.try(() => toModelOutput(decoded.success)),
        () => undefined
      )
}
