import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import * as AiError from "effect/ai/AiError"
import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError, OpenAIError } from "openai"
import { isRecord, recordOf, wordOf } from "./fields.ts"
import { type ProviderError, reasonOf, retryAfter } from "./reasons.ts"

/**
 * A request that did not get a usable answer.
 *
 * `unsent`: the request never left, so nothing was bought. `lost`: it may have arrived. `answered`: the provider, or a
 * gateway before it, answered with an error status; `api` is true if the answer has the form of the API's errors.
 */
export class RequestFailure extends Data.TaggedError("RequestFailure")<{
  readonly kind: "unsent" | "lost" | "answered"
  readonly reason: AiError.AiErrorReason
  readonly error?: ProviderError
  readonly api?: boolean
}> {}

/** The request that a failure is about, and how to keep secrets out of its text. */
export interface Surroundings {
  readonly redact: (text: string) => string
  readonly httpMethod: string
  readonly url: string
  /** The base URL, if the caller gave one that may lack the path of the API. */
  readonly unsureBase: string | undefined
  readonly nowMillis: number
}

// The body of an error answer may be a whole web page.
const longest = 1000

const clip = (text: string): string => (text.length > longest ? `${text.slice(0, longest)}…` : text)

interface Told {
  readonly message: string
  readonly code: string | undefined
  readonly syscall: string | undefined
}

// The innermost errors of a chain of causes. There are several if several addresses of a host were tried.
const leaves = (error: unknown, depth = 0): ReadonlyArray<Told> => {
  if (!Predicate.isObject(error)) return [{ message: String(error), code: undefined, syscall: undefined }]
  const { cause, code, errors, message, syscall } = error as { readonly [key: string]: unknown }
  if (depth < 8 && Array.isArray(errors) && errors.length > 0)
    return errors.flatMap((inner) => leaves(inner, depth + 1))
  if (depth < 8 && Predicate.isObject(cause)) return leaves(cause, depth + 1)
  const text = (value: unknown) => (typeof value === "string" ? value : undefined)
  return [{ message: text(message) ?? "unknown error", code: text(code), syscall: text(syscall) }]
}

// Failures of the name lookup, the connection and the TLS handshake: codes of Node's sockets, TLS and undici. Any other
// failure may have come after the request was sent.
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
    ? `could not connect: ${said}. Nothing was sent`
    : timeout
      ? `no answer in time: ${said}`
      : `the connection broke before the answer: ${said}`
  return new RequestFailure({ kind: unsent ? "unsent" : "lost", reason: network(description, at) })
}

// The headers of an answer that errors may show: those that identify the request or say how long to wait, no cookies.
const kept = /^(x-request-id|apim-request-id|retry-after|retry-after-ms|x-ratelimit-[a-z-]+|openai-processing-ms)$/

const keptHeaders = (headers: Headers, redact: (text: string) => string): Record<string, string> => {
  const all: Record<string, string> = {}
  headers.forEach((value, name) => {
    if (kept.test(name)) all[name] = redact(value)
  })
  return all
}

// The query and the credentials of the URL are left out, because they may be secrets.
const placeOf = (location: string, url: string): string => {
  const place = URL.canParse(location, url) ? new URL(location, url) : undefined
  return place === undefined ? "" : ` to ${place.origin}${place.pathname}`
}

const redirected = ({ headers = {}, status = 0 }: ProviderError, location: string, at: Surroundings) =>
  new AiError.InvalidRequestError({
    description:
      `${at.httpMethod} ${at.url} was answered with a redirect (${status})${clip(at.redact(placeOf(location, at.url)))}. ` +
      `Redirects are not followed, because they would carry the credentials. If you trust that URL, set it as the base URL`,
    metadata: { openai: { status } },
    http: { response: { status, headers } }
  })

// A base URL without the path of the API gives a 404 whose text does not help. If the answer has a code, the code says what
// was not found, and that is not the path.
const hintOf = (status: number, code: string | undefined, { unsureBase }: Surroundings): string =>
  status === 404 && code === undefined && unsureBase !== undefined
    ? `Check the base URL, '${unsureBase}': it must be the URL before '/responses', and that usually ends in '/v1'. The server said: `
    : ""

const fromAnswer = (status: number, headers: Headers, error: APIError, at: Surroundings) => {
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? at.redact(value) : undefined)
  const word = (value: unknown) => text(wordOf(value))
  const body = recordOf(error.error)
  const message = word(isRecord(error.error) ? body["message"] : error.error)
  const code = word(body["code"])
  const wait = retryAfter(headers, at.nowMillis)
  const provider: ProviderError = {
    status,
    code,
    type: word(body["type"]),
    parameter: word(body["param"]),
    message: hintOf(status, code, at) + clip(message ?? at.redact(error.message)),
    requestId: text(headers.get("x-request-id")) ?? text(headers.get("apim-request-id")),
    retryAfter: wait,
    headers: keptHeaders(headers, at.redact)
  }
  const location = status < 400 ? headers.get("location") : null
  const reason = location === null ? reasonOf(provider) : redirected(provider, location, at)
  return new RequestFailure({ kind: "answered", reason, error: provider, api: message !== undefined })
}

/** Classifies the error that the SDK gave for a request. */
export const fromSdk = (error: unknown, at: Surroundings): RequestFailure => {
  if (error instanceof APIUserAbortError) {
    return new RequestFailure({ kind: "lost", reason: network("the request was aborted", at) })
  }
  if (error instanceof APIConnectionError) return fromConnection(error, at)
  if (error instanceof APIError && error.status !== undefined && error.headers !== undefined) {
    return fromAnswer(error.status, error.headers, error, at)
  }
  // Everything else is thrown while the request is built: there is no token, or a header, a path or a URL is invalid.
  const description = at.redact(leaves(error).map(told).join("; "))
  const tokenless = error instanceof OpenAIError && error.message.includes("'apiKey' function")
  return new RequestFailure({
    kind: "unsent",
    reason: tokenless
      ? new AiError.AuthenticationError({ kind: "Unknown", description: `The token provider failed: ${description}` })
      : new AiError.InvalidRequestError({ description: `The request could not be built: ${description}` })
  })
}

/** The connection broke while the body was read. */
export const fromBody = (error: unknown, at: Surroundings): AiError.NetworkError =>
  network(`the connection broke: ${leaves(error).map(told).join("; ")}`, at)

/** The body ended too soon, or cannot be decoded. */
export const fromDamage = network
