// Events that are verified or refused, with signatures made by the specification of Standard Webhooks.
import { Runs, TokenStore, TokenStoreError } from "@effect-baton/core"
import { OpenAiWebhooks } from "@effect-baton/openai"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Effect, Exit, Layer, Option, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { logging } from "../support/faults.ts"
import { changing } from "../support/stores.ts"
import { event, foreign, headersOf, secret, verify, webhooks } from "./webhookSupport.ts"

const { layer, layerConfig, receive } = OpenAiWebhooks

const now = 1_700_000_100

const kindOf = <A, R>(effect: Effect.Effect<A, OpenAiWebhooks.WebhookInvalid, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.isFalse(error.isRetryable)
    return error.kind
  })

/** What verifying comes to: what the event says, or why it is refused. */
const outcome = (body: string, headers: OpenAiWebhooks.Headers) =>
  Effect.match(verify(body, headers), {
    onSuccess: ({ responseId }) => responseId ?? "no response",
    onFailure: ({ kind }) => kind
  })

describe("verify", () => {
  it.effect.each(["completed", "failed", "cancelled", "incomplete", "of a type to come"])("response.%s", (end) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const body = event({ type: `response.${end}`, more: "✓ 日本語" })
      assert.deepStrictEqual(yield* verify(body, yield* headersOf(body)), {
        id: "evt_1",
        webhookId: "wh_1",
        type: `response.${end}`,
        createdAt: 1_700_000_000_000,
        responseId: "resp_1"
      })
    }).pipe(Effect.provide(webhooks))
  )

  it.effect("the example of the specification has a signature that fits", () =>
    Effect.gen(function* () {
      const timestamp = 1_614_265_330
      yield* TestClock.setTime(timestamp * 1000)
      const headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": String(timestamp),
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
      }
      // It is no event of OpenAI, which is found only once the signature fits.
      assert.strictEqual(yield* outcome('{"test": 2432232314}', headers), "body")
      assert.strictEqual(yield* outcome('{"test":2432232314}', headers), "signature")
    }).pipe(Effect.provide(layer({ secret: Redacted.make("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") })))
  )

  it.effect("refuses what is forged, changed, cut, or signed by somebody else", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const body = event()
      const headers = yield* headersOf(body)
      const forged = [
        [body.replace("resp_1", "resp_2"), headers],
        [body.slice(0, -1), headers],
        ["", headers],
        [`${body} `, headers],
        [body, { ...headers, "webhook-id": "wh_2" }],
        [body, { ...headers, "webhook-timestamp": String(now + 1) }],
        [body, { ...headers, "webhook-timestamp": `0${now}` }],
        [body, { ...headers, "webhook-signature": "v1," }],
        [body, { ...headers, "webhook-signature": "v1,not base64 at all" }],
        [body, { ...headers, "webhook-signature": headers["webhook-signature"].slice(0, -8) }],
        [body, { ...headers, "webhook-signature": Array.from({ length: 40 }, () => "v1,x").join(" ") }],
        [body, yield* headersOf(body, { secret: foreign })]
      ] as const
      for (const [text, with_] of forged) assert.strictEqual(yield* outcome(text, with_), "signature", text)
      assert.strictEqual(yield* outcome(body, headers), "resp_1")
    }).pipe(Effect.provide(webhooks))
  )

  it.effect("refuses headers that are absent or cannot be read, and takes them in any case", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const body = event()
      const headers = yield* headersOf(body)
      for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"] as const) {
        const { [name]: value, ...others } = headers
        for (const odd of [undefined, "", "✓", "a\nb"]) {
          const error = yield* Effect.flip(verify(body, { ...others, [name]: odd }))
          assert.strictEqual(error.kind, "header")
          assert.include(error.message, name)
        }
        assert.strictEqual(yield* outcome(body, others), "header")
        assert.strictEqual(yield* outcome(body, { ...others, [name.toUpperCase()]: value }), "resp_1")
      }
      for (const timestamp of ["soon", "-1", "1e9", `${now}.5`, `${now} `, "9".repeat(400)]) {
        const signed = yield* headersOf(body, { timestamp })
        assert.strictEqual(yield* outcome(body, signed), "header", timestamp)
      }
    }).pipe(Effect.provide(webhooks))
  )

  const ages = [
    [300, undefined, "resp_1"],
    [301, undefined, "old"],
    [-300, undefined, "resp_1"],
    [-301, undefined, "early"],
    [10, "10 seconds", "resp_1"],
    [11, "10 seconds", "old"],
    [-11, "10 seconds", "early"],
    [3600, "1 hour", "resp_1"]
  ] as const
  it.effect.each(ages)("an event that is %d s old, with a tolerance of %s: %s", ([age, tolerance, expected]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000 + 999)
      const headers = yield* headersOf(event(), { timestamp: now - age })
      assert.strictEqual(yield* outcome(event(), headers), expected)
    }).pipe(Effect.provide(layer({ secret: Redacted.make(secret), tolerance })))
  )

  it.effect("an event of another kind is no error, and has no response", () =>
    Effect.gen(function* () {
      for (const more of [{ type: "batch.completed" }, { type: "live.call.incoming", data: { call_id: "c" } }]) {
        const other = event(more)
        const read = yield* verify(other, yield* headersOf(other))
        assert.strictEqual(read.type, more.type)
        assert.notProperty(read, "responseId")
      }
    }).pipe(Effect.provide(webhooks))
  )

  it.effect.each(["no JSON", "null", "{}", event({ id: 1 }), event({ data: {} }), event({ data: { id: "" } })])(
    "a signed body that cannot be read is refused: %s",
    (body) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* kindOf(verify(body, yield* headersOf(body))), "body")
      }).pipe(Effect.provide(webhooks))
  )
})

describe("secrets", () => {
  it.effect("each of several secrets, and of several signatures, counts", () =>
    Effect.gen(function* () {
      const body = event()
      const old = yield* headersOf(body, { secret: foreign })
      const fresh = yield* headersOf(body)
      assert.strictEqual(yield* outcome(body, old), "resp_1")
      assert.strictEqual(yield* outcome(body, fresh), "resp_1")
      assert.strictEqual(yield* outcome(body, yield* headersOf(body, { secret: "whsec_AAAA" })), "signature")
      const many = (count: number) => [
        ...Array.from({ length: count }, () => `v1,${"A".repeat(43)}=`),
        fresh["webhook-signature"]
      ]
      for (const count of [1, 40]) {
        const headers = { ...fresh, "webhook-signature": many(count).join(" ") }
        assert.strictEqual(yield* outcome(body, headers), "resp_1")
      }
    }).pipe(Effect.provide(layer({ secret: [Redacted.make(foreign), Redacted.make(secret)] })))
  )

  it.effect.each([`${secret}\n`, "a secret without a prefix"])(
    "a secret with a line break, or without whsec_",
    (text) =>
      Effect.gen(function* () {
        const headers = yield* headersOf(event(), { secret: text.trim() })
        assert.strictEqual(yield* outcome(event(), headers), "resp_1")
      }).pipe(Effect.provide(layer({ secret: Redacted.make(text) })))
  )

  const built = <E>(webhook: Layer.Layer<OpenAiWebhooks.OpenAiWebhooks, E>, env: Record<string, string> = {}) =>
    Effect.exit(Effect.scoped(Layer.build(webhook))).pipe(
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env)))
    )
  const whyNot = <A, E>(exit: Exit.Exit<A, E>) => (Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "it was built")

  it.effect("a missing or useless secret fails the layer", () =>
    Effect.gen(function* () {
      for (const given of [[], Redacted.make(""), Redacted.make(" \n"), [Redacted.make(secret), Redacted.make("")]]) {
        assert.include(whyNot(yield* built(layer({ secret: given }))), "The given webhook secret is empty.")
      }
      for (const text of ["whsec_", "whsec_no base64 é", "whsec_hidden-value!"]) {
        const why = whyNot(yield* built(layer({ secret: Redacted.make(text) })))
        assert.include(why, "has no base64 after 'whsec_'")
        assert.notInclude(why, "hidden")
      }
    })
  )

  it.effect("comes from OPENAI_WEBHOOK_SECRET, or from another place", () =>
    Effect.gen(function* () {
      for (const env of [{}, { OPENAI_WEBHOOK_SECRET: "" }, { OPENAI_WEBHOOK_SECRET: " " }]) {
        assert.include(whyNot(yield* built(layerConfig(), env as Record<string, string>)), "set OPENAI_WEBHOOK_SECRET")
      }
      assert.isTrue(Exit.isSuccess(yield* built(layerConfig(), { OPENAI_WEBHOOK_SECRET: secret })))
      const other = layerConfig({ secret: Config.all([Config.Redacted("A"), Config.Redacted("B")]) })
      assert.include(whyNot(yield* built(other, { OPENAI_WEBHOOK_SECRET: secret, A: secret })), '"B"')
      const headers = yield* headersOf(event(), { secret: foreign })
      const both = ConfigProvider.layer(ConfigProvider.fromUnknown({ A: secret, B: foreign }))
      assert.strictEqual(yield* outcome(event(), headers).pipe(Effect.provide(Layer.provide(other, both))), "resp_1")
    })
  )

  it.effect("stands in no error and no log, nor does the body", () => {
    const { layer: logs, lines } = logging()
    return Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const service = yield* OpenAiWebhooks.OpenAiWebhooks
      const body = event({ data: { id: "resp_private" } })
      const headers = yield* headersOf(body)
      const refused = [
        service.verify(body, {}),
        service.verify(`${body} `, headers),
        service.verify(body, { ...headers, "webhook-timestamp": "1" }),
        service.verify(body, { ...headers, "webhook-timestamp": "1800000000" })
      ]
      const texts: Array<string> = []
      for (const refusal of refused) {
        const exit = yield* Effect.exit(Effect.tapCause(refusal, (cause) => Effect.logError(cause)))
        assert.isTrue(Exit.isFailure(exit))
        texts.push(whyNot(exit), JSON.stringify(exit), inspect(exit, { depth: 9 }))
      }
      texts.push(inspect(service, { depth: 9, showHidden: true }), ...lines)
      for (const text of texts) {
        for (const private_ of [secret, secret.slice(6), "the secret of the webhook", "resp_private"]) {
          assert.notInclude(text, private_)
        }
      }
      assert.strictEqual(lines.length, refused.length)
    }).pipe(Effect.provide(Layer.merge(webhooks, logs)))
  })
})

describe("receive", () => {
  const received = Effect.fnUntraced(function* (body: string) {
    return yield* receive(body, yield* headersOf(body))
  })
  const reading = (read: TokenStore.TokenStore["Service"]["read"]) =>
    changing(TokenStore.layerMemory, () => ({ read, wake: () => Effect.die("no run was found") }))

  it.effect("a response that no run has, and an event of another kind, are harmless", () =>
    Effect.gen(function* () {
      let looks = 0
      const store = reading(() => Effect.sync(() => (looks++, Option.none())))
      yield* Effect.gen(function* () {
        for (let i = 0; i < 2; i++) assert.deepStrictEqual(yield* received(event()), Option.none())
        assert.strictEqual(looks, 2)
        assert.deepStrictEqual(yield* received(event({ type: "batch.completed" })), Option.none())
        assert.strictEqual(looks, 2, "nothing is looked up")
        assert.strictEqual((yield* Effect.flip(receive(event(), {})))._tag, "WebhookInvalid")
        assert.strictEqual(looks, 2, "nothing is looked up before the event is verified")
      }).pipe(Effect.provide(Layer.merge(webhooks, store)))
    })
  )

  const kinds: ReadonlyArray<TokenStoreError.TokenStoreError["kind"]> = ["unavailable", "corrupt", "closed"]
  it.effect.each(kinds)("a store that fails (%s) is a failure that can be retried", (kind) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(received(event()))
      assert.strictEqual(error._tag, "WebhookNotHandled")
      assert.isTrue(error.isRetryable)
      assert.include(error.message, "Response 'resp_1'".toLowerCase())
      assert.include(error.message, "it is away")
      const cause = error.cause
      const own = yield* Effect.flip(Runs.wake("resp_1"))
      assert.deepStrictEqual(cause, own)
    }).pipe(
      Effect.provide(webhooks),
      Effect.provide(
        reading(() =>
          Effect.fail(new TokenStoreError.TokenStoreError({ operation: "read", kind, description: "it is away" }))
        )
      )
    )
  )
})
