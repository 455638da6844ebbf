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
import { call, connect, created, idOf, refused, resumed, textOf, typesOf } from "./sdk.ts"

const poem = "Naïve façades — 日本語, emoji 🙂🚀, and “quotes”.\nA second line."

const withTroubles = (...troubles: ReadonlyArray<Trouble>) => Effect.provide(ResponsesServer.layer({ troubles }))

const background = { model: "echo", input: poem, background: true } as const

/** The raw body of a create, read to its end. */
const rawBody = Effect.fnUntraced(function* (params: object) {
  const server = yield* ResponsesServer
  return yield* call(async () => {
    const answer = await fetch(`${server.url}/responses`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(params)
    })
    const chunks: Array<Uint8Array> = []
    for await (const chunk of answer.body ?? []) chunks.push(chunk)
    return chunks
  })
})

const text = (chunks: ReadonlyArray<Uint8Array>) => Buffer.concat(chunks).toString()

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

describe("troubles of one connection", () => {
  it.live("EndEarly ends the body without a terminal event, and a resume gives the rest", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      const cut = yield* created(client, background)
      assert.deepStrictEqual([cut.events.length, cut.error], [7, undefined])
      const rest = yield* resumed(client, idOf(cut), 6)
      assert.strictEqual(textOf(cut) + textOf(rest), poem)
      assert.strictEqual(typesOf(rest).at(-1), "response.completed")
      assert.deepStrictEqual((yield* server.ledger).troubles, { EndEarly: 1 })
    }).pipe(withTroubles({ _tag: "EndEarly", after: 7, times: 1 }))
  )

  it.live("Reset breaks the socket inside an event, after all the events before it", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const cut = yield* created(client, background)
      assert.strictEqual(cut.events.length, 8)
      assert.match(String(cut.error), /terminated/)
      const rest = yield* resumed(client, idOf(cut), 7)
      assert.strictEqual(textOf(cut) + textOf(rest), poem)
    }).pipe(withTroubles({ _tag: "Reset", after: 8, times: 1 }))
  )

  it.live("HalfEvent ends the body inside an event", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const cut = yield* created(client, background)
      assert.strictEqual(cut.events.length, 5)
      assert.instanceOf(cut.error, SyntaxError)
    }).pipe(withTroubles({ _tag: "HalfEvent", after: 5, times: 1 }))
  )

  it.live("Stall leaves the socket open and silent, while the response goes on", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      const reader = yield* Effect.forkChild(created(client, background))
      yield* server.ledger.pipe(
        Effect.repeat({
          until: ({ responses, troubles }) => troubles["Stall"] === 1 && responses[0]?.status === "completed",
          schedule: Schedule.spaced("5 millis")
        })
      )
      assert.isUndefined(reader.pollUnsafe())
      const id = (yield* server.ledger).responses[0]?.id ?? ""
      assert.strictEqual(textOf(yield* resumed(client, id, 0)), poem)
      yield* Fiber.interrupt(reader)
    }).pipe(withTroubles({ _tag: "Stall", after: 6, on: "create" }))
  )

  it.live("SplitBytes cuts characters of several bytes into pieces", () =>
    Effect.gen(function* () {
      const chunks = yield* rawBody({ model: "echo", input: poem, stream: true })
      const broken = chunks.filter((chunk) => new TextDecoder().decode(chunk).includes("\uFFFD"))
      assert.isAbove(broken.length, 5)
      const client = yield* connect
      assert.strictEqual(textOf(yield* created(client, background)), poem)
    }).pipe(withTroubles({ _tag: "SplitBytes", every: 3 }))
  )

  it.live("Crlf and NoFinalBlankLine change the framing alone", () =>
    Effect.gen(function* () {
      const body = text(yield* rawBody({ model: "echo", input: poem, stream: true }))
      assert.notMatch(body, /[^\r]\n/)
      assert.match(body, /\}\r\n$/)
      assert.notMatch(body, /\r\n\r\n$/)
      const client = yield* connect
      const heard = yield* created(client, background)
      assert.strictEqual(typesOf(heard).at(-1), "response.completed")
      assert.strictEqual(textOf(heard), poem)
    }).pipe(withTroubles({ _tag: "Crlf" }, { _tag: "NoFinalBlankLine" }))
  )

  it.live("DuplicateReplay repeats events before the cursor", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const whole = yield* created(client, background)
      const replay = yield* resumed(client, idOf(whole), 9)
      assert.deepStrictEqual(replay.events, whole.events.slice(7))
    }).pipe(withTroubles({ _tag: "DuplicateReplay", back: 3 }))
  )

  it.live("OutOfOrderReplay swaps neighbours and loses none", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const whole = yield* created(client, background)
      const { events } = yield* resumed(client, idOf(whole), 2)
      assert.deepStrictEqual(
        events.slice(0, 4).map((event) => event.sequence_number),
        [4, 3, 6, 5]
      )
      assert.deepStrictEqual(
        events.toSorted((a, b) => a.sequence_number - b.sequence_number),
        whole.events.slice(3)
      )
    }).pipe(withTroubles({ _tag: "OutOfOrderReplay" }))
  )
})

describe("troubles of a response", () => {
  it.live("Keepalives take sequence numbers, come before created, and are not replayed", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const whole = yield* created(client, background)
      assert.deepStrictEqual(typesOf(whole).slice(0, 4), [
        "keepalive",
        "keepalive",
        "response.created",
        "response.queued"
      ])
      assert.deepStrictEqual(
        whole.events.map((event) => event.sequence_number),
        whole.events.map((_, index) => index)
      )
      assert.isAbove(typesOf(whole).filter((type) => type === "keepalive").length, 6)
      const lasting = whole.events.filter((event) => (event.type as string) !== "keepalive")
      assert.deepStrictEqual((yield* resumed(client, idOf(whole))).events, lasting)
      assert.strictEqual(textOf(whole), poem)
    }).pipe(withTroubles({ _tag: "Keepalives", before: 2, every: 4 }))
  )

  it.live("UnknownEvents pass among the others, and are replayed", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const whole = yield* created(client, background)
      assert.isAbove(typesOf(whole).filter((type) => type === "response.sandbox_novelty.delta").length, 3)
      assert.deepStrictEqual((yield* resumed(client, idOf(whole), 5)).events, whole.events.slice(6))
    }).pipe(withTroubles({ _tag: "UnknownEvents", every: 5 }))
  )

  it.live("ErrorEvent comes nested or flat, followed by response.failed", () =>
    Effect.gen(function* () {
      for (const form of ["nested", "flat"] as const) {
        const server = yield* ResponsesServer
        yield* server.setTroubles([{ _tag: "ErrorEvent", form, after: 6, code: "insufficient_quota", message: "No." }])
        const body = text(yield* rawBody({ ...background, stream: true }))
        const payloads = [...body.matchAll(/^data: (.*)$/gm)].map(([, json = ""]) => JSON.parse(json))
        assert.strictEqual(payloads.length, 8)
        const fields = { code: "insufficient_quota", message: "No.", param: null }
        assert.deepStrictEqual(
          payloads[6],
          form === "flat"
            ? { type: "error", sequence_number: 6, ...fields }
            : { type: "error", sequence_number: 6, error: { type: "insufficient_quota", ...fields } }
        )
        assert.strictEqual(payloads[7].type, "response.failed")
        assert.deepStrictEqual(payloads[7].response.error, { code: "insufficient_quota", message: "No." })
        const client = yield* connect
        const stored = yield* call(() => client.responses.retrieve(payloads[0].response.id))
        assert.strictEqual(stored.status, "failed")
      }
    }).pipe(withTroubles())
  )

  it.live("End ends as failed, incomplete or cancelled, part of the way", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      for (const status of ["failed", "incomplete", "cancelled"] as const) {
        yield* server.setTroubles([{ _tag: "End", status, after: 9 }])
        const heard = yield* created(client, background)
        const expected = status === "cancelled" ? [] : [`response.${status}`]
        assert.deepStrictEqual(typesOf(heard).slice(9), expected)
        const stored = yield* call(() => client.responses.retrieve(idOf(heard)))
        assert.deepStrictEqual([stored.status, stored.output_text], [status, textOf(heard)])
      }
      yield* server.setTroubles([{ _tag: "End", status: "cancelled", after: 9, event: true }])
      assert.strictEqual(typesOf(yield* created(client, background)).at(-1), "response.cancelled")
    }).pipe(withTroubles())
  )

  it.effect("StuckQueued never leaves the queue, until it is cancelled", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const { id } = yield* call(() => client.responses.create(background))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* call(() => client.responses.retrieve(id))).status, "queued")
      assert.strictEqual((yield* call(() => client.responses.cancel(id))).status, "cancelled")
      assert.strictEqual((yield* call(() => client.responses.retrieve(id))).status, "cancelled")
    }).pipe(withTroubles({ _tag: "StuckQueued" }))
  )

  it.effect("Pace and QueueTime change the times of one request", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const { id } = yield* call(() =>
        client.responses.create(background, {
          headers: { "x-sandbox-trouble": "Pace millis=1000; QueueTime millis=5000" }
        })
      )
      const status = Effect.map(
        call(() => client.responses.retrieve(id)),
        (response) => response.status
      )
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* status, "queued")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* status, "in_progress")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* status, "completed")
    }).pipe(withTroubles())
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
