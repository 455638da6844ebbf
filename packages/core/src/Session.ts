/**
 * Sessions: conversations that runs read and extend.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A conversation, as a value that names the response which the next run continues.
 *
 * **When to use**
 *
 * Pass a session to a run to let the model remember earlier runs, and take the extended session from
 * `AgentResponse.session` of the completed run, or `AgentUpdate.session` of its last update. A session is plain, serializable data: keep it where you keep your users'
 * other data.
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
 * @category schemas
 */
export const Session = Schema.Struct({
  /** The id of the last response in the conversation; absent if there is none. */
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
 * Makes a conversation: empty, or one that continues after a given response.
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
 * Makes the conversation that continues after a response.
 *
 * @since 0.1.0
 * @category combinators
 */
export const extend = (session: Session, responseId: string): Session => ({
  ...session,
  previousResponseId: responseId
})
