/**
 * The call that a tool's handler answers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RunId } from "./Run.ts"

/**
 * The call that a handler answers. Baton provides it to the handlers of an agent's tools.
 *
 * **When to use**
 *
 * Read it in a handler to make side effects repeatable (`idempotencyKey`), or to answer later (`later`). Name it in the
 * `dependencies` of the tool.
 *
 * **Details**
 *
 * - `idempotencyKey`: the same text for all attempts of one call, `runId:turn:callId`. Give it to services that accept one.
 * - `attempt`: 1 for the first attempt. A call is tried again if its process died, or lost the run.
 *
 * **Example** (Giving an idempotency key to a payment service)
 *
 * ```ts
 * import { Agent, ToolCall } from "@effect-baton/core"
 * import { Effect, Schema } from "effect"
 * import { Tool, Toolkit } from "effect/ai"
 *
 * declare const charge: (amount: number, key: string) => Effect.Effect<string>
 *
 * const pay = Tool.make("pay", {
 *   parameters: Schema.Struct({ amount: Schema.Finite }),
 *   success: Schema.String,
 *   dependencies: [ToolCall.ToolCall]
 * })
 * const toolkit = Toolkit.make(pay)
 * const clerk = Agent.make("clerk", { toolkit })
 *
 * export const handlers = Agent.toLayer(
 *   clerk,
 *   toolkit.toLayer({
 *     pay: ({ amount }) => Effect.flatMap(ToolCall.ToolCall, ({ idempotencyKey }) => charge(amount, idempotencyKey))
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class ToolCall extends Context.Service<
  ToolCall,
  {
    /** The run that asks for the call. */
    readonly runId: RunId
    /** The turn of the run, from 0. */
    readonly turn: number
    /** The provider's id of the call. It is unique only within the turn. */
    readonly callId: string
    /** How often the call was started, this time included. */
    readonly attempt: number
    /** A name of the call that no other call of any run has, and that all its attempts share. */
    readonly idempotencyKey: string
    /** See `later`. */
    readonly later: (options?: LaterOptions) => Effect.Effect<never>
  }
>()("@effect-baton/core/ToolCall") {}

/**
 * Options of `later`.
 *
 * **Details**
 *
 * After `expires`, the call counts as failed, and the model is told so. Without it, the run waits for as long as it takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface LaterOptions {
  readonly expires?: Duration.Input
}

/**
 * Ends the handler without a result: `Agent.completeTool` gives the result later, from any process.
 *
 * **When to use**
 *
 * Use it for work that takes hours, or that another system or a person does. The run waits, and no process holds it.
 *
 * **Example** (A tool that a person answers)
 *
 * ```ts
 * import { ToolCall } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * declare const assign: (question: string, ticket: string) => Effect.Effect<void>
 *
 * export const ask = ({ question }: { readonly question: string }) =>
 *   Effect.gen(function* () {
 *     const { idempotencyKey } = yield* ToolCall.ToolCall
 *     yield* assign(question, idempotencyKey)
 *     return yield* ToolCall.later({ expires: "2 days" })
 *   })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const later = (options?: LaterOptions): Effect.Effect<never, never, ToolCall> =>
  Effect.flatMap(ToolCall, (call) => call.later(options))
