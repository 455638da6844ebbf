/**
 * Sessions: the conversation that a run reads and extends.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A conversation, as a value: the response that the next run continues.
 *
 * **When to use**
 *
 * Pass it to a run to let the model remember the runs before it, and take the extended one from the finished run's
 * `AgentResponse.session`. It is plain, serializable data: keep it where you keep your user's other data.
 *
 * **Details**
 *
 * The conversation itself stays with the provider, which keeps a response for a limited time (OpenAI: 30 days).
 *
 * **Example** (Two runs in one conversation)
 *
 * ```ts
 * import { Agent, Session } from "@effect-baton/core"
 * import { Effect } from "effect"
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 *
 * export const program = Effect.gen(function* () {
 *   const first = yield* Agent.run(analyst, { input: "How was October?", session: Session.make() })
 *   return yield* Agent.run(analyst, { input: "And November?", session: first.session })
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const Session = Schema.Struct({
  /** The last response of the conversation; absent before the first. */
  previousResponseId: Schema.optionalKey(Schema.String)
})

/**
 * The type of `Session`.
 *
 * @since 0.1.0
 * @category models
 */
export type Session = typeof Session.Type

/**
 * A conversation without runs, or one that goes on after a known response.
 *
 * **Example** (A new conversation)
 *
 * ```ts
 * import { Session } from "@effect-baton/core"
 *
 * Session.make() // => {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: { readonly previousResponseId?: string } = {}): Session => options

/**
 * The conversation after a response.
 *
 * @since 0.1.0
 * @category combinators
 */
export const extend = (session: Session, responseId: string): Session => ({
  ...session,
  previousResponseId: responseId
})
