/**
 * The answer of a sandbox model: the items of one response, as deltas, and how
 * the response ends. The sandbox server turns it into events of the Responses
 * API.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"

/**
 * The pieces of one streamed text, read by position: an array of strings is
 * one, and a generated text of any length can be one without being kept in
 * memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Deltas {
  /** How many pieces there are. */
  readonly length: number
  /** The piece at `index`; the same index always gives the same piece. */
  readonly at: (index: number) => string | undefined
}

/**
 * One output item of a response: a message, a message that refuses, a call of
 * a function tool, or a summary of reasoning.
 *
 * @since 0.1.0
 * @category models
 */
export type ScriptItem =
  | { readonly type: "message"; readonly deltas: Deltas }
  | { readonly type: "refusal"; readonly deltas: Deltas }
  | { readonly type: "function_call"; readonly name: string; readonly callId: string; readonly deltas: Deltas }
  | { readonly type: "reasoning"; readonly deltas: Deltas }

/**
 * How a response ends.
 *
 * @since 0.1.0
 * @category models
 */
export type ScriptEnd =
  | { readonly status: "completed" }
  | { readonly status: "incomplete"; readonly reason: string }
  | { readonly status: "failed"; readonly code: string; readonly message: string }
  | { readonly status: "cancelled" }

/**
 * The whole answer of a sandbox model to one request. Without `end` the
 * response completes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseScript {
  readonly items: ReadonlyArray<ScriptItem>
  readonly end?: ScriptEnd
}

/**
 * One input item as a sandbox model sees it.
 *
 * @since 0.1.0
 * @category models
 */
export type ModelInput =
  | { readonly type: "message"; readonly role: string; readonly text: string }
  | { readonly type: "function_call_output"; readonly callId: string; readonly output: string }

/**
 * One request as a sandbox model sees it: `input` is what came with this
 * request, `history` what came with the responses before it (through
 * `previous_response_id` or `conversation`), oldest first.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelRequest {
  readonly model: string
  readonly instructions: string
  readonly input: ReadonlyArray<ModelInput>
  readonly history: ReadonlyArray<ModelInput>
  /** Names of the function tools offered with the request. */
  readonly tools: ReadonlyArray<string>
}

/**
 * A model that the sandbox server can run. It works without a network, and
 * the same request should give the same script.
 *
 * @since 0.1.0
 * @category models
 */
export type SandboxModel = (request: ModelRequest) => Effect.Effect<ResponseScript>

/**
 * Cuts a text into deltas of a word or a few characters, as models stream it.
 * It never cuts a character that takes two UTF-16 units. The joined deltas are
 * the text.
 *
 * **Example** (Splitting a sentence)
 *
 * ```ts
 * import { splitDeltas } from "@effect-baton/sandbox/ResponseScript"
 *
 * splitDeltas("The north grew.") // => ["The", " north", " grew."]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const splitDeltas = (text: string): ReadonlyArray<string> => text.match(/\s?\S{1,5}|\s/gu) ?? []

/**
 * A script of one message that completes.
 *
 * **Example** (A script of one message)
 *
 * ```ts
 * import { message } from "@effect-baton/sandbox/ResponseScript"
 *
 * message("Two and two are four.").items.length // => 1
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const message = (text: string): ResponseScript => ({
  items: [{ type: "message", deltas: splitDeltas(text) }]
})

const loremWords = [
  "lorem",
  " ipsum",
  " dolor",
  " sit",
  " amet",
  ",",
  " consec",
  "tetur",
  " adip",
  "iscing",
  " elit",
  ".",
  " Sed",
  " do",
  " eius",
  "mod",
  " tempor",
  " inci",
  "didunt",
  " ut",
  " labore",
  " et",
  " dolore",
  " magna",
  " aliqua",
  ".",
  " Ut",
  " enim",
  " ad",
  " minim",
  " veniam"
]

/**
 * A script of one message of exactly `count` deltas, for measurements and long
 * runs. Each delta is generated when it is read, so that the size of the
 * script does not depend on `count`.
 *
 * **Example** (A script of 200,000 deltas)
 *
 * ```ts
 * import { lorem } from "@effect-baton/sandbox/ResponseScript"
 *
 * lorem(200_000).items[0]?.deltas.length // => 200000
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const lorem = (count: number): ResponseScript => ({
  items: [
    {
      type: "message",
      deltas: {
        length: count,
        // The multiplier keeps neighbouring runs of words from repeating, so
        // that a misplaced delta changes the text.
        at: (index) => loremWords[(index + Math.floor(index / loremWords.length) * 7) % loremWords.length]
      }
    }
  ]
})
