import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as AiError from "effect/ai/AiError"
import type { OpenAiClient } from "../OpenAiClient.ts"
import * as Failures from "./failures.ts"

/** One request of an operation: its name in errors, and how the SDK sends it. */
export interface Exchange {
  readonly client: OpenAiClient["Service"]
  /** The operation. */
  readonly method: string
  readonly httpMethod: "POST" | "GET" | "DELETE"
  /** The path after the base URL. */
  readonly path: string
  readonly call: (signal: AbortSignal) => Promise<Response>
}

/** The context for errors about this exchange. */
export const surroundings = (exchange: Exchange): Effect.Effect<Failures.Surroundings & { readonly method: string }> =>
  Effect.map(Clock.currentTimeMillis, (nowMillis) => {
    const { client, provider, redact } = exchange.client
    // The query of a base URL is left out, because it may be a secret.
    const base = redact(client.baseURL.replace(/[?#].*$/, "").replace(/\/+$/, ""))
    return {
      method: exchange.method,
      httpMethod: exchange.httpMethod,
      url: base + redact(exchange.path),
      // The base URL for Azure is made from the endpoint.
      unsureBase: provider === "azure" || base.endsWith("/v1") ? undefined : base,
      redact,
      nowMillis
    }
  })

/**
 * Sends the request once and returns the answer as soon as its headers arrive. When the scope closes, a body that was not
 * read to its end is aborted, which closes its socket. After a body that was read to its end the socket is used again.
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

/** The JSON body and the headers of an answer. */
export interface Answer {
  readonly body: unknown
  readonly headers: Headers
}

/** Sends the request once and reads the whole answer. */
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
              `The answer of ${at.httpMethod} ${at.url} is not JSON, its content type is ` +
              `'${response.headers.get("content-type")}'. Check that the base URL is that of the API`
          })
        })
    })
    return { body, headers: response.headers }
  }).pipe(Effect.scoped)
