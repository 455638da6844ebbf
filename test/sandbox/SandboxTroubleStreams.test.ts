// Troubles of connections, and of the responses that they carry.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { background, call, connect, created, idOf, poem, resumed, textOf, typesOf, withTroubles } from "./sdk.ts"

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
