/**
 * Tool calls of runs on the wire: those that wait, and what answers them.
 *
 * @since 0.1.0
 */
import type { Agent } from "@effect-baton/core"
import { resultCodec, toolOf } from "@effect-baton/core/AgentDefinition"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * A tool call that has no result yet.
 *
 * **Details**
 *
 * `waitingFor` is absent while a worker runs the call, or is about to. With `"approval"`, `POST <url>/approve` or
 * `POST <url>/reject` decides; with `"deferred"`, `POST <url>/complete` gives the result. After `until`, in milliseconds
 * since the epoch, the call counts as rejected, or as failed. `params` are as the model wrote them. `approvalId` is that of
 * the `tool-approval-request` part in the updates.
 *
 * @since 0.1.0
 * @category schemas
 */
export const PendingCall = Schema.Struct({
  turn: Schema.Natural,
  callId: Schema.String,
  tool: Schema.String,
  params: Schema.optionalKey(Schema.Json),
  waitingFor: Schema.optionalKey(Schema.Literals(["approval", "deferred"])),
  approvalId: Schema.optionalKey(Schema.String),
  until: Schema.optionalKey(Schema.Finite),
  url: Schema.String
}).annotate({ identifier: "PendingCall" })

/**
 * The type of `PendingCall`.
 *
 * @since 0.1.0
 * @category models
 */
export type PendingCall = typeof PendingCall.Type

/**
 * Why a call is rejected. The model is told so.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Rejection = Schema.Struct({ reason: Schema.NonEmptyString }).annotate({ identifier: "Rejection" })

/**
 * The type of `Rejection`.
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection = typeof Rejection.Type

/**
 * The result of a call, or its failure, in JSON as the schemas of the call's tool encode it. `encodeAnswer` makes one.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Answer = Schema.Union([Schema.Struct({ result: Schema.Json }), Schema.Struct({ failure: Schema.Json })], {
  mode: "oneOf"
}).annotate({ identifier: "Answer" })

/**
 * The type of `Answer`.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = typeof Answer.Type

const amount = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * New limits of a run. Each is the new total; `time` is in milliseconds. A limit that is lower than the present one changes
 * nothing.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Limits = Schema.Struct({
  turns: Schema.optionalKey(Schema.Natural),
  toolCalls: Schema.optionalKey(Schema.Natural),
  tokens: Schema.optionalKey(Schema.Natural),
  time: Schema.optionalKey(amount),
  cost: Schema.optionalKey(amount)
}).annotate({ identifier: "Limits" })

/**
 * The type of `Limits`.
 *
 * @since 0.1.0
 * @category models
 */
export type Limits = typeof Limits.Type

/**
 * Encodes a result or a failure, with the types of the agent's tools.
 *
 * **When to use**
 *
 * Use it with the typed client: the endpoint does not know the types of your tools, and takes any JSON.
 *
 * **Example** (The body of `POST /runs/order-7/turns/0/calls/call_1/complete`)
 *
 * ```ts
 * import { Agent } from "@effect-baton/core"
 * import { RunCall } from "@effect-baton/http"
 * import { Effect, Schema } from "effect"
 * import { Tool, Toolkit } from "effect/ai"
 *
 * const dueDate = Tool.make("dueDate", { parameters: Schema.Struct({ order: Schema.String }), success: Schema.Date })
 * const clerk = Agent.make("clerk", { toolkit: Toolkit.make(dueDate) })
 *
 * const payload = RunCall.encodeAnswer(clerk, { tool: "dueDate", result: new Date(0) })
 *
 * Effect.runSync(payload) // => { result: "1970-01-01T00:00:00.000Z" }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const encodeAnswer = <A extends Agent.Any>(
  agent: A,
  answer: Agent.ToolAnswer<A>
): Effect.Effect<Answer, Schema.SchemaError> => {
  const { failure, result, tool: name } = answer as { tool: string; result?: unknown; failure?: unknown }
  const tool = toolOf(agent, name)
  if (tool === undefined) return Effect.die(new Error(`The agent has no tool '${name}'.`))
  return "failure" in answer
    ? Effect.map(Schema.encodeEffect(resultCodec(tool, true))(failure), (json) => ({ failure: json }))
    : Effect.map(Schema.encodeEffect(resultCodec(tool, false))(result), (json) => ({ result: json }))
}
