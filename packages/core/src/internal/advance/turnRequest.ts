import * as Effect from "effect/Effect"
import * as Prompt from "effect/ai/Prompt"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Tool from "effect/ai/Tool"
import { resultCodec, toolOf } from "../../AgentDefinition.ts"
import type { ModelRequest } from "../../BackgroundModel.ts"
import { type AgentError, RunDiverged } from "../../AgentError.ts"
import type { CallState, TurnState } from "../../RunState.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import { errorOf, type OpenRun } from "../run/openRun.ts"
import { promptOf, requestFields } from "../run/task.ts"
import { resultOf } from "../tools/told.ts"

/** The request that opens a turn. The first comes from the caller's or the store's input, later ones from the journal. */
export const requestOf = (
  run: OpenRun,
  held: HeldRun,
  turn: number
): Effect.Effect<ModelRequest | undefined, AgentError> => {
  if (turn === 0) return held.firstRequest()
  const turns = held.state().turns.slice(0, turn)
  return turns.some(({ end }) => end?.carry !== undefined)
    ? Effect.flatMap(held.firstRequest(), (first) =>
        first === undefined ? Effect.undefined : wholeRequest(run, turns, first)
      )
    : Effect.sync(() => laterRequest(run, turns.at(-1)))
}

/** A request that continues the last response, which the provider keeps. */
const laterRequest = (run: OpenRun, before: TurnState | undefined): ModelRequest | undefined =>
  before?.winner === undefined
    ? undefined
    : {
        ...requestFields(run.agent, run.record),
        prompt: Prompt.fromMessages([answersIn(run, before)]),
        previousResponseId: before.winner.responseId
      }

/** A request with all turns before it, of which the provider keeps nothing. */
const wholeRequest = (
  run: OpenRun,
  turns: ReadonlyArray<TurnState>,
  first: ModelRequest
): Effect.Effect<ModelRequest, AgentError> =>
  Effect.map(
    Effect.forEach(turns, (turn) =>
      Effect.map(carriedIn(run, turn), (said) => [...said, ...(turn.calls.length === 0 ? [] : [answersIn(run, turn)])])
    ),
    (messages) => ({ ...first, prompt: Prompt.fromMessages([...first.prompt.content, ...messages.flat()]) })
  )

/** What a response said, as its fact has it. */
const carriedIn = (run: OpenRun, { end }: TurnState): Effect.Effect<ReadonlyArray<Prompt.Message>, AgentError> =>
  end?.carry === undefined
    ? Effect.succeed([])
    : promptOf(end.carry).pipe(
        Effect.map(({ content }) => content),
        Effect.mapError(() =>
          errorOf(run)(new RunDiverged({ description: "an earlier response cannot be read again" }))
        )
      )

/** The answers to the calls of a turn. */
const answersIn = (run: OpenRun, { calls }: TurnState): Prompt.ToolMessage =>
  Prompt.makeMessage("tool", { content: calls.map((call) => answerOf(run, call)) })

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
  const decoded = Schema.decodeUnknownResult(resultCodec(tool, false))(result)
  return Result.isFailure(decoded)
    ? undefined
    : Result.getOrElse(
        Result.try(() => toModelOutput(decoded.success)),
        () => undefined
      )
}
