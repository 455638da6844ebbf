// Runs that are polled every hour, and end at once when the sandbox sends its webhook message over a real socket.
import { Agent, RunPolicy, Runs, TokenStore } from "@effect-baton/core"
import { OpenAiWebhooks } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import type { Trouble } from "@effect-baton/sandbox/SandboxTrouble"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Redacted, Schedule, Stream, Struct } from "effect"
import OpenAI from "openai"
import { changing, storeAway } from "../support/stores.ts"
import { at } from "./support.ts"
import { endpoint, event, foreign, headersOf, secret, webhooks } from "./webhookSupport.ts"

const ref = { runId: "r" }
const analyst = Agent.make("analyst", { background: true })
const cheap = Agent.make("analyst", {
  background: true,
  options: { background_options: { completion_window: "2h" } }
})

/** A response that is far from its end until the pace of the server changes. */
const world = Layer.unwrap(Effect.map(ResponsesServer, ({ url }) => at(url, { model: "lorem:100000" })))

const hourly = Schedule.spaced("1 hour")

interface Options {
  readonly troubles?: ReadonlyArray<Trouble>
  readonly pollEvery?: Schedule.Schedule<unknown>
  readonly store?: Layer.Layer<TokenStore.TokenStore>
}

type Endpoint = Effect.Success<typeof endpoint>

/** A sandbox that reports to an endpoint, and a store and a model that both know. */
const within = <A, E>(
  options: Options,
  use: (
    hook: Endpoint
  ) => Effect.Effect<
    A,
    E,
    ResponsesServer | Layer.Success<typeof world> | TokenStore.TokenStore | OpenAiWebhooks.OpenAiWebhooks
  >
) =>
  Effect.gen(function* () {
    const hook = yield* endpoint
    const webhook = { url: hook.url, secret: Redacted.make(secret) }
    const { troubles = [] } = options
    return yield* use(hook).pipe(
      Effect.provide(world.pipe(Layer.provideMerge(ResponsesServer.layer({ pace: "20 millis", webhook, troubles })))),
      Effect.provide(RunPolicy.layer({ pollEvery: options.pollEvery ?? hourly }))
    )
  }).pipe(
    Effect.provide(Layer.merge(webhooks, options.store ?? TokenStore.layerMemory)),
    Effect.scoped,
    Effect.timeout("1 minute")
  )

const response = Effect.gen(function* () {
  const [first] = (yield* (yield* ResponsesServer).ledger).responses
  return first ?? (yield* Effect.die("no response was created"))
})

/** Waits until the run's response was looked at. */
const lookedAt = Effect.repeat(
  Effect.flatMap(ResponsesServer, ({ ledger }) => ledger),
  {
    until: ({ responses }) => (responses[0]?.retrieves ?? 0) > 0,
    schedule: Schedule.spaced("5 millis")
  }
)

const finish = Effect.flatMap(ResponsesServer, ({ setPace }) => setPace(0))

/** The run is waited for, by calls that the next look is an hour away for. */
const waiting = Effect.gen(function* () {
  yield* Agent.start(analyst, { input: "Hello", ...ref })
  const result = yield* Effect.forkChild(Agent.result(analyst, ref))
  yield* lookedAt
  return result
})

/** A store that counts its hints, and whose look-ups by response fail as often as it is told. */
const counting = (failures = 0) => {
  const seen = { wakes: 0, failures }
  const store = changing(TokenStore.layerMemory, (inner) => ({
    read: (id) => (typeof id === "string" || seen.failures-- <= 0 ? inner.read(id) : Effect.fail(storeAway("read"))),
    wake: (id) =>
      Effect.andThen(
        Effect.sync(() => void seen.wakes++),
        inner.wake(id)
      )
  }))
  return { seen, store }
}

describe("a run that is polled every hour ends when the webhook message comes", () => {
  const worker = Effect.gen(function* () {
    const done = yield* Deferred.make<void>()
    yield* Agent.enqueue(cheap, { input: "Hello", ...ref })
    const taken = Runs.worker([cheap], {
      concurrency: 1,
      startJitter: "1 milli",
      handle: ({ updates }) => Effect.andThen(Stream.runDrain(updates), Deferred.succeed(done, undefined))
    })
    yield* Layer.build(taken)
    yield* Deferred.await(done)
  })
  const calls = {
    "Agent.result": Effect.gen(function* () {
      yield* Agent.start(analyst, { input: "Hello", ...ref })
      yield* Agent.result(analyst, ref)
    }),
    "Agent.run, with a completion window": Agent.run(cheap, { input: "Hello", ...ref }),
    "Agent.stream, with a completion window": Stream.runDrain(Agent.stream(cheap, { input: "Hello", ...ref })),
    "a worker, with a completion window": Effect.scoped(worker)
  }
  it.live.each(Struct.keys(calls))("%s", (name) =>
    within({}, (hook) =>
      Effect.gen(function* () {
        const call = yield* Effect.forkChild(calls[name])
        yield* lookedAt
        assert.strictEqual((yield* response).status, "in_progress")
        yield* finish
        yield* Fiber.join(call)
        assert.strictEqual(yield* hook.answered, 204)
        const { retrieves, status } = yield* response
        assert.strictEqual(status, "completed")
        assert.strictEqual(retrieves, 2, "one look before the message, and one after it")
      })
    )
  )

  const ends = {
    completed: { trouble: [], expected: "completed" },
    incomplete: { trouble: [{ _tag: "End", status: "incomplete", after: 5000 }], expected: "incomplete" },
    failed: { trouble: [{ _tag: "End", status: "failed", after: 5000 }], expected: "RunFailed" },
    cancelled: { trouble: [], expected: "RunCancelled" }
  } satisfies Record<string, { readonly trouble: ReadonlyArray<Trouble>; readonly expected: string }>
  it.live.each(Struct.keys(ends))("as %s", (end) =>
    within({ troubles: ends[end].trouble }, (hook) =>
      Effect.gen(function* () {
        const result = yield* waiting
        const { id } = yield* response
        if (end === "cancelled") {
          const { url } = yield* ResponsesServer
          const client = new OpenAI({ baseURL: url, apiKey: "any", maxRetries: 0 })
          yield* Effect.promise(() => client.responses.cancel(id))
        } else yield* finish
        const ended = yield* Effect.match(Fiber.join(result), {
          onSuccess: ({ status }): string => status,
          onFailure: ({ reason }) => reason._tag
        })
        assert.strictEqual(ended, ends[end].expected)
        assert.strictEqual(yield* hook.answered, 204)
        const { type } = JSON.parse(hook.seen[0]?.body ?? "")
        assert.strictEqual(type, `response.${end}`)
      })
    )
  )
})

describe("an endpoint over a real socket", () => {
  const post = (url: string, body: string, headers: Record<string, string>) =>
    Effect.map(
      Effect.promise(() => fetch(url, { method: "POST", body, headers })),
      ({ status }) => status
    )

  it.live("what is forged, old, truncated or signed by somebody else wakes nobody", () => {
    const { seen, store } = counting()
    return within({ store }, (hook) =>
      Effect.gen(function* () {
        const result = yield* waiting
        const { id } = yield* response
        const body = event({ data: { id } })
        const headers = yield* headersOf(body)
        const long = Math.floor(Date.now() / 1000) - 3600
        const refused = [
          [body, { ...headers, "webhook-signature": `v1,${"A".repeat(43)}=` }],
          [body, {}],
          [body.slice(0, -1), headers],
          [`${body}\n`, headers],
          [body, yield* headersOf(body, { timestamp: long })],
          [body, yield* headersOf(body, { secret: foreign })]
        ] as const
        for (const [text, given] of refused) assert.strictEqual(yield* post(hook.url, text, given), 400)
        assert.strictEqual(seen.wakes, 0)
        assert.strictEqual((yield* response).retrieves, 1)
        assert.isUndefined(result.pollUnsafe())

        const unknown = event()
        assert.strictEqual(yield* post(hook.url, unknown, yield* headersOf(unknown)), 204)
        assert.strictEqual(seen.wakes, 0)

        // It is signed and names the run, and is a look at the run, which goes on.
        assert.strictEqual(yield* post(hook.url, body, headers), 204)
        assert.strictEqual(seen.wakes, 1)
        yield* Effect.repeat(response, {
          until: ({ retrieves }) => retrieves === 2,
          schedule: Schedule.spaced("5 millis")
        })
        assert.isUndefined(result.pollUnsafe(), "an event is no end: the provider says it")
        yield* finish
        assert.strictEqual((yield* Fiber.join(result)).status, "completed")
      })
    )
  })

  it.live("a message that comes twice is harmless", () => {
    const { seen, store } = counting()
    return within({ store, troubles: [{ _tag: "Webhook", copies: 2 }] }, (hook) =>
      Effect.gen(function* () {
        const result = yield* waiting
        yield* finish
        assert.strictEqual((yield* Fiber.join(result)).status, "completed")
        assert.deepStrictEqual([yield* hook.answered, yield* hook.answered], [204, 204])
        assert.strictEqual(seen.wakes, 2)
        assert.strictEqual(hook.seen[0]?.headers["webhook-id"], hook.seen[1]?.headers["webhook-id"])
        assert.strictEqual((yield* Agent.result(analyst, ref)).status, "completed")
        assert.strictEqual((yield* (yield* ResponsesServer).ledger).responses.length, 1)
      })
    )
  })

  it.live("a message that never comes only delays the end: a poll finds it", () =>
    within({ pollEvery: Schedule.spaced("20 millis"), troubles: [{ _tag: "Webhook", copies: 0 }] }, (hook) =>
      Effect.gen(function* () {
        const result = yield* waiting
        yield* finish
        assert.strictEqual((yield* Fiber.join(result)).status, "completed")
        assert.strictEqual(hook.seen.length, 0)
        assert.deepStrictEqual((yield* (yield* ResponsesServer).ledger).troubles, { Webhook: 1 })
      })
    )
  )

  it.live("while the store is away, the answer is 503, and the message comes again", () => {
    const { seen, store } = counting(2)
    return within({ store }, (hook) =>
      Effect.gen(function* () {
        const result = yield* waiting
        yield* finish
        for (const status of [503, 503, 204]) assert.strictEqual(yield* hook.answered, status)
        assert.strictEqual((yield* Fiber.join(result)).status, "completed")
        assert.strictEqual(seen.wakes, 1)
      })
    )
  })

  it.live("receive says which run it woke", () =>
    within({}, () =>
      Effect.gen(function* () {
        yield* Agent.start(analyst, { input: "Hello", ...ref })
        const body = event({ data: { id: (yield* response).id } })
        const woken = yield* OpenAiWebhooks.receive(body, yield* headersOf(body))
        assert.deepStrictEqual(woken, Option.some("r"))
      })
    )
  )
})
