/**
 * An endpoint for the webhooks of a provider.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Headers } from "effect/http/Headers"
import { MaxBodySize } from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import { patience } from "./internal/problems.ts"
import { InvalidRequest, Unavailable } from "./RunProblem.ts"

/**
 * Adds the endpoint `POST <path>`, which gives each request to `receive`: its body as it came, and its headers.
 *
 * **Details**
 *
 * | `receive` | answer |
 * | --- | --- |
 * | succeeds | 204 |
 * | fails with an error that is not retryable: the signature is wrong, or the body is none | 400 |
 * | fails with an error that is retryable: the store is away | 503, with `Retry-After` |
 *
 * A body of more than a mebibyte is refused with 400. The answers say nothing of the error.
 *
 * The endpoint needs no `RunAccess`: the signature says who calls.
 *
 * **Example** (Webhooks of OpenAI)
 *
 * ```ts
 * import { RunWebhook } from "@effect-baton/http"
 * import { OpenAiWebhooks } from "@effect-baton/openai"
 *
 * export const Webhook = RunWebhook.layer("/webhooks/openai", OpenAiWebhooks.receive)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E extends { readonly isRetryable: boolean }, R>(
  path: `/${string}`,
  receive: (body: string, headers: Headers) => Effect.Effect<unknown, E, R>
): Layer.Layer<never, never, HttpRouter.HttpRouter | R> =>
  Layer.unwrap(
    // The services of the layer, which its type asks for.
    Effect.map(Effect.context<never>(), (context) =>
      HttpRouter.add("POST", path, (request) =>
        request.text.pipe(
          Effect.provideService(MaxBodySize, ByteSize.mebibytes(1)),
          Effect.mapError(() => new InvalidRequest({ detail: "The body is too large, or cannot be read." })),
          Effect.flatMap(
            (body) => Effect.provideContext(receive(body, request.headers), context) as Effect.Effect<unknown, E>
          ),
          Effect.as(HttpServerResponse.empty({ status: 204 })),
          Effect.catch(refused)
        )
      )
    )
  )

const refused = (error: InvalidRequest | { readonly isRetryable: boolean }) => {
  if (!("isRetryable" in error)) return HttpServerRespondable.toResponse(error)
  return error.isRetryable
    ? Effect.map(
        HttpServerRespondable.toResponse(new Unavailable()),
        HttpServerResponse.setHeader("retry-after", String(patience))
      )
    : HttpServerRespondable.toResponse(new InvalidRequest({ detail: "The webhook is not accepted." }))
}
