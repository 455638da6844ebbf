import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as AiError from "effect/ai/AiError"
import * as Prompt from "effect/ai/Prompt"
import * as Response from "effect/ai/Response"
import { toolCallsIn } from "../record/toolCalls.ts"
import type { BackgroundModel, ModelSnapshot } from "../../BackgroundModel.ts"
import { contentOf } from "../../AgentResponse.ts"
import type { RunStatus } from "../../Run.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { Call, RunRecord } from "../../RunRecord.ts"
import { answers } from "../tools/handlers.ts"
import type { RunState } from "../../RunState.ts"

const encodePrompt = Schema.encodeResult(Schema.toCodecJson(Prompt.Prompt))
const decodeFinish = Schema.decodeUnknownOption(Response.FinishPart)

/** What an end of a response depends on. */
interface Ending {
  readonly agent: Pick<Agent, "options" | "toolkit">
  readonly record: Pick<RunRecord, "tools">
  readonly model: Pick<BackgroundModel["Service"], "demands">
}

/** The fact that records the end of a response. */
export interface ResponseEnd {
  readonly _tag: "ResponseEnded"
  readonly turn: number
  readonly responseId: string
  readonly status: RunStatus
  readonly finish?: Response.FinishReason
  readonly usage?: Response.Usage
  readonly calls: ReadonlyArray<Call>
  readonly carry?: string
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
  run: Ending
): ResponseEnd => {
  const { calls = toolCallsIn(ending.snapshot?.items ?? []), error, snapshot, status } = ending
  const finish = Option.getOrUndefined(decodeFinish(snapshot?.finish))
  const { agent, model } = run
  const asked = status === "completed" ? callsOf(calls, run) : []
  const isKept = asked.every(({ external }) => external) || model.demands(agent.options).stored !== false
  const carry = isKept || snapshot === undefined ? undefined : carried(snapshot.items)
  return {
    _tag: "ResponseEnded",
    turn: response.turn,
    responseId: response.responseId,
    status,
    ...(finish === undefined ? {} : { finish: finish.reason, usage: finish.usage }),
    calls: asked,
    ...(carry === undefined ? {} : { carry }),
    ...(error === undefined ? {} : { error })
  }
}

/** The output of a response, for a turn that must send it again; undefined if it cannot be written as JSON. */
const carried = (items: ModelSnapshot["items"]): string | undefined => {
  const prompt = Prompt.fromResponseParts(contentOf(items))
  return Option.getOrUndefined(
    Option.map(Result.getSuccess(encodePrompt(prompt)), (encoded) => JSON.stringify(encoded))
  )
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

const callsOf = (calls: ReadonlyArray<Response.ToolCallPartEncoded>, { agent, record }: Ending): ReadonlyArray<Call> =>
  calls.map((part): Call => {
    const { id: callId, metadata, name, params = null, providerExecuted } = part
    // The provider runs this call once somebody has approved it.
    const provider = providerExecuted === true
    const isOwn = provider || answers(agent, name) || record.tools?.includes(name) === true
    if (!isOwn) return { callId, name, external: true }
    return {
      callId,
      name,
      external: false,
      params,
      ...(provider ? { provider } : {}),
      ...(metadata === undefined ? {} : { metadata })
    }
  })
