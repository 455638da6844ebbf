import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Stream } from "effect"
import type * as Http from "node:http"
import type { Socket } from "node:net"
import {
  answers,
  at,
  completed,
  create,
  created,
  delta,
  eventually,
  heard,
  key,
  over,
  reasonOf,
  request,
  response,
  serve,
  sse,
  stream,
  submit
} from "./support.ts"

type Stage = (outgoing: Http.ServerResponse, socket: Socket) => void

const whole = sse(created())

const cut =
  (text: string): Stage =>
  (outgoing, socket) => {
    stream(outgoing)
    outgoing.write(text, () => setTimeout(() => socket.resetAndDestroy(), 20))
  }

const ended =
  (...events: Parameters<typeof stream>[1][]): Stage =>
  (outgoing) => {
    stream(outgoing, ...events)
    outgoing.end()
  }

// Where the connection breaks or the body ends, what the stream fails with, and how many events come before.
const stages: ReadonlyArray<readonly [string, Stage, "CreateUnconfirmed" | "AiError" | undefined, number]> = [
  ["a reset before the answer", (_, socket) => socket.resetAndDestroy(), "CreateUnconfirmed", 0],
  ["an end before the answer", (_, socket) => socket.destroy(), "CreateUnconfirmed", 0],
  ["a reset after the head", cut(": ping\n\n"), "CreateUnconfirmed", 0],
  ["a reset inside the first event", cut(whole.slice(0, 60)), "CreateUnconfirmed", 0],
  ["an end without an event", ended(), "CreateUnconfirmed", 0],
  ["an end after keepalives", ended({ type: "keepalive", sequence_number: 0 }), "CreateUnconfirmed", 1],
  [
    "a reset after keepalives",
    cut(sse({ type: "keepalive", sequence_number: 0 }) + whole.slice(0, 30)),
    "CreateUnconfirmed",
    1
  ],
  ["an end after an unknown event", ended({ type: "x", n: 1 }), "CreateUnconfirmed", 1],
  ["a reset after the first event", cut(whole), "AiError", 1],
  ["a reset inside a later event", cut(whole + sse(delta(1, "a")) + sse(delta(2, "b")).slice(0, 50)), "AiError", 2],
  ["an end after the first event", ended(created(), delta(1, "a")), undefined, 2],
  ["an end after the terminal event", ended(created(), completed(1)), undefined, 2]
]

describe("a create stream that is cut", () => {
  it.live.each(stages)("%s", ([, stage, tag, count]) =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing, socket) => stage(outgoing, socket))
      const { error, events } = yield* heard(create()).pipe(Effect.provide(at(server.url)))
      assert.strictEqual(error?._tag, tag)
      assert.strictEqual(events.filter(({ raw }) => raw !== undefined).length, count)
      if (error !== undefined) {
        const { reason } = error._tag === "CreateUnconfirmed" ? error.error : error
        assert.strictEqual(reason._tag, "NetworkError")
        assert.isTrue(reason.isRetryable)
        assert.include(reason.message, `POST ${server.url}/responses`)
      }
      assert.strictEqual(server.seen.length, 1)
    })
  )

  it.live.each(stages.slice(0, 4))("submit: %s", ([, stage]) =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing, socket) => stage(outgoing, socket))
      const error = yield* Effect.flip(submit).pipe(Effect.provide(at(server.url)))
      assert.strictEqual(error._tag, "CreateUnconfirmed")
      assert.strictEqual(server.seen.length, 1)
    })
  )

  it.live.each(["", "<html>", '{"id":', "{}", "[]", '{"status":"queued"}', '{"id":"","status":"queued","output":[]}'])(
    "submit: the answer %j leaves it open",
    (text) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(submit).pipe(Effect.provide(over(answers(200, text))))
        assert.strictEqual(error._tag, "CreateUnconfirmed")
      })
  )

  it.live("no answer in time leaves it open", () =>
    Effect.gen(function* () {
      const server = yield* serve(() => {})
      const client = OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl: server.url, timeout: "100 millis" })
      const model = Layer.provide(OpenAiBackgroundModel.layer({ model: "gpt-test" }), client)
      const { error } = yield* heard(create()).pipe(Effect.provide(model))
      assert.strictEqual(error?._tag, "CreateUnconfirmed")
      assert.include(error?._tag === "CreateUnconfirmed" ? error.error.message : "", "no answer in time")
      assert.strictEqual(server.seen.length, 1)
    })
  )
})

describe("a create request that reaches nobody", () => {
  const nobody = Effect.fnUntraced(function* (baseUrl: string) {
    for (const error of [
      (yield* heard(create()).pipe(Effect.provide(at(baseUrl)))).error,
      yield* Effect.flip(submit).pipe(Effect.provide(at(baseUrl)))
    ]) {
      assert.strictEqual(error?._tag, "AiError", String(error))
      assert.strictEqual(reasonOf(error)?._tag, "NetworkError")
      assert.include(error?.message, "Nothing was sent")
    }
  })

  it.live("a refused connection", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(serve(() => {}))
      yield* nobody(`http://127.0.0.1:${port}/v1`)
      yield* nobody(`http://localhost:${port}/v1`)
    })
  )

  it.live("an unknown host", () => nobody("http://no-such-host.invalid/v1"))

  it.live("a port that fetch does not call", () => nobody("http://127.0.0.1:1/v1"))

  it.live("a server without TLS", () =>
    Effect.gen(function* () {
      const server = yield* serve(() => {})
      yield* nobody(`https://127.0.0.1:${server.port}/v1`)
      assert.strictEqual(server.seen.length, 0)
    })
  )
})

const errorBody = (code: string | null, type = "x") => ({ error: { message: "so it is", type, code, param: null } })

// Statuses and bodies of refused create requests, and whether the work may have been bought all the same.
const refusals: ReadonlyArray<readonly [number, unknown, "AiError" | "CreateUnconfirmed"]> = [
  [400, errorBody("invalid_value"), "AiError"],
  [400, errorBody("conversation_locked"), "AiError"],
  [401, errorBody("invalid_api_key"), "AiError"],
  [403, errorBody(null), "AiError"],
  [404, errorBody("model_not_found"), "AiError"],
  [404, "<html>not here</html>", "AiError"],
  [409, errorBody(null), "AiError"],
  [413, "too large", "AiError"],
  [422, errorBody(null), "AiError"],
  [429, errorBody("rate_limit_exceeded"), "AiError"],
  [429, errorBody("insufficient_quota"), "AiError"],
  [503, errorBody("server_is_overloaded"), "AiError"],
  [503, errorBody("slow_down"), "AiError"],
  [503, errorBody("rate_limit_exceeded"), "AiError"],
  [408, "", "CreateUnconfirmed"],
  [500, errorBody("server_error", "server_error"), "CreateUnconfirmed"],
  [500, errorBody(null), "CreateUnconfirmed"],
  [502, "<html>bad gateway</html>", "CreateUnconfirmed"],
  [503, "no healthy upstream", "CreateUnconfirmed"],
  [504, "", "CreateUnconfirmed"],
  [520, "", "CreateUnconfirmed"],
  [524, "", "CreateUnconfirmed"]
]

describe("a create request that is answered with an error", () => {
  it.live.each(refusals)("%s %j", ([status, body, tag]) =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => {
        outgoing.writeHead(status, { "content-type": typeof body === "string" ? "text/html" : "application/json" })
        outgoing.end(typeof body === "string" ? body : JSON.stringify(body))
      })
      const streamed = yield* heard(create()).pipe(Effect.provide(at(server.url)))
      assert.strictEqual(streamed.error?._tag, tag)
      const submitted = yield* Effect.flip(submit).pipe(Effect.provide(at(server.url)))
      assert.strictEqual(submitted._tag, tag)
      assert.strictEqual(server.seen.length, 2)
    })
  )
})

describe("sockets", () => {
  const endless = serve((_, outgoing) => stream(outgoing, created(), delta(1, "a")))

  it.live("interrupting a stream closes its socket", () =>
    Effect.gen(function* () {
      const server = yield* endless
      const model = yield* Effect.provide(BackgroundModel, at(server.url))
      for (let i = 1; i <= 20; i++) {
        const fiber = yield* Effect.forkChild(Stream.runDrain(model.create(request())))
        assert.isTrue(yield* eventually(() => server.seen.length === i && server.open() === 1))
        yield* Fiber.interrupt(fiber)
        assert.isTrue(yield* eventually(() => server.open() === 0))
      }
    })
  )

  it.live("interrupting while the answer is awaited closes the socket", () =>
    Effect.gen(function* () {
      const server = yield* serve(() => {})
      const model = yield* Effect.provide(BackgroundModel, at(server.url))
      for (const effect of [
        Stream.runDrain(model.create(request())),
        model.submit(request()),
        Stream.runDrain(model.resume("resp_1", {})),
        model.retrieve("resp_1"),
        model.cancel("resp_1"),
        model.remove("resp_1")
      ]) {
        const fiber = yield* Effect.forkChild(effect)
        assert.isTrue(yield* eventually(() => server.open() === 1))
        yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(fiber)
        assert.isTrue(yield* eventually(() => server.open() === 0))
      }
      assert.strictEqual(server.seen.length, 6)
    })
  )

  it.live("a consumer that has enough closes the socket", () =>
    Effect.gen(function* () {
      const server = yield* endless
      const model = yield* Effect.provide(BackgroundModel, at(server.url))
      for (let i = 0; i < 20; i++) {
        const [first] = yield* Stream.runCollect(Stream.take(model.create(request()), 1))
        assert.strictEqual(first?.responseId, "resp_1")
        assert.isTrue(yield* eventually(() => server.open() === 0))
      }
    })
  )

  it.live("a refused request, and a body read to its end, leave the socket to the next", () =>
    Effect.gen(function* () {
      const server = yield* serve((asked, outgoing) => {
        if (asked.method === "GET") return void outgoing.writeHead(404).end(JSON.stringify(errorBody(null)))
        stream(outgoing, created(), completed(1))
        outgoing.end()
      })
      const model = yield* Effect.provide(BackgroundModel, at(server.url))
      for (let i = 0; i < 20; i++) {
        yield* Stream.runDrain(model.create(request()))
        yield* Effect.flip(model.retrieve("resp_1"))
      }
      assert.isAtMost(server.connections(), 2)
    })
  )

  it.live("hundreds of interrupted streams leave nothing open", () =>
    Effect.gen(function* () {
      const server = yield* endless
      const model = yield* Effect.provide(BackgroundModel, at(server.url))
      yield* Effect.forEach(
        Array.from({ length: 300 }),
        () => Stream.runDrain(Stream.take(model.create(request()), 2)),
        { concurrency: 50, discard: true }
      )
      assert.strictEqual(server.seen.length, 300)
      assert.isTrue(yield* eventually(() => server.open() === 0))
    })
  )
})

describe("the request", () => {
  it.live("submit is one POST without a stream, in the background, and gives the snapshot", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => {
        outgoing.writeHead(200, { "content-type": "application/json" })
        outgoing.end(JSON.stringify(response({ status: "queued" })))
      })
      const model = yield* Effect.provide(BackgroundModel, at(server.url))
      const snapshot = yield* model.submit(request({ background: false }))
      assert.strictEqual(snapshot.responseId, "resp_1")
      assert.strictEqual(snapshot.status, "queued")
      assert.isUndefined(snapshot.finish)
      assert.deepInclude(JSON.parse(server.seen[0]?.body ?? ""), { background: true, stream: false })
    })
  )

  it.live("each execution of a stream is one POST", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => {
        stream(outgoing, created(), completed(1))
        outgoing.end()
      })
      const model = yield* Effect.provide(BackgroundModel, at(server.url))
      const stream_ = model.create(request())
      assert.strictEqual(server.seen.length, 0)
      yield* Stream.runDrain(stream_)
      yield* Stream.runDrain(stream_)
      assert.deepEqual(
        server.seen.map(({ method, url }) => `${method} ${url}`),
        ["POST /v1/responses", "POST /v1/responses"]
      )
    })
  )
})
