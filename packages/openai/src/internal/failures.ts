import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import * as AiError from "effect/ai/AiError"
import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError, OpenAIError } from "openai"
import { isRecord, recordOf, wordOf } from "./fields.ts"
import { type ProviderError, reasonOf, retryAfter } from "./reasons.ts"

/**
 * A request that brought no answer to read.
 *
 * `unsent`: it never left, so nothing was bought. `lost`: it may have arrived. `answered`: the provider, or something
 * before it, answered with an error status; `api` tells that the answer was the API's own.
 */
export class RequestFailure extends Data.TaggedError("RequestFailure")<{
  readonly kind: "unsent" | "lost" | "answered"
  readonly reason: AiError.AiErrorReason
  readonly error?: ProviderError
  readonly api?: boolean
}> {}

/** What a failure may be told in. */
export interface Surroundings {
  readonly redact: (text: string) => string
  readonly httpMethod: string
  readonly url: string
  readonly nowMillis: number
}

// Bodies of error answers may be whole pages.
const longest = 1000

const clip = (text: string): string => (text.length > longest ? `${text.slice(0, longest)}…` : text)

interface Told {
  readonly message: string
  readonly code: string | undefined
  readonly syscall: string | undefined
}

// The innermost errors of a chain of causes. Several where several addresses of a host were tried.
const leaves = (error: unknown, depth = 0): ReadonlyArray<Told> => {
  if (!Predicate.isObject(error)) return [{ message: String(error), code: undefined, syscall: undefined }]
  const { cause, code, errors, message, syscall } = error as { readonly [key: string]: unknown }
  if (depth < 8 && Array.isArray(errors) && errors.length > 0)
    return errors.flatMap((inner) => leaves(inner, depth + 1))
  if (depth < 8 && Predicate.isObject(cause)) return leaves(cause, depth + 1)
  const text = (value: unknown) => (typeof value === "string" ? value : undefined)
  return [{ message: text(message) ?? "unknown error", code: text(code), syscall: text(syscall) }]
}

// Failures of looking up, connecting and shaking hands, by the codes of Node's sockets, TLS and undici. What is not here
// may have come after the request was sent.
const unsentCodes = new RegExp(
  "^(ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|ENETUNREACH|EHOSTUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL|" +
    "UND_ERR_CONNECT_TIMEOUT|UND_ERR_INVALID_ARG|ERR_INVALID_URL|ERR_INVALID_PROTOCOL|CERT_[A-Z_]+|ERR_TLS_[A-Z_]+|" +
    "ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG|ERR_SSL_UNSUPPORTED_PROTOCOL|" +
    "ERR_SSL_[A-Z0-9]*_?ALERT_(HANDSHAKE_FAILURE|PROTOCOL_VERSION|UNRECOGNIZED_NAME)|" +
    "DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_[A-Z_]+|HOSTNAME_MISMATCH)$"
)

const wasUnsent = ({ code, message, syscall }: Told): boolean =>
  syscall === "connect" ||
  syscall === "getaddrinfo" ||
  (code === undefined ? /^(bad port|unknown scheme|invalid url)/i.test(message) : unsentCodes.test(code))

const network = (description: string, at: Surroundings): AiError.NetworkError =>
  new AiError.NetworkError({
    reason: "TransportError",
    method: at.httpMethod,
    url: at.url,
    description: at.redact(description)
  })

const told = ({ code, message }: Told): string =>
  code === undefined || message.includes(code) ? message : `${message} (${code})`

const fromConnection = (error: unknown, at: Surroundings): RequestFailure => {
  const inner = leaves(error)
  const unsent = inner.every(wasUnsent)
  const timeout = error instanceof APIConnectionTimeoutError
  const said = [...new Set(inner.map(told))].join("; ")
  const description = unsent
    ? `no connection: ${said}. Nothing was sent`
    : timeout
      ? `no answer in time: ${said}`
      : `the connection broke before the answer: ${said}`
  return new RequestFailure({ kind: unsent ? "unsent" : "lost", reason: network(description, at) })
}

// What may be told of an answer's headers: what helps to find or wait, and no cookies.
const kept = /^(x-request-id|apim-request-id|retry-after|retry-after-ms|x-ratelimit-[a-z-]+|openai-processing-ms)$/

const keptHeaders = (headers: Headers, redact: (text: string) => string): Record<string, string> => {
  const all: Record<string, string> = {}
  headers.forEach((value, name) => {
    if (kept.test(name)) all[name] = redact(value)
  })
  return all
}

// Without the query and credentials, which may be secrets.
const placeOf = (location: string, url: string): string => {
  const place = URL.canParse(location, url) ? new URL(location, url) : undefined
  return place === undefined ? "" : ` to ${place.origin}${place.pathname}`
}

const redirected = ({ headers = {}, status = 0 }: ProviderError, location: string, at: Surroundings) =>
  new AiError.InvalidRequestError({
    description:
      `${at.httpMethod} ${at.url} was answered with a redirect (${status})${clip(at.redact(placeOf(location, at.url)))}. ` +
      `No redirect is followed, because the credentials would go along. If you trust that place, make it the base URL`,
    metadata: { openai: { status } },
    http: { response: { status, headers } }
  })

const fromAnswer = (status: number, headers: Headers, error: APIError, at: Surroundings) => {
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? at.redact(value) : undefined)
  const word = (value: unknown) => text(wordOf(value))
  const body = recordOf(error.error)
  const message = word(isRecord(error.error) ? body["message"] : error.error)
  const wait = retryAfter(headers, at.nowMillis)
  const provider: ProviderError = {
    status,
    code: word(body["code"]),
    type: word(body["type"]),
    parameter: word(body["param"]),
    message: clip(message ?? at.redact(error.message)),
    requestId: text(headers.get("x-request-id")) ?? text(headers.get("apim-request-id")),
    retryAfter: wait,
    headers: keptHeaders(headers, at.redact)
  }
  const location = status < 400 ? headers.get("location") : null
  const reason = location === null ? reasonOf(provider) : redirected(provider, location, at)
  return new RequestFailure({ kind: "answered", reason, error: provider, api: message !== undefined })
}

/** Tells what became of a request from the error that the SDK gave for it. */
export const fromSdk = (error: unknown, at: Surroundings): RequestFailure => {
  if (error instanceof APIUserAbortError) {
    return new RequestFailure({ kind: "lost", reason: network("the request was aborted", at) })
  }
  if (error instanceof APIConnectionError) return fromConnection(error, at)
  if (error instanceof APIError && error.status !== undefined && error.headers !== undefined) {
    return fromAnswer(error.status, error.headers, error, at)
  }
  // Everything else is thrown while the request is built: no token to be had, a header, a path or a URL that cannot be.
  const description = at.redact(leaves(error).map(told).join("; "))
  const tokenless = error instanceof OpenAIError && error.message.includes("'apiKey' function")
  return new RequestFailure({
    kind: "unsent",
    reason: tokenless
      ? new AiError.AuthenticationError({ kind: "Unknown", description: `No token was to be had: ${description}` })
      : new AiError.InvalidRequestError({ description: `The request could not be built: ${description}` })
  })
}

/** A body that broke while it was read. */
export const fromBody = (error: unknown, at: Surroundings): AiError.NetworkError =>
  network(`the connection broke: ${leaves(error).map(told).join("; ")}`, at)

/** A body that ended too soon, or that cannot be read. */
export const fromDamage = network
