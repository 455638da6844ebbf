import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Stream } from "effect"
import {
  answers,
  at,
  chunks,
  completed,
  create,
  delta,
  eventually,
  heard,
  over,
  reasonOf,
  request,
  response,
  serve,
  sse,
  stream
} from "./support.ts"

const model = BackgroundModel

const failing = (message: string, code: string | null = null) => ({
  error: { message, type: "invalid_request_error", param: null, code }
})

/** Every 404 that is about the response. */
const gone = [
  failing("Response with id 'resp_1' not found."),
  {
    error: { message: "Response with id 'resp_1' not found.", type: "invalid_request_error", param: "id", code: null }
  },
  { error: { message: "Not found.", param: "id" } },
  { error: { message: "Not found.", param: "response_id" } },
  failing("Not found.", "response_not_found"),
  failing("Not found.", "ResponseNotFound")
]

const notFound = failing("Response with id 'resp_1' not found.")

// Every 404 that is not about the response.
const wrongPlaces = [
  ["a page", "<html>not found</html>"],
  ["nothing", ""],
  ["another service's error", { detail: "Not Found" }],
  ["Azure's wrong path", { error: { code: "404", message: "Resource not found" } }],
  ["a gateway's", { error: { message: "no healthy upstream" } }],
  ["a wrong path's", failing("Invalid URL (GET /responses/resp_1)")],
  ["a longer id's", failing("Response with id 'resp_12' not found.")],
  ["a gateway's text", { error: "no healthy upstream" }],
  ["another response's", failing("Response with id 'resp_0' not found.")],
  ["an unknown model's", { error: { code: "model_not_found", message: "The model does not exist", param: "model" } }],
  ["Azure's unknown deployment", { error: { code: "DeploymentNotFound", message: "The deployment does not exist" } }]
] as const

describe("resume", () => {
  const resume = (options: { readonly after?: number } = {}) =>
    heard(Stream.unwrap(Effect.map(model, (service) => service.resume("resp_1", options))))

  it.live("asks for what comes after the position, and streams it", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => {
        stream(outgoing, delta(8, "b"), completed(9))
        outgoing.end()
      })
      const { error, events } = yield* resume({ after: 7 }).pipe(Effect.provide(at(server.url)))
      assert.isUndefined(error)
      assert.deepEqual(
        events.map(({ sequenceNumber }) => sequenceNumber),
        [8, 9]
      )
      yield* resume().pipe(Effect.provide(at(server.url)))
      yield* resume({ after: 0 }).pipe(Effect.provide(at(server.url)))
      const queries = server.seen.map(({ method, url }) => {
        const { pathname, searchParams } = new URL(url, server.url)
        return [method, pathname, searchParams.get("stream"), searchParams.get("starting_after")]
      })
      assert.deepEqual(queries, [
        ["GET", "/v1/responses/resp_1", "true", "7"],
        ["GET", "/v1/responses/resp_1", "true", null],
        ["GET", "/v1/responses/resp_1", "true", "0"]
      ])
    })
  )

  it.effect.each([
    "This response can no longer be streamed because it is more than 5 minutes old",
    "This response was not created with background=true and cannot be streamed.",
    "Response was not created with stream=true."
  ])("is refused: %s", (message) =>
    Effect.gen(function* () {
      const { error } = yield* resume({ after: 1 }).pipe(Effect.provide(over(answers(400, failing(message)))))
      assert.strictEqual(error?._tag, "ReplayUnavailable")
      assert.strictEqual(error?._tag === "ReplayUnavailable" && error.description, message)
    })
  )

  it.effect("an answer that is no stream is a replay that is not to be had", () =>
    Effect.gen(function* () {
      const { error } = yield* resume().pipe(Effect.provide(over(answers(200, response()))))
      assert.strictEqual(error?._tag, "ReplayUnavailable")
    })
  )

  it.effect.each(gone)("an unknown response is gone: %j", (body) =>
    Effect.gen(function* () {
      const { error } = yield* resume().pipe(Effect.provide(over(answers(404, body))))
      assert.strictEqual(error?._tag, "ResponseGone")
    })
  )

  it.effect.each(wrongPlaces)("a 404 that is %s is not the response's (E1)", ([, body]) =>
    Effect.gen(function* () {
      const { error } = yield* resume().pipe(Effect.provide(over(answers(404, body))))
      assert.strictEqual(error?._tag, "AiError")
    })
  )

  it.effect.each([
    [401, "AuthenticationError"],
    [405, "InvalidRequestError"],
    [429, "RateLimitError"],
    [500, "InternalProviderError"],
    [503, "InternalProviderError"]
  ] as const)("%s is %s", ([status, tag]) =>
    Effect.gen(function* () {
      const { error } = yield* resume().pipe(Effect.provide(over(answers(status, failing("no")))))
      assert.strictEqual(error?._tag, "AiError")
      assert.strictEqual(reasonOf(error)?._tag, tag)
    })
  )

  it.live("a body that breaks is a retryable NetworkError, after the events before", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing, socket) => {
        stream(outgoing)
        outgoing.write(sse(delta(8, "b")) + sse(delta(9, "c")).slice(0, 40), () =>
          setTimeout(() => socket.resetAndDestroy(), 20)
        )
      })
      const { error, events } = yield* resume({ after: 7 }).pipe(Effect.provide(at(server.url)))
      assert.strictEqual(events.length, 1)
      assert.strictEqual(error?._tag, "AiError")
      assert.strictEqual(reasonOf(error)?._tag, "NetworkError")
      assert.isTrue(reasonOf(error)?.isRetryable)
    })
  )

  it.live("is one GET, also where it fails", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => void outgoing.writeHead(500).end("{}"))
      yield* resume().pipe(Effect.provide(at(server.url)))
      assert.strictEqual(server.seen.length, 1)
    })
  )
})

describe("retrieve", () => {
  const retrieve = Effect.flatMap(model, (service) => service.retrieve("resp_1"))

  it.effect("gives the snapshot, and the provider's wish for the next look", () =>
    Effect.gen(function* () {
      const inProgress = response({ status: "in_progress" })
      const plain = yield* retrieve.pipe(Effect.provide(over(answers(200, inProgress))))
      assert.strictEqual(plain.snapshot.status, "in_progress")
      assert.deepEqual(plain.snapshot.raw, inProgress)
      assert.isUndefined(plain.snapshot.finish)
      assert.notProperty(plain, "pollAfter")
      const told = yield* retrieve.pipe(
        Effect.provide(over(answers(200, inProgress, { "openai-poll-after-ms": "1500" })))
      )
      assert.deepEqual(told.pollAfter, Duration.millis(1500))
      const odd = yield* retrieve.pipe(
        Effect.provide(over(answers(200, inProgress, { "openai-poll-after-ms": "soon" })))
      )
      assert.notProperty(odd, "pollAfter")
    })
  )

  it.effect.each(gone)("an unknown response is gone: %j", (body) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(retrieve).pipe(Effect.provide(over(answers(404, body))))
      assert.strictEqual(error._tag, "ResponseGone")
      assert.strictEqual(error._tag === "ResponseGone" && error.responseId, "resp_1")
    })
  )

  it.effect.each(wrongPlaces)("a 404 that is %s is not the response's (E1)", ([, body]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(retrieve).pipe(Effect.provide(over(answers(404, body))))
      assert.strictEqual(error._tag, "AiError")
      assert.strictEqual(reasonOf(error)?._tag, "InvalidRequestError")
    })
  )

  it.effect.each(["<html>welcome to our wifi</html>", "", '{"id":'])("an answer that is no JSON: %j", (body) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(retrieve).pipe(
        Effect.provide(over(answers(200, body, { "content-type": "text/html" })))
      )
      assert.strictEqual(reasonOf(error)?._tag, "InvalidResponseError")
      assert.include(String(error), "Check that the base URL is that of the API")
    })
  )

  it.effect.each([{}, null, [], 7, "x", { id: 7 }, { object: "list", data: [] }, failing("no"), { error: "no" }])(
    "JSON that is no response: %j",
    (body) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(retrieve).pipe(Effect.provide(over(answers(200, body))))
        assert.strictEqual(reasonOf(error)?._tag, "InvalidResponseError")
      })
  )

  it.live("an answer that breaks off is a NetworkError", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing, socket) => {
        outgoing.writeHead(200, { "content-type": "application/json", "content-length": "5000" })
        outgoing.write('{"id":', () => setTimeout(() => socket.resetAndDestroy(), 20))
      })
      const error = yield* Effect.flip(retrieve).pipe(Effect.provide(at(server.url)))
      assert.strictEqual(reasonOf(error)?._tag, "NetworkError")
    })
  )

  it.live("ids are kept inside their path", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => void outgoing.writeHead(404).end(JSON.stringify(notFound)))
      const service = yield* Effect.provide(model, at(server.url))
      yield* Effect.flip(service.retrieve("../models?x=/y"))
      assert.match(server.seen[0]?.url ?? "", /^\/v1\/responses\/[^/?]+$/)
      const error = yield* Effect.flip(service.retrieve(".."))
      assert.strictEqual(reasonOf(error)?._tag, "InvalidRequestError")
      assert.strictEqual(server.seen.length, 1)
    })
  )
})

describe("cancel", () => {
  const cancel = Effect.flatMap(model, (service) => service.cancel("resp_1"))

  it.effect.each([
    ["queued", "requested"],
    ["in_progress", "requested"],
    ["cancelled", "requested"],
    ["completed", "already over"],
    ["incomplete", "already over"],
    ["failed", "already over"]
  ] as const)("answered with a response that is %s: %s", ([status, outcome]) =>
    Effect.gen(function* () {
      const result = yield* cancel.pipe(Effect.provide(over(answers(200, response({ status })))))
      assert.strictEqual(result, outcome)
    })
  )

  it.effect.each([
    "Cannot cancel a completed response.",
    "This response has already been cancelled.",
    "Cannot cancel a synchronous response.",
    "La réponse est terminée."
  ])("refused with 400 '%s': a look tells what it means (P1)", (message) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(cancel).pipe(Effect.provide(over(answers(400, failing(message)))))
      assert.strictEqual(reasonOf(error)?._tag, "InvalidRequestError")
      assert.isFalse(reasonOf(error)?.isRetryable)
    })
  )

  it.effect.each([409, 429, 500, 503])("refused with %s: retryable (P1)", (status) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(cancel).pipe(
        Effect.provide(over(answers(status, failing("Cannot cancel a completed response."))))
      )
      assert.strictEqual(error._tag, "AiError")
      assert.isTrue(reasonOf(error)?.isRetryable)
    })
  )

  it.live("posts once; an unknown response is gone", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => void outgoing.writeHead(404).end(JSON.stringify(notFound)))
      const error = yield* Effect.flip(cancel).pipe(Effect.provide(at(server.url)))
      assert.strictEqual(error._tag, "ResponseGone")
      assert.deepEqual(
        server.seen.map(({ method, url }) => `${method} ${url}`),
        ["POST /v1/responses/resp_1/cancel"]
      )
    })
  )
})

describe("remove", () => {
  const remove = Effect.flatMap(model, (service) => service.remove("resp_1"))

  it.live("deletes, and what is not there is done", () =>
    Effect.gen(function* () {
      let status = 200
      const server = yield* serve((_, outgoing) => {
        outgoing.writeHead(status, { "content-type": "application/json" })
        outgoing.end(JSON.stringify(status === 200 ? { id: "resp_1", object: "response", deleted: true } : notFound))
      })
      yield* remove.pipe(Effect.provide(at(server.url)))
      status = 404
      yield* remove.pipe(Effect.provide(at(server.url)))
      assert.deepEqual(
        server.seen.map(({ method, url }) => `${method} ${url}`),
        ["DELETE /v1/responses/resp_1", "DELETE /v1/responses/resp_1"]
      )
      assert.isTrue(yield* eventually(() => server.connections() >= 1))
    })
  )

  it.effect.each(wrongPlaces)("a 404 that is %s is not done", ([, body]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(remove).pipe(Effect.provide(over(answers(404, body))))
      assert.strictEqual(error._tag, "AiError")
    })
  )
})

describe("the model", () => {
  it.effect("says what it is", () =>
    Effect.gen(function* () {
      const { capabilities, model: name, provider } = yield* model
      assert.deepStrictEqual([provider, name], ["openai", "gpt-test"])
      assert.deepEqual(capabilities, { background: true, resume: true, cancel: true })
    }).pipe(Effect.provide(over(chunks())))
  )

  it.effect("says what a completion window demands (P4)", () =>
    Effect.gen(function* () {
      const window = (completion_window: string) => ({ background_options: { completion_window } })
      const demands = (layers: string | undefined, own?: Readonly<Record<string, unknown>>) =>
        Effect.map(model, (service) => service.demands(own)).pipe(
          Effect.provide(over(chunks(), layers === undefined ? {} : { params: window(layers) as never }))
        )
      const hours = (n: number) => ({ streamed: false, window: Duration.hours(n) })
      const usual = { streamed: true }
      assert.deepEqual<unknown>(yield* demands(undefined), usual)
      assert.deepEqual<unknown>(yield* demands(undefined, {}), usual)
      assert.deepEqual<unknown>(yield* demands(undefined, window("2h")), hours(2))
      assert.deepEqual<unknown>(yield* demands(undefined, window("24h")), hours(24))
      assert.deepEqual<unknown>(yield* demands("8h"), hours(8))
      assert.deepEqual<unknown>(yield* demands("8h", { temperature: 1 }), hours(8))
      assert.deepEqual<unknown>(yield* demands("8h", window("2h")), hours(2))
      assert.deepEqual<unknown>(yield* demands("8h", window("soonest")), usual)
      for (const odd of ["0h", "h", "2", "2d", "-2h", "2hours"]) {
        assert.deepEqual<unknown>(yield* demands(undefined, window(odd)), usual)
      }
      for (const odd of [null, 7, "2h", { completion_window: 2 }, {}]) {
        assert.deepEqual<unknown>(yield* demands(undefined, { background_options: odd }), usual)
      }
    })
  )

  it.live("sends a completion window, without a stream (P4)", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => {
        outgoing.writeHead(200, { "content-type": "application/json" })
        outgoing.end(JSON.stringify(response({ status: "queued" })))
      })
      const background_options = { completion_window: "8h", continuation_id: "c" } as const
      const service = yield* Effect.provide(model, at(server.url, { params: { background_options } }))
      yield* service.submit(request())
      assert.deepInclude(JSON.parse(server.seen[0]!.body), { background: true, stream: false, background_options })
    })
  )

  it.effect("a create without a body leaves it open", () =>
    Effect.gen(function* () {
      const { error } = yield* heard(create()).pipe(
        Effect.provide(over(() => Promise.resolve(new Response(null, { status: 200 }))))
      )
      assert.strictEqual(error?._tag, "CreateUnconfirmed")
    })
  )
})
