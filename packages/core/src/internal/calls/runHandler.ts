import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import { resultCodec, toolOf } from "../../AgentDefinition.ts"
import type { CallState } from "../../RunState.ts"
import { type LaterOptions, ToolCall } from "../../ToolCall.ts"
import type { OpenRun } from "../run/openRun.ts"
import { type Found, optionsOf, provided } from "../tools/handlers.ts"
import * as Recorded from "../tools/recorded.ts"
import { approvalId } from "../tools/told.ts"

/** A call that runs. */
export interface Running {
  readonly turn: number
  readonly call: CallState
  /** 1 for the first attempt. */
  readonly attempt: number
  /** Called with preliminary results, as the tool encodes them. */
  readonly onPreliminary: (encoded: unknown) => void
  /** Called if the handler answers later. */
  readonly onLater: (options: LaterOptions) => void
}

// effect annotates the current span with the parameters of a call. They are content, which Baton keeps out of traces.
const withoutParameters = (span: Tracer.Span): Tracer.Span => ({
  _tag: "Span",
  name: span.name,
  spanId: span.spanId,
  traceId: span.traceId,
  parent: span.parent,
  annotations: span.annotations,
  sampled: span.sampled,
  kind: span.kind,
  get status() {
    return span.status
  },
  get attributes() {
    return span.attributes
  },
  get links() {
    return span.links
  },
  attribute: (key, value) => {
    if (key !== "parameters" && key !== "tool") span.attribute(key, value)
  },
  end: (endTime, exit) => span.end(endTime, exit),
  event: (name, startTime, attributes) => span.event(name, startTime, attributes),
  addLinks: (links) => span.addLinks(links)
})

const final = (results: Stream.Stream<Tool.HandlerResult<Tool.Any>, unknown>, { onPreliminary }: Running) =>
  Stream.runFold(
    results,
    () => Option.none<Tool.HandlerResult<Tool.Any>>(),
    (last, one) => {
      if (!one.preliminary) return Option.some(one)
      onPreliminary(one.encodedResult)
      return last
    }
  )

/** Runs the handler of a call, and returns what the journal keeps of its result. It fails only if it is interrupted. */
export const runHandler = (run: OpenRun, found: Found, running: Running): Effect.Effect<Recorded.Recorded> => {
  const { attempt, call, onLater, turn } = running
  const { callId, name, params } = call
  const { agent, policy, runId } = run
  const tool = toolOf(agent, name)
  const most = policy.maxToolResult
  const service = ToolCall.of({
    runId,
    turn,
    callId,
    attempt,
    idempotencyKey: approvalId(runId, turn, callId),
    later: (options = {}) =>
      Effect.andThen(
        Effect.sync(() => onLater(options)),
        Effect.never
      )
  })
  const handle = found.toolkit.handle as (
    name: string,
    params: unknown,
    callId: string
  ) => ReturnType<Toolkit.WithHandler<Record<string, Tool.Any>>["handle"]>
  const handled = Effect.flatMap(handle(tool?.name ?? name, params, callId), (results) =>
    final(results as Stream.Stream<Tool.HandlerResult<Tool.Any>, unknown>, running)
  ).pipe(Effect.provideService(ToolCall, service), (effect) => provided(effect, found.context)) as Effect.Effect<
    Option.Option<Tool.HandlerResult<Tool.Any>>,
    unknown
  >

  const kept = Effect.flatMap(handled, (result): Effect.Effect<Recorded.Recorded, unknown> => {
    if (Option.isNone(result)) return Effect.die(new Error("the handler ended without a result"))
    const { isFailure, result: value } = result.value
    const encoded =
      tool === undefined ? Effect.succeed(value) : Schema.encodeUnknownEffect(resultCodec(tool, isFailure))(value)
    return Effect.flatMap(
      Effect.mapError(encoded, ({ message }) => Recorded.unkept(name, message)),
      (encodedResult) => {
        const json = Recorded.toJson(encodedResult, most)
        return Result.isSuccess(json)
          ? Effect.succeed({ result: json.success, isFailure })
          : Effect.fail(Recorded.unkept(name, json.failure))
      }
    )
  })
  const { timeLimit } = optionsOf(agent, name)
  const limit = timeLimit === undefined ? undefined : Duration.fromInputUnsafe(timeLimit)
  const inTime =
    limit === undefined
      ? kept
      : Effect.timeoutOrElse(kept, {
          duration: limit,
          orElse: () =>
            Effect.succeed(
              Recorded.interrupted(`The tool took longer than its time limit of ${Duration.format(limit)}.`)
            )
        })
  const told = inTime.pipe(
    Effect.catch((error) => (tool === undefined ? Effect.die(error) : Recorded.failureOf(tool, error, most))),
    Effect.catchCause((cause): Effect.Effect<Recorded.Recorded> =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : Effect.succeed({ result: messageOf(cause), isFailure: true, ends: "defect" })
    )
  )
  return Effect.useSpan(
    `execute_tool ${name}`,
    {
      attributes: {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": callId,
        "gen_ai.agent.name": agent.name,
        "baton.run.id": runId,
        "baton.tool.attempt": attempt
      }
    },
    (span) => Effect.provideService(told, Tracer.ParentSpan, withoutParameters(span))
  )
}

/** What a handler died of, in a line: the store keeps it, so that it holds no stack. */
const messageOf = (cause: Cause.Cause<unknown>): string =>
  Cause.prettyErrors(cause)
    .map(({ message, name }) => (message === "" ? name : `${name}: ${message}`))
    .join("; ")
    .slice(0, 500) || "it died with an empty cause"
