import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { AiError } from "effect/ai"
import { TestClock } from "effect/testing"
import { answers, completed, decoded, over, reasonOf, response } from "./support.ts"

const asked = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  Effect.flatMap(BackgroundModel, (model) => Effect.flip(model.retrieve("resp_1"))).pipe(
    Effect.provide(over(answers(status, body, headers)))
  )

const body = (code: string | null, type = "invalid_request_error", param: string | null = null) => ({
  error: { message: "So it is.", type, param, code }
})

// Status, code, type: reason, and whether a retry can help.
const table: ReadonlyArray<readonly [number, string | null, string, AiError.AiErrorReason["_tag"], boolean]> = [
  [400, null, "invalid_request_error", "InvalidRequestError", false],
  [400, "mutually_exclusive_parameters", "invalid_request_error", "InvalidRequestError", false],
  [400, "previous_response_not_found", "invalid_request_error", "InvalidRequestError", false],
  [400, "context_length_exceeded", "invalid_request_error", "InvalidRequestError", false],
  [400, "conversation_locked", "invalid_request_error", "InternalProviderError", true],
  [400, "content_filter", "invalid_request_error", "ContentPolicyError", false],
  [400, "invalid_prompt", "invalid_request_error", "ContentPolicyError", false],
  [400, "billing_hard_limit_reached", "invalid_request_error", "QuotaExhaustedError", false],
  [401, "invalid_api_key", "invalid_request_error", "AuthenticationError", false],
  [401, null, "invalid_request_error", "AuthenticationError", false],
  [403, null, "x", "AuthenticationError", false],
  [403, "unsupported_country_region_territory", "request_forbidden", "AuthenticationError", false],
  [404, "model_not_found", "invalid_request_error", "InvalidRequestError", false],
  [408, null, "x", "InternalProviderError", true],
  [409, null, "x", "InternalProviderError", true],
  [422, null, "x", "InvalidRequestError", false],
  [429, "rate_limit_exceeded", "requests", "RateLimitError", true],
  [429, "rate_limit_exceeded", "tokens", "RateLimitError", true],
  [429, "slow_down", "x", "RateLimitError", true],
  [429, null, "x", "RateLimitError", true],
  [429, "insufficient_quota", "insufficient_quota", "QuotaExhaustedError", false],
  [429, null, "insufficient_quota", "QuotaExhaustedError", false],
  [429, "billing_not_active", "billing_not_active", "QuotaExhaustedError", false],
  [429, "billing_something_new", "x", "QuotaExhaustedError", false],
  [500, "server_error", "server_error", "InternalProviderError", true],
  [500, null, "x", "InternalProviderError", true],
  [503, "server_is_overloaded", "service_unavailable_error", "InternalProviderError", true],
  [503, null, "x", "InternalProviderError", true],
  [302, null, "x", "UnknownError", false]
]

describe("an HTTP error's reason", () => {
  it.effect.each(table)("%s %s (%s) is %s", ([status, code, type, tag, retryable]) =>
    Effect.gen(function* () {
      const error = yield* asked(status, body(code, type, "model"), { "x-request-id": "req_1", "set-cookie": "c=1" })
      const reason = reasonOf(error)
      assert.strictEqual(reason?._tag, tag)
      assert.strictEqual(reason?.isRetryable, retryable)
      assert.deepEqual(reason !== undefined && "metadata" in reason ? reason.metadata : {}, {
        openai: {
          ...(code === null ? {} : { errorCode: code }),
          errorType: type,
          message: "So it is.",
          requestId: "req_1",
          status
        }
      })
      const http = reason !== undefined && "http" in reason ? reason.http : undefined
      assert.strictEqual(http?.response?.status, status)
      assert.deepEqual(http?.response?.headers, { "x-request-id": "req_1" })
      if (reason?._tag === "InvalidRequestError") assert.strictEqual(reason.parameter, "model")
      if (reason?._tag === "AuthenticationError") {
        assert.strictEqual(reason.kind, status === 401 ? "InvalidKey" : "InsufficientPermissions")
      }
    })
  )

  it.effect("an error can be stored, and read again", () =>
    Effect.gen(function* () {
      const codec = Schema.toCodecJson(AiError.AiError)
      for (const [status, code, type] of table) {
        const error = yield* asked(status, body(code, type), { "retry-after": "3" })
        const json = JSON.stringify(yield* Schema.encodeUnknownEffect(codec)(error))
        const again = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(json))
        assert.strictEqual(again.message, error.message)
      }
    })
  )

  it.effect("pages are cut short", () =>
    Effect.gen(function* () {
      const error = yield* asked(502, `<html>${"x".repeat(100_000)}</html>`)
      assert.isBelow(error.message.length, 1200)
    })
  )
})

describe("the wait that a rate limit asks for", () => {
  const wait = (status: number, headers: Record<string, string>, code = "rate_limit_exceeded") =>
    Effect.map(asked(status, body(code), headers), (error) => (error._tag === "AiError" ? error.retryAfter : undefined))

  it.effect.each([
    [{ "retry-after": "2" }, Duration.seconds(2)],
    [{ "retry-after": "0.5" }, Duration.millis(500)],
    [{ "retry-after": "86400" }, Duration.days(1)],
    [{ "retry-after": "0" }, Duration.zero],
    [{ "retry-after-ms": "250", "retry-after": "9" }, Duration.millis(250)],
    [{ "retry-after": "Thu, 01 Jan 2026 00:10:00 GMT" }, Duration.minutes(10)],
    [{ "retry-after": "Thu, 01 Jan 2025 00:10:00 GMT" }, Duration.zero],
    [{ "retry-after": "later" }, undefined],
    [{ "retry-after-ms": "-5" }, undefined],
    [{}, undefined]
  ] as ReadonlyArray<readonly [Record<string, string>, Duration.Duration | undefined]>)("%j", ([headers, expected]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.parse("2026-01-01T00:00:00Z"))
      assert.deepEqual(yield* wait(429, headers), expected)
    })
  )

  it.effect("counts for an overloaded provider too, and never for a billing refusal", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* wait(503, { "retry-after": "120" }, "server_is_overloaded"), Duration.minutes(2))
      assert.isUndefined(yield* wait(429, { "retry-after": "120" }, "insufficient_quota"))
    })
  )
})

describe("a failed response's reason", () => {
  it.effect.each([
    ["server_error", "InternalProviderError"],
    ["rate_limit_exceeded", "RateLimitError"],
    ["insufficient_quota", "QuotaExhaustedError"],
    ["invalid_prompt", "ContentPolicyError"],
    ["image_content_policy_violation", "ContentPolicyError"],
    ["invalid_image_format", "InvalidRequestError"],
    ["image_too_large", "InvalidRequestError"],
    ["empty_image_file", "InvalidRequestError"],
    ["vector_store_timeout", "InternalProviderError"],
    ["never_heard_of", "UnknownError"],
    [null, "UnknownError"]
  ] as const)("%s is %s", ([code, tag]) =>
    Effect.gen(function* () {
      const event = yield* decoded({
        ...completed(3, { status: "failed", error: { code, message: "So it is." } }),
        type: "response.failed"
      })
      const error = event?.terminal?.error
      assert.strictEqual(error?.reason._tag, tag)
      assert.include(JSON.stringify(error), "So it is.")
      assert.strictEqual(event?.status, "failed")
      assert.deepEqual(event?.statements, [])
      assert.strictEqual(event?.terminal?.finish?.reason, "error")
    })
  )

  it.effect("a retrieval tells the same, also where nothing is told", () =>
    Effect.gen(function* () {
      const { retrieve } = yield* BackgroundModel
      const { snapshot } = yield* retrieve("resp_1")
      assert.strictEqual(snapshot.error?.reason._tag, "UnknownError")
      assert.include(snapshot.error?.message, "gave no reason")
    }).pipe(Effect.provide(over(answers(200, response({ status: "failed" })))))
  )
})
