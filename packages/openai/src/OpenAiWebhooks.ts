/**
 * OpenAI's webhooks: an event says that a background response has ended, and wakes the calls that wait for its run.
 *
 * @since 0.1.0
 */
import { AgentError } from "@effect-baton/core/AgentError"
import type { RunId } from "@effect-baton/core/Run"
import * as Runs from "@effect-baton/core/Runs"
import type { TokenStore } from "@effect-baton/core/TokenStore"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as AiError from "effect/ai/AiError"
import { BatonOpenAI, fromNowhere } from "./internal/sdkClients.ts"
import { parse } from "./internal/webhookEvent.ts"
import * as Secrets from "./internal/webhookSecrets.ts"
import * as Signature from "./internal/webhookSignature.ts"

/**
 * The headers of a request, by their names in any case.
 *
 * @since 0.1.0
 * @category models
 */
export type Headers = Readonly<Record<string, string | undefined>>

/**
 * An event that OpenAI sent.
 *
 * **Details**
 *
 * OpenAI may send an event several times. `webhookId` then stays the same.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebhookEvent {
  /** The id of the event. */
  readonly id: string
  /** The id of the message, from the header `webhook-id`. */
  readonly webhookId: string
  /** The type, such as `response.completed`. OpenAI adds types. */
  readonly type: string
  /** When the event happened, in milliseconds since the epoch. OpenAI says it in whole seconds. */
  readonly createdAt: number
  /** The id of the response. Absent if the event is not about a response. */
  readonly responseId?: string
}

/**
 * A request is not an event of this webhook, and is refused.
 *
 * **When to use**
 *
 * Answer the request with 400. The same request never succeeds later.
 *
 * **Details**
 *
 * | `kind` | meaning |
 * | --- | --- |
 * | `header` | `webhook-id`, `webhook-timestamp` or `webhook-signature` is absent, or cannot be read |
 * | `old` | the event was signed longer ago than `tolerance` allows |
 * | `early` | the event was signed in the future: check the clocks |
 * | `signature` | no secret of the layer fits: the event is forged or was changed, or the secret is another endpoint's |
 * | `body` | the event is signed, but cannot be read |
 *
 * It contains neither the body nor a secret.
 *
 * @since 0.1.0
 * @category errors
 */
export class WebhookInvalid extends Schema.TaggedError<WebhookInvalid>()("WebhookInvalid", {
  kind: Schema.Literals(["header", "old", "early", "signature", "body"]),
  description: Schema.String
}) {
  /** Whether the same request can succeed later. */
  get isRetryable(): boolean {
    return false
  }
  override get message(): string {
    return this.description
  }
}

/**
 * An event is valid, but the store failed before the run was woken.
 *
 * **When to use**
 *
 * Answer the request with 503, so that OpenAI sends the event again. `error` says what to do about the store.
 *
 * @since 0.1.0
 * @category errors
 */
export class WebhookNotHandled extends Schema.TaggedError<WebhookNotHandled>()("WebhookNotHandled", {
  responseId: Schema.String,
  error: AgentError
}) {
  override readonly cause: unknown = this.error

  /** Whether the same request can succeed later. */
  get isRetryable(): boolean {
    return true
  }
  override get message(): string {
    return `The webhook event of response '${this.responseId}' woke no run: ${this.error.message}`
  }
}

/**
 * Verifies that events are from OpenAI.
 *
 * **When to use**
 *
 * Use `verify` to do more with events than `receive` does, for instance with those that are not about a response.
 *
 * **Example** (Events about batches)
 *
 * ```ts
 * import { OpenAiWebhooks } from "@effect-baton/openai"
 * import { Console, Effect } from "effect"
 *
 * export const received = Effect.fn(function* (body: string, headers: OpenAiWebhooks.Headers) {
 *   const { verify } = yield* OpenAiWebhooks.OpenAiWebhooks
 *   const { id, type } = yield* verify(body, headers)
 *   if (type.startsWith("batch.")) yield* Console.log(`${type}: ${id}`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class OpenAiWebhooks extends Context.Service<
  OpenAiWebhooks,
  {
    /**
     * Checks the time and the signature of an event, of any type, and reads it. `body` is the text of the request as it
     * came: JSON that was parsed and written again has another signature.
     */
    readonly verify: (body: string, headers: Headers) => Effect.Effect<WebhookEvent, WebhookInvalid>
  }
>()("@effect-baton/openai/OpenAiWebhooks") {}

/**
 * Settings of the webhook.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The signing secret of the webhook (`whsec_…`). While you replace a secret, or if several webhooks call the endpoint,
   * give all secrets: an event that one of them signed is valid.
   */
  readonly secret: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
  /** How far the time of an event may be from the clock of this machine. Default 5 minutes, as in the SDK. */
  readonly tolerance?: Duration.Input | undefined
}

const descriptions = {
  old: "The webhook event is too old.",
  early: "The time of the webhook event is in the future. Check the clock of this machine.",
  signature: "The signature of the webhook event does not fit its body and the secret.",
  body: "The body of the webhook event cannot be read."
}

const refuse = (kind: keyof typeof descriptions) => new WebhookInvalid({ kind, description: descriptions[kind] })

/**
 * A layer that verifies events with a signing secret.
 *
 * **When to use**
 *
 * Use it if the secret does not come from the configuration. Otherwise use `layerConfig`.
 *
 * **Details**
 *
 * Fails with an `AiError` if a secret is empty, or has no base64 after `whsec_`. It needs no API key, and sends no requests.
 *
 * **Example** (Replacing a secret)
 *
 * ```ts
 * import { OpenAiWebhooks } from "@effect-baton/openai"
 * import type { Redacted } from "effect"
 *
 * export const webhooks = (before: Redacted.Redacted, after: Redacted.Redacted) =>
 *   OpenAiWebhooks.layer({ secret: [after, before] })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<OpenAiWebhooks, AiError.AiError> =>
  Layer.effect(
    OpenAiWebhooks,
    Effect.gen(function* () {
      const secrets = yield* Secrets.checked(options.secret)
      const tolerance = Duration.fromInputUnsafe(options.tolerance ?? "5 minutes")
      // Only its functions for webhooks are used, which send nothing.
      const client = new BatonOpenAI({ ...fromNowhere, apiKey: "unused", baseURL: "https://api.openai.com/v1" })
      const verify = Effect.fn("OpenAiWebhooks.verify")(function* (
        body: string,
        headers: Headers
      ): Effect.fn.Return<WebhookEvent, WebhookInvalid> {
        const signed = Signature.signedHeaders(headers)
        if (typeof signed === "string") {
          const description = `The header '${signed}' of the webhook event is absent or cannot be read.`
          return yield* new WebhookInvalid({ kind: "header", description })
        }
        yield* Effect.mapError(Signature.checkTime(signed, tolerance), refuse)
        yield* Effect.mapError(Signature.checkSignature(client, secrets, body, signed), refuse)
        const event = parse(body)
        if (Option.isNone(event)) return yield* refuse("body")
        return { ...event.value, webhookId: signed["webhook-id"] }
      })
      return { verify }
    })
  )

/**
 * A layer that verifies events with a signing secret from the configuration: by default `OPENAI_WEBHOOK_SECRET`.
 *
 * **Details**
 *
 * Fails with a `ConfigError` that names the variable to set, and as `layer` does.
 *
 * **Example** (Two secrets from the environment)
 *
 * ```ts
 * import { OpenAiWebhooks } from "@effect-baton/openai"
 * import { Config } from "effect"
 *
 * export const webhooks = OpenAiWebhooks.layerConfig({
 *   secret: Config.all([Config.Redacted("WEBHOOK_SECRET"), Config.Redacted("WEBHOOK_SECRET_BEFORE")])
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Omit<Options, "secret"> & {
    readonly secret?: Config.Config<Options["secret"]> | undefined
  } = {}
): Layer.Layer<OpenAiWebhooks, Config.ConfigError | AiError.AiError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      return layer({ ...options, secret: yield* options.secret ?? Secrets.fromEnvironment })
    })
  )

/**
 * Receives an event: verifies it, and wakes every call that waits for the run of its response, in all processes. Returns
 * the id of the run.
 *
 * **When to use**
 *
 * Call it in the endpoint of your webhook, for `response.completed`, `response.failed`, `response.cancelled` and
 * `response.incomplete`. A run that is polled is then looked at when its response ends. Most useful is this for a slow
 * `RunPolicy.pollEvery`, or a completion window of hours.
 *
 * **Details**
 *
 * Answer 400 to `WebhookInvalid`, and 503 to `WebhookNotHandled`: OpenAI then sends the event again. Both have
 * `isRetryable`. An event that is not about a response, or about one that no run of the store has, wakes nothing: the call
 * succeeds without an id. An event that comes twice is one more look at the run.
 *
 * Events are hints. If one is lost, the run is polled on its schedule: it only ends later. The result of the run always
 * comes from the provider, never from an event.
 *
 * **Gotchas**
 *
 * `body` must be the text of the request as it came. Limit its size before you read it: anybody can send a request.
 *
 * **Example** (An endpoint)
 *
 * ```ts
 * import { OpenAiWebhooks } from "@effect-baton/openai"
 * import { Effect } from "effect"
 * import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
 *
 * export const endpoint = HttpRouter.add(
 *   "POST",
 *   "/openai/webhook",
 *   Effect.gen(function* () {
 *     const request = yield* HttpServerRequest.HttpServerRequest
 *     return yield* OpenAiWebhooks.receive(yield* request.text, request.headers).pipe(
 *       Effect.as(HttpServerResponse.empty({ status: 204 })),
 *       Effect.catchTags({
 *         WebhookInvalid: () => Effect.succeed(HttpServerResponse.empty({ status: 400 })),
 *         WebhookNotHandled: () => Effect.succeed(HttpServerResponse.empty({ status: 503 }))
 *       })
 *     )
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category verbs
 */
export const receive: (
  body: string,
  headers: Headers
) => Effect.Effect<Option.Option<RunId>, WebhookInvalid | WebhookNotHandled, OpenAiWebhooks | TokenStore> = Effect.fn(
  "OpenAiWebhooks.receive"
)(function* (body, headers) {
  const { verify } = yield* OpenAiWebhooks
  const { responseId } = yield* verify(body, headers)
  if (responseId === undefined) return Option.none()
  return yield* Effect.mapError(Runs.wake(responseId), (error) => new WebhookNotHandled({ responseId, error }))
})
