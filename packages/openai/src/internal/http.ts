import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as AiError from "effect/ai/AiError"
import type { OpenAiClient } from "../OpenAiClient.ts"
import * as Failures from "./failures.ts"

/** One request of an operation: what it is called in errors, and how the SDK makes it. */
export interface Exchange {
  readonly client: OpenAiClient["Service"]
  /** The operation. */
  readonly method: string
  readonly httpMethod: "POST" | "GET" | "DELETE"
  /** The path after the base URL. */
  readonly path: string
  readonly call: (signal: AbortSignal) => Promise<Response>
}

/** What errors about this exchange may tell. */
export const surroundings = (exchange: Exchange): Effect.Effect<Failures.Surroundings & { readonly method: string }> =>
  Effect.map(Clock.currentTimeMillis, (nowMillis) => ({
    method: exchange.method,
    httpMethod: exchange.httpMethod,
    // Without the query: what follows a question mark in a base URL may be a secret.
    url: exchange.client.redact(
      exchange.client.client.baseURL.replace(/[?#].*$/, "").replace(/\/$/, "") + exchange.path
    ),
    redact: exchange.client.redact,
    nowMillis
  }))

/**
 * Sends the request, once, and gives the answer as soon as its head is there. When the scope closes, a body that was not
 * read to its end is aborted, which closes its socket; one that was leaves the socket to the next request.
 */
export const open = (exchange: Exchange): Effect.Effect<Response, Failures.RequestFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const controller = new AbortController()
    yield* Scope.addFinalizer(
      yield* Effect.scope,
      Effect.sync(() => controller.abort())
    )
    return yield* Effect.tryPromise({ try: () => exchange.call(controller.signal), catch: (error) => error })
  }).pipe(
    Effect.catch((error) => Effect.flatMap(surroundings(exchange), (at) => Effect.fail(Failures.fromSdk(error, at))))
  )

/** The JSON of an answer, and its head. */
export interface Answer {
  readonly body: unknown
  readonly headers: Headers
}

/** Sends the request, once, and reads its whole answer. */
export const json = (exchange: Exchange): Effect.Effect<Answer, Failures.RequestFailure> =>
  Effect.gen(function* () {
    const response = yield* open(exchange)
    const at = yield* surroundings(exchange)
    const text = yield* Effect.tryPromise({
      try: () => response.text(),
      catch: (error) => new Failures.RequestFailure({ kind: "lost", reason: Failures.fromBody(error, at) })
    })
    const body = yield* Effect.try({
      try: (): unknown => JSON.parse(text),
      catch: () =>
        new Failures.RequestFailure({
          kind: "lost",
          reason: new AiError.InvalidResponseError({
            description:
              `The answer of ${at.httpMethod} ${at.url} is no JSON but '${response.headers.get("content-type")}'. ` +
              `Check that the base URL is that of the API`
          })
        })
    })
    return { body, headers: response.headers }
  }).pipe(Effect.scoped)
