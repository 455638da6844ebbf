import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as AiError from "effect/ai/AiError"
import * as Response from "effect/ai/Response"
import { toolCallsIn } from "../record/toolCalls.ts"
import type { ModelSnapshot } from "../../BackgroundModel.ts"
import type { RunStatus } from "../../Run.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { Call } from "../../RunRecord.ts"
import { answers } from "../tools/handlers.ts"
import type { RunState } from "../../RunState.ts"

const decodeFinish = Schema.decodeUnknownOption(Response.FinishPart)

/** The fact that records the end of a response. */
export interface ResponseEnd {
  readonly _tag: "ResponseEnded"
  readonly turn: number
  readonly responseId: string
  readonly status: RunStatus
  readonly finish?: Response.FinishReason
  readonly usage?: Response.Usage
  readonly calls: ReadonlyArray<Call>
  readonly error?: AiError.AiError
}

/** Makes that fact from the last snapshot of the response. */
export const make = (
  response: { readonly turn: number; readonly responseId: string },
  ending: {
    readonly status: RunStatus
    readonly error?: AiError.AiError
    readonly snapshot?: Pick<ModelSnapshot, "finish" | "items">
    /** The tool calls of the response, if the snapshot does not contain them. */
    readonly calls?: ReadonlyArray<Response.ToolCallPartEncoded>
  },
  agent: Pick<Agent, "toolkit">
): ResponseEnd => {
  const { calls = toolCallsIn(ending.snapshot?.items ?? []), error, snapshot, status } = ending
  const finish = Option.getOrUndefined(decodeFinish(snapshot?.finish))
  return {
    _tag: "ResponseEnded",
    turn: response.turn,
    responseId: response.responseId,
    status,
    ...(finish === undefined ? {} : { finish: finish.reason, usage: finish.usage }),
    calls: status === "completed" ? callsOf(calls, agent) : [],
    ...(error === undefined ? {} : { error })
  }
}

/** Whether a response ended well and the provider no longer has it: the rest of its output is lost, its end is not. */
export const isForgotten = (
  { turns }: Pick<RunState, "turns">,
  turn: number,
  ending: { readonly status: RunStatus }
): boolean => {
  const known = turns[turn]?.end?.status
  return ending.status === "expired" && (known === "completed" || known === "incomplete")
}

const callsOf = (
  calls: ReadonlyArray<Response.ToolCallPartEncoded>,
  agent: Pick<Agent, "toolkit">
): ReadonlyArray<Call> =>
  calls.map((part): Call => {
    const { id: callId, metadata, name, params = null, providerExecuted } = part
    // The provider runs this call once somebody has approved it.
    const provider = providerExecuted === true
    if (!provider && !answers(agent, name)) return { callId, name, external: true }
    return {
      callId,
      name,
      external: false,
      params,
      ...(provider ? { provider } : {}),
      ...(metadata === undefined ? {} : { metadata })
    }
  })
