import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as AiError from "effect/ai/AiError"

/** What the provider said about a failure in an HTTP answer, an event or a failed response. Its texts hold no secrets. */
export interface ProviderError {
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly type?: string | undefined
  readonly message: string
  readonly parameter?: string | undefined
  readonly requestId?: string | undefined
  readonly retryAfter?: Duration.Duration | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

type Kind = "quota" | "rate" | "key" | "permission" | "policy" | "busy" | "server" | "invalid"

// The codes that the documentation, the SDK's types and recordings contain. The list is not complete: a code that is not
// here is classified by the HTTP status.
const kinds: Readonly<Record<string, Kind>> = {
  insufficient_quota: "quota",
  quota_exceeded: "quota",
  billing_hard_limit_reached: "quota",
  billing_not_active: "quota",
  rate_limit_exceeded: "rate",
  slow_down: "rate",
  invalid_api_key: "key",
  account_deactivated: "permission",
  invalid_organization: "permission",
  mismatched_organization: "permission",
  unsupported_country_region_territory: "permission",
  // The provider gives this code for flagged prompts, not for malformed ones.
  invalid_prompt: "policy",
  content_filter: "policy",
  content_policy_violation: "policy",
  image_content_policy_violation: "policy",
  bio_policy: "policy",
  misalignment_policy_violation: "policy",
  server_is_overloaded: "busy",
  // Another response is being created in the conversation: the same request succeeds once that one is over.
  conversation_locked: "busy",
  server_error: "server",
  internal_error: "server",
  internal_server_error: "server",
  vector_store_timeout: "server",
  model_not_found: "invalid",
  DeploymentNotFound: "invalid",
  previous_response_not_found: "invalid",
  mutually_exclusive_parameters: "invalid",
  unknown_parameter: "invalid",
  unsupported_parameter: "invalid",
  missing_required_parameter: "invalid",
  context_length_exceeded: "invalid",
  string_above_max_length: "invalid",
  data_residency_mismatch: "invalid"
}

// The types of errors without a known code. An error in the body of a stream has no HTTP status of its own.
const kindsOfTypes: Readonly<Record<string, Kind>> = {
  insufficient_quota: "quota",
  rate_limit_exceeded: "rate",
  rate_limit_error: "rate",
  too_many_requests: "rate",
  overloaded_error: "busy",
  server_is_overloaded: "busy",
  authentication_error: "key",
  permission_error: "permission",
  invalid_request_error: "invalid",
  server_error: "server",
  internal_server_error: "server"
}

const kindOfStatus = (status: number | undefined): Kind | undefined => {
  if (status === undefined) return undefined
  if (status === 401) return "key"
  if (status === 403) return "permission"
  if (status === 429) return "rate"
  if (status === 408 || status === 409 || status === 503) return "busy"
  if (status >= 500) return "server"
  return status >= 400 ? "invalid" : undefined
}

// Some servers give an HTTP status as the code.
const statusIn = (code: string): number | undefined => (/^[45]\d\d$/.test(code) ? Number(code) : undefined)

const kindOfCode = ({ code = "", type = "" }: ProviderError): Kind | undefined => {
  if (code.startsWith("billing_") || type.startsWith("billing_") || type === "insufficient_quota") return "quota"
  if (Object.hasOwn(kinds, code)) return kinds[code]
  return code.startsWith("invalid_") || /^(empty_)?image_/.test(code) ? "invalid" : undefined
}

const kindOfType = ({ code = "", type = "" }: ProviderError): Kind | undefined =>
  kindOfStatus(statusIn(code)) ?? (Object.hasOwn(kindsOfTypes, type) ? kindsOfTypes[type] : undefined)

const kindOf = (error: ProviderError): Kind | undefined =>
  kindOfCode(error) ?? kindOfStatus(error.status) ?? kindOfType(error)

/**
 * Whether the error says that the provider did not accept the work, whatever the HTTP status: the provider was overloaded,
 * or the request or the account has a problem.
 */
export const isRefusal = (error: ProviderError): boolean => {
  const status = statusIn(error.code ?? "")
  // As with HTTP statuses, a gateway may have passed the request on before it gave up.
  if (status !== undefined && (status >= 500 || status === 408)) return false
  // If there is an HTTP status, the type is ignored: some servers give every error the same type.
  const kind = kindOfCode(error) ?? (error.status === undefined ? kindOfType(error) : undefined)
  return kind !== undefined && kind !== "server"
}

/**
 * The reason of an `AiError`. Overload and a locked conversation are retryable `InternalProviderError`s. If the provider
 * says how long to wait, they are `RateLimitError`s, because only that reason can carry a wait.
 */
export const reasonOf = (error: ProviderError): AiError.AiErrorReason => {
  const { code, headers, message, parameter, requestId, retryAfter, status, type } = error
  const details = Object.entries({ errorCode: code, errorType: type, message, requestId, status })
  const common = {
    metadata: { openai: Object.fromEntries(details.filter(([, value]) => value !== undefined)) },
    ...(status === undefined ? undefined : { http: { response: { status, headers: headers ?? {} } } })
  }
  const described = { ...common, description: message }
  switch (kindOf(error)) {
    case "quota":
      return new AiError.QuotaExhaustedError(common)
    case "rate":
      return new AiError.RateLimitError(retryAfter === undefined ? common : { ...common, retryAfter })
    case "busy":
      return retryAfter === undefined
        ? new AiError.InternalProviderError(described)
        : new AiError.RateLimitError({ ...common, retryAfter })
    case "server":
      return new AiError.InternalProviderError(described)
    case "key":
      return new AiError.AuthenticationError({ kind: "InvalidKey", ...described })
    case "permission":
      return new AiError.AuthenticationError({ kind: "InsufficientPermissions", ...described })
    case "policy":
      return new AiError.ContentPolicyError(described)
    case "invalid":
      return new AiError.InvalidRequestError(parameter === undefined ? described : { ...described, parameter })
    case undefined:
      return new AiError.UnknownError(described)
  }
}

/**
 * The wait that `retry-after-ms` or `Retry-After` (seconds, or an HTTP date) asks for. The SDK ignores waits of more than a
 * minute; here a wait may have any length.
 */
export const retryAfter = (headers: Headers, nowMillis: number): Duration.Duration | undefined => {
  const millis = Number.parseFloat(headers.get("retry-after-ms") ?? "")
  if (millis >= 0) return Duration.millis(millis)
  const value = headers.get("retry-after")?.trim() ?? ""
  if (/^\d+(\.\d+)?$/.test(value)) return Duration.seconds(Number(value))
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Duration.millis(Math.max(0, date - nowMillis))
}

/** The wait in the header `openai-poll-after-ms`: when to poll again. */
export const pollAfter = (headers: Headers): Option.Option<Duration.Duration> => {
  const millis = Number.parseFloat(headers.get("openai-poll-after-ms") ?? "")
  return millis >= 0 ? Option.some(Duration.millis(millis)) : Option.none()
}
