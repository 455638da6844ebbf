// How the server of the sandbox makes responses, streams them, and plays them again.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { call, connect, created, idOf, poem, refused, resumed, textOf, typesOf } from "./sdk.ts"

describe("ResponsesServer", () => {
  it.live("creates a response in the foreground", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const response = yield* call(() =>
        client.responses.create({
          model: "echo",
          input: poem,
          metadata: { baton_run_id: "r1" },
          instructions: "Be kind"
        })
      )
      assert.strictEqual(response.output_text, poem)
      assert.strictEqual(response.status, "completed")
      assert.strictEqual(response.instructions, "Be kind")
      assert.deepStrictEqual(response.metadata, { baton_run_id: "r1" })
      assert.isAbove(response.usage?.output_tokens ?? 0, 1)
      const again = yield* call(() => client.responses.retrieve(response.id))
      assert.strictEqual(again.output_text, poem)
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("streams the events of a message in the API's order, numbered from zero", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const whole = yield* created(client, { model: "echo", input: poem })
      const types = typesOf(whole)
      assert.deepStrictEqual(
        types.filter((type, index) => type !== types[index - 1]),
        [
          "response.created",
          "response.in_progress",
          "response.output_item.added",
          "response.content_part.added",
          "response.output_text.delta",
          "response.output_text.done",
          "response.content_part.done",
          "response.output_item.done",
          "response.completed"
        ]
      )
      assert.deepStrictEqual(
        whole.events.map((event) => event.sequence_number),
        whole.events.map((_, index) => index)
      )
      assert.strictEqual(textOf(whole), poem)
      const last = whole.events.at(-1)
      assert.isTrue(last?.type === "response.completed" && last.response.status === "completed")
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("satisfies the SDK's own stream helper", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const response = yield* call(() => client.responses.stream({ model: "echo", input: poem }).finalResponse())
      assert.strictEqual(response.output_text, poem)
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("resumes at every cut with exactly the events that followed", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const whole = yield* created(client, { model: "echo", input: poem, background: true })
      assert.deepStrictEqual(typesOf(whole).slice(0, 3), [
        "response.created",
        "response.queued",
        "response.in_progress"
      ])
      for (const [cut] of whole.events.entries()) {
        const rest = yield* resumed(client, idOf(whole), cut)
        assert.deepStrictEqual(rest, { events: whole.events.slice(cut + 1), error: undefined })
      }
      const beyond = yield* resumed(client, idOf(whole), 10_000)
      assert.deepStrictEqual(beyond, { events: [], error: undefined })
      const all = yield* resumed(client, idOf(whole))
      assert.deepStrictEqual(all.events, whole.events)
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("goes on making a background response when its reader leaves, and lets a second reader join", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      const id = yield* call(async () => {
        const stream = await client.responses.create({ model: "lorem:40", input: "x", background: true, stream: true })
        for await (const event of stream) {
          if (event.type === "response.created") return event.response.id
        }
        return ""
      })
      const first = yield* Effect.forkChild(resumed(client, id, 5))
      const second = yield* resumed(client, id, 0)
      assert.strictEqual((yield* Fiber.join(first)).events.length, second.events.length - 5)
      const { responses } = yield* server.ledger
      assert.deepStrictEqual(
        responses.map(({ eventsProduced, resumes, status }) => ({ eventsProduced, resumes, status })),
        [{ eventsProduced: second.events.length + 1, resumes: 2, status: "completed" }]
      )
    }).pipe(Effect.provide(ResponsesServer.layer({ pace: "2 millis" })))
  )

  it.live("stops making a foreground response when its connection closes", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      yield* call(async () => {
        const stream = await client.responses.create({ model: "lorem:1000000", input: "x", stream: true })
        for await (const event of stream) {
          if (event.type === "response.output_text.delta") break
        }
      })
      const response = yield* server.ledger.pipe(
        Effect.map(({ responses }) => responses[0]),
        Effect.repeat({ until: (shown) => shown?.status === "cancelled", schedule: Schedule.spaced("5 millis") })
      )
      assert.isBelow(response?.eventsProduced ?? 0, 1_000_000)
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.live("polls a background response from queued to completed", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const accepted = yield* call(() => client.responses.create({ model: "echo", input: poem, background: true }))
      assert.strictEqual(accepted.status, "queued")
      assert.deepStrictEqual(accepted.output, [])
      const seen: Array<string | undefined> = []
      const final = yield* call(() => client.responses.retrieve(accepted.id)).pipe(
        Effect.tap((response) => Effect.sync(() => seen.push(response.status))),
        Effect.repeat({
          until: (response) => response.status === "completed",
          schedule: Schedule.spaced("5 millis")
        })
      )
      assert.includeMembers(seen, ["queued", "in_progress", "completed"])
      assert.strictEqual(final.output_text, poem)
      const refusal = yield* resumed(client, accepted.id, 0)
      assert.match(String(refusal.error), /400.*stream=true/)
    }).pipe(Effect.provide(ResponsesServer.layer({ queueTime: "60 millis", pace: "5 millis" })))
  )

  it.effect("keeps the replay window by the clock, and answers a plain GET after it", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const whole = yield* created(client, { model: "echo", input: poem, background: true })
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual((yield* resumed(client, idOf(whole), 3)).events.length, whole.events.length - 4)
      yield* TestClock.adjust("1 second")
      const late = yield* refused(() => client.responses.retrieve(idOf(whole), { stream: true }))
      assert.strictEqual(late.status, 400)
      assert.include(late.message, "This response can no longer be streamed because it is more than 5 minutes old")
      assert.strictEqual((yield* call(() => client.responses.retrieve(idOf(whole)))).output_text, poem)
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )

  it.effect("takes the pace between deltas", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const client = yield* connect
      yield* call(() => client.responses.create({ model: "lorem:10", input: "x", background: true }))
      const made = Effect.map(server.ledger, ({ responses }) => responses[0]?.eventsProduced ?? 0)
      const opening = yield* made
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* made) - opening, 2)
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual((yield* server.ledger).responses[0]?.status, "completed")
    }).pipe(Effect.provide(ResponsesServer.layer({ pace: "1 second" })))
  )

  it.live("streams 200,000 deltas flat out", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer
      const bytes = yield* call(async () => {
        const answer = await fetch(`${server.url}/responses`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model: "lorem:200000", input: "x", stream: true, background: true })
        })
        let count = 0
        for await (const chunk of answer.body ?? []) count += chunk.length
        return count
      })
      assert.isAbove(bytes, 200_000 * 200)
      assert.strictEqual((yield* server.ledger).responses[0]?.eventsProduced, 200_000 + 9)
    }).pipe(Effect.provide(ResponsesServer.layer()))
  )
})
