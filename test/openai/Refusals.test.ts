// Refusals that come in the body of a create request's answer, instead of in its status.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { AiError } from "effect/ai"
import {
  answers,
  at,
  chunks,
  completed,
  create,
  created,
  heard,
  type Json,
  key,
  over,
  reasonOf,
  response,
  serve,
  sse,
  stream,
  submit
} from "./support.ts"

const errorBody = (code: string) => ({ error: { message: "so it is", type: "x", code, param: null } })

// What an error event says, and what it means before an event has named the response.
const errorEvents: ReadonlyArray<readonly [Json, "AiError" | "CreateUnconfirmed", AiError.AiErrorReason["_tag"]]> = [
  [{ code: "rate_limit_exceeded" }, "AiError", "RateLimitError"],
  [{ code: "slow_down" }, "AiError", "RateLimitError"],
  [{ code: "insufficient_quota" }, "AiError", "QuotaExhaustedError"],
  [{ code: null, type: "insufficient_quota" }, "AiError", "QuotaExhaustedError"],
  [{ code: "server_is_overloaded" }, "AiError", "InternalProviderError"],
  [{ code: null, type: "overloaded_error" }, "AiError", "InternalProviderError"],
  [{ code: null, type: "rate_limit_error" }, "AiError", "RateLimitError"],
  [{ code: "invalid_api_key" }, "AiError", "AuthenticationError"],
  [{ code: null, type: "invalid_request_error" }, "AiError", "InvalidRequestError"],
  [{ code: 429 }, "AiError", "RateLimitError"],
  [{ code: "429" }, "AiError", "RateLimitError"],
  [{ code: 400 }, "AiError", "InvalidRequestError"],
  [{ code: 408 }, "CreateUnconfirmed", "InternalProviderError"],
  [{ code: 500 }, "CreateUnconfirmed", "InternalProviderError"],
  [{ code: 503 }, "CreateUnconfirmed", "InternalProviderError"],
  [{ code: "server_error" }, "CreateUnconfirmed", "InternalProviderError"],
  [{ code: null, type: "server_error" }, "CreateUnconfirmed", "InternalProviderError"],
  [{ code: "never_heard_of" }, "CreateUnconfirmed", "UnknownError"],
  [{}, "CreateUnconfirmed", "UnknownError"]
]

describe("a stream that begins with an error (E9)", () => {
  const failedWith = Effect.fnUntraced(function* (...body: ReadonlyArray<string>) {
    const { error, events } = yield* heard(create()).pipe(Effect.provide(over(chunks(...body))))
    assert.isDefined(error)
    const inner = error?._tag === "CreateUnconfirmed" ? error.error : error
    return { tag: error?._tag, reason: inner?.reason, events, told: String(inner) + JSON.stringify(inner) }
  })

  it.effect.each(errorEvents)("%j is %s", ([said, tag, reason]) =>
    Effect.gen(function* () {
      const error = { message: "so it is", param: null, ...said }
      const { type: _, ...flat } = error as Json
      const forms: ReadonlyArray<Json> = [
        { type: "error", sequence_number: 0, error },
        { error },
        { type: "response.failed", sequence_number: 0, response: { status: "failed", error } },
        ...("type" in said ? [] : [{ type: "error", sequence_number: 0, ...flat }])
      ]
      for (const event of forms) {
        const failed = yield* failedWith(sse(event))
        assert.deepEqual([failed.tag, failed.reason?._tag], [tag, reason], JSON.stringify(event))
        assert.include(failed.told, "so it is")
        assert.isDefined(failed.events[0]?.error ?? failed.events[0]?.terminal?.error)
        const late = yield* failedWith(": ping\n\n", sse({ type: "keepalive", sequence_number: 0 }), sse(event))
        assert.deepEqual([late.tag, late.reason?._tag], [tag, reason])
      }
    })
  )

  it.effect("a plain text is what the provider said, and leaves it open", () =>
    Effect.gen(function* () {
      for (const event of [{ type: "error", error: "no more room" }, { error: "no more room" }]) {
        const failed = yield* failedWith(sse(event))
        assert.strictEqual(failed.tag, "CreateUnconfirmed")
        assert.include(failed.told, "no more room")
      }
    })
  )

  it.live("a refusal counts, also if the connection breaks after it", () =>
    Effect.gen(function* () {
      const refusal = { type: "error", sequence_number: 0, error: { code: "rate_limit_exceeded", message: "slow" } }
      const server = yield* serve((_, outgoing, socket) => {
        stream(outgoing)
        outgoing.write(sse(refusal), () => setTimeout(() => socket.resetAndDestroy(), 20))
      })
      const { error } = yield* heard(create()).pipe(Effect.provide(at(server.url)))
      assert.strictEqual(error?._tag, "AiError")
      assert.strictEqual(reasonOf(error)?._tag, "RateLimitError")
    })
  )

  it.effect("an error after the response is named is no refusal", () =>
    Effect.gen(function* () {
      const event = { type: "error", sequence_number: 1, error: { code: "rate_limit_exceeded", message: "slow" } }
      const { error, events } = yield* heard(create()).pipe(Effect.provide(over(chunks(sse(created()), sse(event)))))
      assert.isUndefined(error)
      assert.strictEqual(events[1]?.error?.reason._tag, "RateLimitError")
    })
  )

  it.effect("a response that ended without an id was there", () =>
    Effect.gen(function* () {
      const event = completed(1, { id: undefined })
      const { error, events } = yield* heard(create()).pipe(Effect.provide(over(chunks(sse(event)))))
      assert.isUndefined(error)
      assert.strictEqual(events[0]?.terminal?.status, "completed")
    })
  )

  it.effect("its text holds no secret (C14)", () =>
    Effect.gen(function* () {
      for (const form of [
        { type: "error", error: { code: "x", message: `bad key ${key}`, param: key, type: key } },
        { type: "error", code: key, message: `bad key ${key}` },
        { type: "error", error: `bad key ${key}` }
      ]) {
        const { events, told } = yield* failedWith(sse(form))
        assert.include(told, "bad key <redacted>")
        assert.notInclude(told, key)
        assert.notInclude(String(events[0]?.error) + JSON.stringify(events[0]?.error), key)
      }
    })
  )
})

describe("a create stream that is answered with JSON", () => {
  const answered = (body: unknown) => heard(create()).pipe(Effect.provide(over(answers(200, body))))

  it.effect("names its response, which a server made without a stream", () =>
    Effect.gen(function* () {
      const whole = yield* answered(response())
      assert.isUndefined(whole.error)
      assert.deepEqual(
        whole.events.map(({ responseId, status, terminal }) => [responseId, status, terminal?.status]),
        [["resp_1", "completed", "completed"]]
      )
      const queued = yield* answered(response({ status: "queued", background: false }))
      assert.deepEqual(
        queued.events.map(({ background, responseId, status, terminal }) => [responseId, status, background, terminal]),
        [["resp_1", "queued", false, undefined]]
      )
    })
  )

  it.effect.each([
    [errorBody("rate_limit_exceeded"), "AiError"],
    [errorBody("server_error"), "CreateUnconfirmed"],
    [{}, "CreateUnconfirmed"],
    ["no JSON", "CreateUnconfirmed"]
  ] as const)("%j", ([body, tag]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* answered(body)).error?._tag, tag)
      const submitted = yield* Effect.flip(submit).pipe(Effect.provide(over(answers(200, body))))
      assert.strictEqual(submitted._tag, tag)
    })
  )
})
