import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Prompt from "effect/ai/Prompt"
import type * as Tool from "effect/ai/Tool"
import { toolOf } from "../../AgentDefinition.ts"
import type { CallState } from "../../RunState.ts"
import * as ToolPolicy from "../../ToolPolicy.ts"
import type { OwnFact } from "../hold/heldRun.ts"
import type { OpenRun } from "../run/openRun.ts"
import { type Found, optionsOf, provided } from "../tools/handlers.ts"

/** If a check of a call fails, dies or interrupts itself, the answer is this one. */
const orElse = <A, E>(effect: Effect.Effect<A, E>, otherwise: A): Effect.Effect<A> =>
  // In a fiber of its own, an interruption of the check differs from one of the run.
  Effect.flatMap(Effect.forkChild(Effect.suspend(() => effect)), (fiber) =>
    Effect.map(Fiber.await(fiber), (exit) => (Exit.isSuccess(exit) ? exit.value : otherwise))
  )

/** The decoded parameters of a call; none if they do not decode. A tool with a JSON Schema takes them as they are. */
const decoded = (tool: Tool.Any, params: unknown, found: Found): Effect.Effect<Option.Option<unknown>> => {
  const schema: unknown = tool.parametersSchema
  if (!Schema.isSchema(schema)) return Effect.succeedSome(params)
  const decode = Schema.decodeUnknownEffect(schema as Schema.Codec<unknown>)(params)
  return Effect.option(provided(decode, found.context))
}

const needsApproval = (
  tool: Tool.Any,
  { callId, params }: CallState,
  messages: ReadonlyArray<Prompt.Message>,
  found: Found
): Effect.Effect<boolean> => {
  const needs = tool.needsApproval
  if (typeof needs !== "function") return Effect.succeed(needs === true)
  return Effect.flatMap(decoded(tool, params, found), (given) => {
    // The handler refuses the parameters: there is nothing to approve.
    if (Option.isNone(given)) return Effect.succeed(false)
    const asked = Effect.suspend(() => {
      const answer = needs(given.value, { toolCallId: callId, messages })
      return Effect.isEffect(answer) ? (answer as Effect.Effect<boolean>) : Effect.succeed(answer)
    })
    // Only a clear no means that nobody needs to approve.
    return Effect.map(orElse(provided(asked, found.context), true), (answer) => answer !== false)
  })
}

/** Asks the tool and the policy whether a call may run, and returns the fact that records the answer. */
export const ask = Effect.fnUntraced(function* (
  run: Pick<OpenRun, "agent" | "request" | "runId">,
  found: Found | undefined,
  turn: number,
  call: CallState
): Effect.fn.Return<OwnFact> {
  const { callId, name, params } = call
  const tool = toolOf(run.agent, name)
  const messages = run.request?.prompt.content ?? []
  // The provider asks about its own calls.
  const needs =
    call.provider === true || tool === undefined || found === undefined
      ? true
      : yield* needsApproval(tool, call, messages, found)
  const byItself = needs ? ToolPolicy.ask() : ToolPolicy.allow
  const request = { runId: run.runId, turn, callId, tool: name, params, needsApproval: needs }
  const policy = found?.policy
  const decision =
    policy === undefined
      ? byItself
      : ((yield* orElse(
          Effect.suspend(() => policy(request)),
          ToolPolicy.ask()
        )) ?? ToolPolicy.ask())
  if (decision._tag === "Allow") return { _tag: "Allowed", turn, callId }
  if (decision._tag === "Reject") return { _tag: "Rejected", turn, callId, reason: decision.reason }
  const time = decision.time ?? optionsOf(run.agent, name).approvalTime
  if (time === undefined) return { _tag: "ApprovalAsked", turn, callId }
  const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(Duration.fromInputUnsafe(time))
  return { _tag: "ApprovalAsked", turn, callId, ...(Number.isFinite(until) ? { until } : {}) }
})
