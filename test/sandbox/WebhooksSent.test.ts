// How the sandbox sends its webhook messages: again until they are accepted, twice, or never.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import OpenAI from "openai"
import { logging } from "../support/faults.ts"
import { eventually, type Seen, serve } from "../openai/support.ts"
import { call, connect } from "./sdk.ts"

const secret = `whsec_${Buffer.from("a secret of the sandbox's webhooks").toString("base64")}`

const background = { model: "echo", input: "Hello", background: true } as const

const sandbox = (url: string, options: Parameters<typeof ResponsesServer.layer>[0] = {}) =>
  ResponsesServer.layer({ ...options, webhook: { url, secret: Redacted.make(secret) } })

/** What a message says, if its signature fits. */
const verified = ({ body, headers }: Seen) =>
  call(() => new OpenAI({ apiKey: "any" }).webhooks.unwrap(body, headers as Record<string, string>, secret, Infinity))

/** Lets time pass until something is so. Each step of the clock waits for real sockets. */
const passing = (condition: () => boolean) =>
  Effect.gen(function* () {
    for (let i = 0; i < 100 && !condition(); i++) {
      yield* TestClock.adjust("5 seconds")
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
    }
    assert.isTrue(condition())
  })

describe("webhook messages", () => {
  it.effect("are sent again until they are accepted, and each time with a new signature", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      let silent: (() => void) | undefined
      const hook = yield* serve(({ url }, outgoing) => {
        if (url !== "/v1") return outgoing.writeHead(204).end()
        if (hook.seen.length === 1) return outgoing.writeHead(500).end()
        if (hook.seen.length === 2) return outgoing.writeHead(302, { location: "/elsewhere" }).end()
        if (hook.seen.length === 3) return (silent = () => outgoing.end())
        return outgoing.writeHead(204).end()
      })
      yield* Effect.gen(function* () {
        const client = yield* connect
        const { id } = yield* call(() => client.responses.create(background))
        yield* passing(() => hook.seen.length === 4)
        silent?.()
        assert.deepStrictEqual(new Set(hook.seen.map(({ url }) => url)), new Set(["/v1"]), "no redirect is followed")
        const [first, ...others] = hook.seen
        for (const message of hook.seen) assert.deepEqual<unknown>((yield* verified(message)).data, { id })
        for (const { body, headers } of others) {
          assert.strictEqual(body, first?.body)
          assert.strictEqual(headers["webhook-id"], first?.headers["webhook-id"])
        }
        const times = hook.seen.map(({ headers }) => Number(headers["webhook-timestamp"]))
        assert.deepStrictEqual(
          times,
          [...new Set(times)].toSorted((a, b) => a - b),
          "each is later than the last"
        )
        assert.strictEqual(lines.filter((line) => line.includes("was not accepted")).length, 1)

        // What was accepted is not sent again: the next message is that of the next response.
        const next = yield* call(() => client.responses.create(background))
        yield* passing(() => hook.seen.length === 5)
        assert.deepEqual<unknown>((yield* verified(hook.seen[4]!)).data, { id: next.id })
      }).pipe(Effect.provide(sandbox(hook.url)))
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("come as often as the trouble says, and only for background responses", () =>
    Effect.gen(function* () {
      const hook = yield* serve((_, outgoing) => outgoing.writeHead(204).end())
      yield* Effect.gen(function* () {
        const client = yield* connect
        const { ledger } = yield* ResponsesServer
        const create = (copies?: number) =>
          call(() =>
            client.responses.create(
              background,
              copies === undefined ? {} : { headers: { "x-sandbox-trouble": `Webhook copies=${copies}` } }
            )
          )
        yield* call(() => client.responses.create({ ...background, background: false }))
        yield* create(0)
        const twice = yield* create(2)
        assert.isTrue(yield* eventually(() => hook.seen.length === 2))
        const once = yield* create()
        assert.isTrue(yield* eventually(() => hook.seen.length === 3))
        const ids = yield* Effect.forEach(hook.seen, verified)
        assert.deepEqual(
          ids.map(({ data }) => data as unknown),
          [twice, twice, once].map(({ id }) => ({ id }))
        )
        const [first, second, third] = hook.seen.map(({ headers }) => headers["webhook-id"])
        assert.strictEqual(first, second)
        assert.notStrictEqual(second, third)
        assert.deepStrictEqual((yield* ledger).troubles, { Webhook: 2 })
      }).pipe(Effect.provide(sandbox(hook.url)))
    }).pipe(Effect.scoped)
  )

  it.effect("end with the server", () =>
    Effect.gen(function* () {
      const hook = yield* serve((_, outgoing) => outgoing.writeHead(500).end())
      yield* Effect.gen(function* () {
        const client = yield* connect
        yield* call(() => client.responses.create(background))
        yield* passing(() => hook.seen.length >= 2)
      }).pipe(Effect.provide(Layer.merge(sandbox(hook.url), logging().layer)))
      const { length } = hook.seen
      yield* TestClock.adjust("1 hour")
      yield* Effect.promise(() => fetch(hook.url, { method: "POST", body: "the next request" }))
      assert.deepStrictEqual(
        hook.seen.slice(length).map(({ body }) => body),
        ["the next request"]
      )
    }).pipe(Effect.scoped)
  )
})
