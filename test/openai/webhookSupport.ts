import { OpenAiWebhooks } from "@effect-baton/openai"
import type { TokenStore } from "@effect-baton/core"
import { Clock, Effect, Queue, Redacted } from "effect"
import { createHmac } from "node:crypto"
import { serve } from "./support.ts"

const secretOf = (text: string) => `whsec_${Buffer.from(text).toString("base64")}`

export const secret = secretOf("the secret of the webhook")
export const foreign = secretOf("a secret of somebody else")

export const webhooks = OpenAiWebhooks.layer({ secret: Redacted.make(secret) })

/** The body of an event about a response. */
export const event = (more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    id: "evt_1",
    object: "event",
    type: "response.completed",
    created_at: 1_700_000_000,
    data: { id: "resp_1" },
    ...more
  })

interface Signing {
  readonly secret?: string
  readonly id?: string
  /** In seconds. By default it is now. */
  readonly timestamp?: number | string
}

/** The headers that Standard Webhooks asks for, written by its specification and not by the SDK. */
export const headersOf = Effect.fnUntraced(function* (body: string, options: Signing = {}) {
  const { id = "wh_1", secret: key = secret } = options
  const timestamp = String(options.timestamp ?? Math.floor((yield* Clock.currentTimeMillis) / 1000))
  const bytes = key.startsWith("whsec_") ? Buffer.from(key.slice(6), "base64") : Buffer.from(key)
  const signature = createHmac("sha256", bytes).update(`${id}.${timestamp}.${body}`).digest("base64")
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` }
})

export const verify = Effect.fnUntraced(function* (body: string, headers: OpenAiWebhooks.Headers) {
  return yield* (yield* OpenAiWebhooks.OpenAiWebhooks).verify(body, headers)
})

/** An endpoint over a real socket, which answers as the documentation says, and tells what it answered. */
export const endpoint = Effect.gen(function* () {
  const context = yield* Effect.context<OpenAiWebhooks.OpenAiWebhooks | TokenStore.TokenStore>()
  const answered = yield* Queue.unbounded<number>()
  const server = yield* serve(({ body, headers }, outgoing) => {
    const texts = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
    const received = OpenAiWebhooks.receive(body, texts).pipe(
      Effect.as(204),
      Effect.catch(({ isRetryable }) => Effect.succeed(isRetryable ? 503 : 400)),
      Effect.tap((status) => Effect.sync(() => outgoing.writeHead(status).end())),
      Effect.tap((status) => Queue.offer(answered, status))
    )
    Effect.runFork(Effect.provideContext(received, context))
  })
  return { url: server.url, seen: server.seen, answered: Queue.take(answered) }
})
