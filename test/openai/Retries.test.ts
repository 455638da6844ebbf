// When a refused request is sent again, end to end: an agent over scripted HTTP answers.
import { Agent, type AgentError, TokenStore } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Stream } from "effect"
import type { AiError } from "effect/ai"
import { TestClock } from "effect/testing"
import { analyst, type Services, stateOf, statusOf } from "../support/runs.ts"
import { passing } from "../support/time.ts"
import { completed, created, delta, over, response, sse } from "./support.ts"

const input = { input: "Hello", runId: "r" }
const now = "2026-01-01T00:00:00Z"

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Record<string, string>
}

const refusal = (status: number, code: string | null, headers: Record<string, string> = {}): Answer => ({
  status,
  body: { error: { message: "So it is.", type: "invalid_request_error", param: null, code } },
  headers: { "x-request-id": "req_7", ...headers }
})
const json = (body: unknown, headers: Record<string, string> = {}): Answer => ({ status: 200, body, headers })
const tooOld: Answer = {
  status: 400,
  body: { error: { message: "This response can no longer be streamed because it is more than 5 minutes old" } }
}
const finished = [created(), delta(1, "a"), completed(2)].map(sse).join("")

/** A provider that answers with these, one after the other, and then as it should. */
const provider = (...answers: ReadonlyArray<Answer>) => {
  const requests: Array<string> = []
  const left = [...answers]
  const layer = over((url, init) => {
    const method = init?.method ?? "GET"
    const isStream = method === "POST" ? String(init?.body).includes('"stream":true') : String(url).includes("stream=")
    requests.push(`${method} ${new URL(String(url)).pathname.slice(3)}`)
    const answer = left.shift()
    if (answer === undefined && isStream) {
      return Promise.resolve(new Response(finished, { headers: { "content-type": "text/event-stream" } }))
    }
    const { body, headers, status } = answer ?? json(response({ status: method === "POST" ? "queued" : "completed" }))
    return Promise.resolve(
      new Response(typeof body === "string" ? body : JSON.stringify(body), {
        status,
        headers: { "content-type": typeof body === "string" ? "text/event-stream" : "application/json", ...headers }
      })
    )
  })
  return { requests, layer: Layer.merge(layer, TokenStore.layerMemory) }
}
const posts = (requests: ReadonlyArray<string>) => requests.filter((request) => request === "POST /responses").length

type Verb = Effect.Effect<unknown, AgentError.AgentError, Services>
const verbs: ReadonlyArray<readonly [string, Verb]> = [
  ["streamed", Stream.runDrain(Agent.stream(analyst, input))],
  ["started and left", Agent.start(analyst, input)]
]

const reasonOf = (error: AgentError.AgentError): AiError.AiErrorReason | undefined =>
  error.reason._tag === "AiError" ? error.reason.reason : undefined
const requestIdOf = (error: AiError.AiErrorReason | undefined) =>
  error !== undefined && "metadata" in error
    ? (error.metadata as { readonly openai?: { readonly requestId?: string } }).openai?.requestId
    : undefined

describe.each(verbs)("a create request, %s", (_, verb) => {
  const waits: ReadonlyArray<readonly [string, Record<string, string>, Duration.Duration]> = [
    ["Retry-After in seconds", { "retry-after": "7" }, Duration.seconds(7)],
    ["Retry-After above a minute", { "retry-after": "900" }, Duration.minutes(15)],
    ["Retry-After as an HTTP date", { "retry-after": "Thu, 01 Jan 2026 00:10:00 GMT" }, Duration.minutes(10)],
    ["retry-after-ms", { "retry-after-ms": "42500", "retry-after": "1" }, Duration.millis(42_500)]
  ]
  it.effect.each(waits)("that is refused for now waits as long as %s says", ([, headers, wait]) =>
    Effect.gen(function* () {
      for (const [status, code] of [
        [429, "rate_limit_exceeded"],
        [503, "server_is_overloaded"]
      ] as const) {
        const { layer, requests } = provider(refusal(status, code, headers))
        yield* TestClock.setTime(Date.parse(now))
        const [took] = yield* passing(Effect.timed(Effect.provide(verb, layer)), 500)
        assert.isAtLeast(Duration.toMillis(took), Duration.toMillis(wait))
        assert.isAtMost(Duration.toMillis(took), Duration.toMillis(wait) + 3000)
        assert.strictEqual(posts(requests), 2)
      }
    })
  )

  const final: ReadonlyArray<readonly [number, string, AiError.AiErrorReason["_tag"]]> = [
    [429, "insufficient_quota", "QuotaExhaustedError"],
    [429, "quota_exceeded", "QuotaExhaustedError"],
    [429, "billing_hard_limit_reached", "QuotaExhaustedError"],
    [400, "billing_hard_limit_reached", "QuotaExhaustedError"],
    [429, "billing_not_active", "QuotaExhaustedError"],
    [403, "billing_anything_new", "QuotaExhaustedError"],
    [401, "invalid_api_key", "AuthenticationError"],
    [400, "invalid_value", "InvalidRequestError"],
    [404, "model_not_found", "InvalidRequestError"]
  ]
  it.effect.each(final)("answered with %i %s is never sent again, and fails at once", ([status, code, tag]) =>
    Effect.gen(function* () {
      const { layer, requests } = provider(refusal(status, code, { "retry-after": "1" }))
      yield* Effect.gen(function* () {
        const [took, error] = yield* passing(Effect.timed(Effect.flip(verb)))
        assert.strictEqual(reasonOf(error)?._tag, tag)
        assert.strictEqual(requestIdOf(reasonOf(error)), "req_7")
        assert.isFalse(error.isRetryable)
        assert.isBelow(Duration.toMillis(took), 1000)
        assert.strictEqual(posts(requests), 1)
        // Nothing was bought: the run failed, and once the account is in order it can be opened again.
        assert.strictEqual(yield* statusOf("r"), "failed")
        assert.deepStrictEqual((yield* stateOf("r")).unresolved, [])
        yield* passing(Agent.retry(analyst, input))
        assert.strictEqual(posts(requests), 2)
        assert.strictEqual((yield* passing(Agent.result(analyst, { runId: "r" }))).status, "completed")
      }).pipe(Effect.provide(layer))
    })
  )

  const open: ReadonlyArray<readonly [number, string | null]> = [
    [500, "server_error"],
    [502, null],
    [503, null],
    [504, null],
    [408, null]
  ]
  it.effect.each(open)(
    "answered with %i %s may have bought the work: Unconfirmed, and not sent again",
    ([status, code]) =>
      Effect.gen(function* () {
        const { layer, requests } = provider(refusal(status, code, { "retry-after": "1" }))
        yield* Effect.gen(function* () {
          for (const attempt of [verb, verb]) {
            const { reason } = yield* passing(Effect.flip(attempt))
            assert.strictEqual(reason._tag, "Unconfirmed")
            if (attempt === verb && reason._tag === "Unconfirmed" && reason.error !== undefined) {
              assert.strictEqual(requestIdOf(reason.error.reason), "req_7")
            }
          }
          assert.strictEqual(posts(requests), 1)
        }).pipe(Effect.provide(layer))
      })
  )

  it.effect("that is refused for now, again and again, gives up with the provider's last word", () =>
    Effect.gen(function* () {
      const { layer, requests } = provider(...Array.from({ length: 9 }, () => refusal(429, "rate_limit_exceeded")))
      const error = yield* passing(Effect.flip(verb), 500).pipe(Effect.provide(layer))
      assert.strictEqual(reasonOf(error)?._tag, "RateLimitError")
      assert.strictEqual(requestIdOf(reasonOf(error)), "req_7")
      assert.isTrue(error.isRetryable)
      assert.strictEqual(posts(requests), 5)
    })
  )
})

describe("a run under way", () => {
  const cut = json(sse(created()))

  it.effect("waits for its next look as long as openai-poll-after-ms says", () =>
    Effect.gen(function* () {
      const underWay = json(response({ status: "in_progress" }), { "openai-poll-after-ms": "45000" })
      const { layer, requests } = provider(cut, underWay, underWay)
      yield* Effect.gen(function* () {
        yield* Agent.start(analyst, input)
        const [took, result] = yield* passing(Effect.timed(Agent.result(analyst, { runId: "r" })), 500)
        assert.strictEqual(result.status, "completed")
        assert.isAtLeast(Duration.toSeconds(took), 90)
        assert.isAtMost(Duration.toSeconds(took), 96)
        assert.deepStrictEqual(requests.slice(1), Array(3).fill("GET /responses/resp_1"))
      }).pipe(Effect.provide(layer))
    })
  )

  it.effect("waits as long where its stream fell back to polling", () =>
    Effect.gen(function* () {
      const underWay = json(response({ status: "in_progress" }), { "openai-poll-after-ms": "45000" })
      const { layer, requests } = provider(cut, tooOld, underWay, underWay)
      const [took, updates] = yield* passing(Effect.timed(Stream.runCollect(Agent.stream(analyst, input))), 500).pipe(
        Effect.provide(layer)
      )
      assert.strictEqual(updates.at(-1)?.origin, "snapshot")
      assert.isAtLeast(Duration.toSeconds(took), 90)
      assert.isAtMost(Duration.toSeconds(took), 96)
      assert.strictEqual(requests.length, 5)
    })
  )

  it.effect("asks again after 5xx, 429 and 408, as long as the provider says; the create is not sent again", () =>
    Effect.gen(function* () {
      const { layer, requests } = provider(
        cut,
        refusal(500, "server_error"),
        refusal(429, "rate_limit_exceeded", { "retry-after": "600" }),
        refusal(502, null),
        refusal(408, null)
      )
      const [took, updates] = yield* passing(Effect.timed(Stream.runCollect(Agent.stream(analyst, input))), 500).pipe(
        Effect.provide(layer)
      )
      assert.strictEqual(updates.at(-1)?.status, "completed")
      assert.isAtLeast(Duration.toSeconds(took), 600)
      assert.isAtMost(Duration.toSeconds(took), 640)
      assert.strictEqual(posts(requests), 1)
    })
  )

  const final: ReadonlyArray<readonly [number, string, AiError.AiErrorReason["_tag"]]> = [
    [429, "insufficient_quota", "QuotaExhaustedError"],
    [401, "invalid_api_key", "AuthenticationError"]
  ]
  it.effect.each(final)("answered with %i %s fails at once, and can be resumed later", ([status, code, tag]) =>
    Effect.gen(function* () {
      // The replay is refused, and so is the look that settles it.
      const refused = refusal(status, code, { "retry-after": "1" })
      const { layer, requests } = provider(cut, refused, refused)
      yield* Effect.gen(function* () {
        const error = yield* passing(Effect.flip(Stream.runDrain(Agent.stream(analyst, input))))
        assert.strictEqual(reasonOf(error)?._tag, tag)
        assert.strictEqual(requestIdOf(reasonOf(error)), "req_7")
        assert.strictEqual(requests.length, 3)
        const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
        assert.strictEqual(rest.at(-1)?.status, "completed")
        assert.strictEqual(posts(requests), 1)
      }).pipe(Effect.provide(layer))
    })
  )
})
