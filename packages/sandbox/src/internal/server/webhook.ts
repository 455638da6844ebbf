import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Base64 from "effect/encoding/Base64"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { Run } from "./run.ts"

/** Where to report the ends of background responses, and the secret that signs the messages. */
export interface Webhook {
  readonly url: string
  readonly secret: Redacted.Redacted
}

const encoder = new TextEncoder()

// As in Standard Webhooks, a secret is base64 after `whsec_`. Any other text is used unchanged. Padding may be absent, as for
// the SDK.
const secretBytes = (secret: string): Uint8Array =>
  secret.startsWith("whsec_") ? new Uint8Array(Buffer.from(secret.slice(6), "base64")) : encoder.encode(secret)

// As OpenAI documents it: the time between two attempts doubles, for up to 72 hours.
const repeats = Schedule.exponential("100 millis").pipe(Schedule.upTo({ duration: "72 hours" }))

/**
 * Reports the end of a response: a signed message such as `response.completed`, with its id and no output. It is sent
 * again until the endpoint accepts it, and then again from the start for each further copy.
 */
export const notify = Effect.fnUntraced(
  function* (webhook: Webhook, run: Run, copies: number) {
    const mac = yield* Mac.Mac
    const random = yield* SecureRandom.SecureRandom
    const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
    const seconds = Effect.map(Clock.currentTimeMillis, (millis) => Math.floor(millis / 1000))
    const id = `wh_${yield* random.uuidV4()}`
    const body = JSON.stringify({
      id: id.replace("wh_", "evt_"),
      object: "event",
      type: `response.${run.status}`,
      created_at: yield* seconds,
      data: { id: run.id }
    })
    const key = yield* Mac.key(Mac.hmacSha256, secretBytes(Redacted.value(webhook.secret)))
    // Every attempt has a time and a signature of its own. An old signature would be refused.
    const attempt = Effect.gen(function* () {
      const timestamp = yield* seconds
      const tag = yield* mac.sign(key, encoder.encode(`${id}.${timestamp}.${body}`))
      yield* HttpClientRequest.post(webhook.url).pipe(
        HttpClientRequest.bodyText(body, "application/json"),
        HttpClientRequest.setHeaders({
          "webhook-id": id,
          "webhook-timestamp": String(timestamp),
          "webhook-signature": `v1,${Base64.encode(tag)}`
        }),
        client.execute,
        Effect.timeout("10 seconds")
      )
    })
    let failures = 0
    const tried = Effect.tapError(attempt, (error) =>
      failures++ === 0
        ? Effect.logWarning("A webhook message was not accepted, and is sent again", error.message)
        : Effect.void
    )
    for (let copy = 0; copy < copies; copy++) yield* Effect.retry(tried, repeats)
  },
  (effect) =>
    effect.pipe(
      Effect.provide([FetchHttpClient.layer, Mac.layerWebCrypto]),
      Effect.provide(SecureRandom.layerWebCrypto),
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
      Effect.catch((error) => Effect.logWarning("The sandbox could not deliver a webhook message", error.message))
    )
)
