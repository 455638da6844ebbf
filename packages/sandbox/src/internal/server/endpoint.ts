import { NodeHttpServerRequest } from "@effect/platform-node"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Http from "node:http"
import { type Operation, parse } from "../../SandboxTrouble.ts"
import { ApiError, badRequest, invalidKey } from "./apiError.ts"
import type { Responses } from "./responses.ts"
import { Troubles, TroubleSet } from "./troubles.ts"

/** One request that is being answered. */
export interface Exchange {
  readonly responses: Responses
  readonly requestId: string
  readonly params: { readonly [key: string]: string | undefined }
  readonly query: { readonly [key: string]: string }
  readonly body: unknown
  readonly troubles: Troubles
  /** The troubles in the metadata of a create request. They belong to the response. */
  readonly own: TroubleSet
  readonly node: Http.ServerResponse
  readonly note: (fields: { readonly responseId?: string; readonly status?: number }) => void
}

const errorType = (status: number) => (status >= 500 ? "server_error" : "invalid_request_error")

const json = (value: unknown, requestId: string, status: number, headers: { readonly [key: string]: string } = {}) =>
  HttpServerResponse.jsonUnsafe(value, {
    status,
    headers: { "x-request-id": requestId, "openai-version": "2020-10-01", "openai-processing-ms": "1", ...headers }
  })

export const ok = (exchange: Exchange, value: unknown, headers?: { readonly [key: string]: string }) =>
  Effect.succeed(json(value, exchange.requestId, 200, headers))

/** Breaks the connection before the headers, if that trouble is due. */
export const dropIfDue = (exchange: Exchange): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (exchange.troubles.strike("DropBeforeHeaders") === undefined) return Effect.void
    exchange.node.socket?.destroy()
    return Effect.never
  })

const keyOf = (headers: { readonly [key: string]: string | undefined }): string | undefined =>
  headers["api-key"] ?? headers["authorization"]?.replace(/^Bearer\s+/i, "")

const metadataOf = (body: unknown): { readonly [key: string]: string } | undefined => {
  const metadata = Predicate.isObject(body) ? (body as { readonly metadata?: unknown }).metadata : undefined
  return Predicate.isObject(metadata) && Object.values(metadata).every(Predicate.isString)
    ? (metadata as { readonly [key: string]: string })
    : undefined
}

const troublesFrom = (text: string | undefined): Effect.Effect<TroubleSet, ApiError> =>
  text === undefined
    ? Effect.succeed(new TroubleSet())
    : parse(text).pipe(
        Effect.map((troubles) => new TroubleSet(troubles)),
        Effect.mapError((error) =>
          badRequest(`The sandbox does not have this trouble: ${error.message}`, "sandbox_trouble")
        )
      )

const readBody = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<unknown, ApiError> =>
  Effect.mapError(request.json, () =>
    badRequest(
      "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
    )
  )

/**
 * The common part of every operation: the ledger, the API key, the troubles
 * that answer instead of the operation, and the format of errors.
 */
export const endpoint = (
  responses: Responses,
  apiKey: Redacted.Redacted | undefined,
  operation: Operation,
  handler: (exchange: Exchange) => Effect.Effect<HttpServerResponse.HttpServerResponse, ApiError, Scope.Scope>
) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const params = yield* HttpRouter.params
    const url = new URL(request.url, "http://127.0.0.1")
    const query = Object.fromEntries(url.searchParams)
    const requestId = `req_${crypto.randomUUID().replaceAll("-", "")}`
    const entry: Responses["requests"][number] = {
      requestId,
      method: request.method,
      path: url.pathname,
      query,
      operation,
      at: responses.now,
      ...(params["id"] === undefined ? {} : { responseId: params["id"] })
    }
    responses.requests.push(entry)

    const answer = Effect.gen(function* () {
      const key = keyOf(request.headers)
      const own = new TroubleSet()
      const troubles = new Troubles(operation, responses.troubleCounts, [
        yield* troublesFrom(request.headers["x-sandbox-trouble"]),
        own,
        responses.serverTroubles
      ])
      let body: unknown
      if (operation === "create") {
        body = yield* readBody(request)
        const metadata = metadataOf(body)
        if (metadata !== undefined) {
          entry.metadata = metadata
          own.add((yield* troublesFrom(metadata["sandbox_trouble"])).entries.map(({ trouble }) => trouble))
        }
      }
      if (apiKey !== undefined && key !== Redacted.value(apiKey)) return yield* invalidKey(key)
      const refusal = troubles.strike("HttpError")
      if (refusal !== undefined) {
        return yield* new ApiError({
          status: refusal.status,
          message: refusal.message ?? "A trouble of the sandbox refused this request.",
          type: refusal.type ?? errorType(refusal.status),
          param: null,
          code: refusal.code ?? null,
          headers: refusal.retryAfter === undefined ? {} : { "retry-after": String(refusal.retryAfter) }
        })
      }
      const exchange: Exchange = {
        responses,
        requestId,
        params,
        query,
        body,
        troubles,
        own,
        node: NodeHttpServerRequest.toServerResponse(request) as Http.ServerResponse,
        note: (fields) => {
          Object.assign(entry, fields)
        }
      }
      const response = yield* handler(exchange)
      if (!exchange.node.headersSent) yield* dropIfDue(exchange)
      return response
    })

    const response = yield* Effect.catchTag(answer, "ApiError", (error) =>
      Effect.succeed(json(error.body, requestId, error.status, error.headers))
    )
    entry.status ??= response.status
    return response
  })
