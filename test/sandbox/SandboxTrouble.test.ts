// Troubles of operations; how troubles are named, and switched.
import { lorem, message } from "@effect-baton/sandbox/ResponseScript"
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import {
  insufficientQuota,
  parse,
  rateLimited,
  serverErrors,
  type Trouble,
  unauthorized
} from "@effect-baton/sandbox/SandboxTrouble"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import OpenAI, { APIConnectionError } from "openai"
import { background, call, connect, created, idOf, poem, refused, resumed, typesOf, withTroubles } from "./sdk.ts"

describe("SandboxTrouble.parse", () => {
  it.effect("reads words and JSON alike", () =>
    Effect.gen(function* () {
      const expected: ReadonlyArray<Trouble> = [{ _tag: "Reset", after: 3, times: 1 }, { _tag: "StuckQueued" }]
      assert.deepEqual(yield* parse("Reset after=3 times=1; StuckQueued"), expected)
      assert.deepEqual(yield* parse(JSON.stringify(expected)), expected)
      assert.deepEqual(yield* parse('{"_tag":"StuckQueued"}'), [{ _tag: "StuckQueued" }])
      assert.deepEqual(yield* parse("ErrorEvent form=flat after=2 thenFailed=false"), [
        { _tag: "ErrorEvent", form: "flat", after: 2, thenFailed: false }
      ])
    })
  )

  it.effect("names what it cannot read", () =>
    Effect.gen(function* () {
      for (const wrong of ["Nonsense", "Reset", "Reset after=soon", "{", "HttpError status=200"]) {
        assert.strictEqual((yield* Effect.flip(parse(wrong)))._tag, "TroubleInvalid")
      }
    })
  )
})

describe("troubles of operations", () => {
  it.live("HttpError answers before anything is done, as often as it should", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      const create = () => client.responses.create({ model: "echo", input: "x" })
      const limited = yield* refused(create)
      assert.deepStrictEqual(
        [limited.status, limited.code, limited.headers?.get("retry-after")],
        [429, "rate_limit_exceeded", "90"]
      )
      const codes = [yield* refused(create), yield* refused(create)].map(({ status }) => status)
      assert.deepStrictEqual(codes, [503, 503])
      assert.strictEqual((yield* call(create)).output_text, "x")
      yield* server.setTroubles([insufficientQuota])
      assert.strictEqual((yield* refused(create)).code, "insufficient_quota")
      yield* server.setTroubles([unauthorized])
      assert.deepStrictEqual((yield* refused(create)).code, "invalid_api_key")
      assert.strictEqual((yield* server.ledger).responses.length, 1)
    }).pipe(withTroubles(rateLimited({ retryAfter: 90 }), serverErrors(2)))
  )

  it.live("DropBeforeHeaders creates the response and tells nobody: a retry buys it twice", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      for (const stream of [true, false]) {
        yield* server.clearLedger
        yield* server.setTroubles([{ _tag: "DropBeforeHeaders", on: "create", times: 1 }])
        const error = yield* Effect.flip(call(() => client.responses.create({ ...background, stream })))
        assert.instanceOf(error, APIConnectionError)
        assert.strictEqual((yield* server.ledger).responses.length, 1)
        assert.isUndefined((yield* server.ledger).requests[0]?.status)
      }
      yield* server.clearLedger
      yield* server.setTroubles([{ _tag: "DropBeforeHeaders", on: "create", times: 1 }])
      const eager = new OpenAI({ baseURL: server.url, apiKey: "any", maxRetries: 1 })
      yield* call(() => eager.responses.create(background))
      assert.strictEqual((yield* server.ledger).responses.length, 2)
    }).pipe(withTroubles())
  )

  it.live("RefuseReplay refuses every resume, in the API's words", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const whole = yield* created(client, background)
      const refusal = yield* refused(() => client.responses.retrieve(idOf(whole), { stream: true, starting_after: 2 }))
      assert.strictEqual(refusal.status, 400)
      assert.include(refusal.message, "can no longer be streamed because it is more than 5 minutes old")
      assert.strictEqual((yield* call(() => client.responses.retrieve(idOf(whole)))).output_text, poem)
    }).pipe(withTroubles({ _tag: "RefuseReplay" }))
  )

  it.live("IgnoreCancel accepts a cancel and completes", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      yield* server.setPace("2 millis")
      const client = yield* connect
      const { id } = yield* call(() => client.responses.create({ model: "lorem:20", input: "x", background: true }))
      assert.notStrictEqual((yield* call(() => client.responses.cancel(id))).status, "cancelled")
      const final = yield* call(() => client.responses.retrieve(id)).pipe(
        Effect.repeat({ until: ({ status }) => status === "completed", schedule: Schedule.spaced("5 millis") })
      )
      assert.strictEqual(final.usage?.output_tokens, 20)
    }).pipe(withTroubles({ _tag: "IgnoreCancel" }))
  )

  it.live("CancelEvent and RefuseCancelFinished are the other forms of a cancel", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      yield* server.setPace("5 millis")
      const client = yield* connect
      const { id } = yield* call(() => client.responses.create({ model: "lorem:2000", input: "x", background: true }))
      yield* call(() => client.responses.cancel(id))
      const refusal = yield* refused(() => client.responses.cancel(id))
      assert.include(refusal.message, "Cannot cancel a cancelled response")
      yield* server.setPace(0)
      const whole = yield* created(client, background)
      const late = yield* refused(() => client.responses.cancel(idOf(whole)))
      assert.deepStrictEqual([late.status, late.message], [400, "400 Cannot cancel a completed response."])
    }).pipe(withTroubles({ _tag: "CancelEvent" }, { _tag: "RefuseCancelFinished" }))
  )

  it.live("CancelEvent ends the open stream with response.cancelled, and its replay too", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      yield* server.setPace("3 millis")
      const client = yield* connect
      const reader = yield* Effect.forkChild(created(client, { model: "lorem:5000", input: "x", background: true }))
      const id = yield* server.ledger.pipe(
        Effect.map(({ responses }) => responses[0]),
        Effect.repeat({ until: (one) => (one?.eventsProduced ?? 0) > 7, schedule: Schedule.spaced("5 millis") }),
        Effect.map((one) => one?.id ?? "")
      )
      yield* call(() => client.responses.cancel(id))
      const { events } = yield* Fiber.join(reader)
      assert.strictEqual(events.at(-1)?.type as string, "response.cancelled")
      for (const cut of [events.length - 3, events.length - 2, events.length - 1, events.length]) {
        assert.deepStrictEqual((yield* resumed(client, id, cut)).events, events.slice(cut + 1))
      }
    }).pipe(withTroubles({ _tag: "CancelEvent" }))
  )

  it.effect("Expired forgets a response when its time is over", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const { id } = yield* call(() => client.responses.create({ model: "echo", input: poem }))
      assert.strictEqual((yield* call(() => client.responses.retrieve(id))).status, "completed")
      yield* TestClock.adjust("10 seconds")
      const gone = yield* refused(() => client.responses.retrieve(id))
      assert.deepStrictEqual([gone.status, gone.message], [404, `404 Response with id '${id}' not found.`])
    }).pipe(withTroubles({ _tag: "Expired", afterMillis: 10_000 }))
  )

  it.live("PollAfter hints when to poll again", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const { id } = yield* call(() => client.responses.create(background))
      const { response } = yield* call(() => client.responses.retrieve(id).withResponse())
      assert.strictEqual(response.headers.get("openai-poll-after-ms"), "250")
    }).pipe(withTroubles({ _tag: "PollAfter", millis: 250 }))
  )
})

describe("where troubles are switched", () => {
  it.live("by a header, for one request", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const cut = yield* created(client, background, { "x-sandbox-trouble": "EndEarly after=4" })
      assert.strictEqual(cut.events.length, 4)
      const again = yield* resumed(client, idOf(cut), 3, { "x-sandbox-trouble": "EndEarly after=2" })
      assert.strictEqual(again.events.length, 2)
      assert.strictEqual(typesOf(yield* resumed(client, idOf(cut), 5)).at(-1), "response.completed")
      const wrong = yield* refused(() =>
        client.responses.create(background, { headers: { "x-sandbox-trouble": "Nonsense" } })
      )
      assert.strictEqual(wrong.code, "sandbox_trouble")
    }).pipe(withTroubles())
  )

  it.live("by metadata, for one response and all that is asked of it", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const metadata = { sandbox_trouble: "EndEarly after=5 times=2; RefuseCancelFinished" }
      const cut = yield* created(client, { ...background, metadata })
      assert.strictEqual(cut.events.length, 5)
      assert.strictEqual((yield* resumed(client, idOf(cut), 4)).events.length, 5)
      assert.strictEqual(typesOf(yield* resumed(client, idOf(cut), 9)).at(-1), "response.completed")
      assert.strictEqual((yield* refused(() => client.responses.cancel(idOf(cut)))).status, 400)
      assert.strictEqual(typesOf(yield* created(client, background)).at(-1), "response.completed")
    }).pipe(withTroubles())
  )

  it.live("over HTTP, for the whole server", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      const put = (body: unknown) =>
        call(() =>
          fetch(`${server.origin}/sandbox/troubles`, {
            method: "PUT",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body)
          })
        )
      assert.strictEqual((yield* put([{ _tag: "EndEarly", after: 2 }])).status, 204)
      assert.strictEqual((yield* created(client, background)).events.length, 2)
      assert.strictEqual((yield* put([{ _tag: "Nonsense" }])).status, 400)
      yield* put([])
      assert.isAbove((yield* created(client, background)).events.length, 9)
    }).pipe(withTroubles())
  )

  it.live("with a model of one's own", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const own = yield* call(() => client.responses.create({ model: "mine", input: "Hello" }))
      assert.strictEqual(own.output_text, "You said Hello")
      const failed = yield* created(client, { model: "broken", input: "Hello" })
      const last = failed.events.at(-1)
      assert.isTrue(last?.type === "response.failed" && last.response.error?.code === "rate_limit_exceeded")
    }).pipe(
      Effect.provide(
        ResponsesServer.layer({
          model: ({ input, model }) =>
            Effect.succeed(
              model === "broken"
                ? { ...lorem(4), end: { status: "failed", code: "rate_limit_exceeded", message: "Slow down." } }
                : message(input.map((one) => (one.type === "message" ? `You said ${one.text}` : "")).join(""))
            )
        })
      )
    )
  )
})
