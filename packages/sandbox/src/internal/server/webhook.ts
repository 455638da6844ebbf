import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
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

// As in Standard Webhooks, a secret is base64 after `whsec_`. Any other text is used unchanged.
const secretBytes = (secret: string): Uint8Array =>
  secret.startsWith("whsec_")
    ? Result.getOrElse(Base64.decode(secret.slice(6)), () => encoder.encode(secret))
    : encoder.encode(secret)

/** Reports the end of a response: a signed message such as `response.completed`, with its id and no output. */
export const notify = Effect.fnUntraced(
  function* (webhook: Webhook, run: Run) {
    const mac = yield* Mac.Mac
    const random = yield* SecureRandom.SecureRandom
    const id = `wh_${yield* random.uuidV4()}`
    const timestamp = Math.floor((yield* Clock.currentTimeMillis) / 1000)
    const body = JSON.stringify({
      id: id.replace("wh_", "evt_"),
      object: "event",
      type: `response.${run.status}`,
      created_at: timestamp,
      data: { id: run.id }
    })
    const key = yield* Mac.key(Mac.hmacSha256, secretBytes(Redacted.value(webhook.secret)))
    const tag = yield* mac.sign(key, encoder.encode(`${id}.${timestamp}.${body}`))
    yield* HttpClientRequest.post(webhook.url).pipe(
      HttpClientRequest.bodyText(body, "application/json"),
      HttpClientRequest.setHeaders({
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": `v1,${Base64.encode(tag)}`
      }),
      HttpClient.filterStatusOk(yield* HttpClient.HttpClient).execute,
      Effect.retry(Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 5 })))
    )
  },
  (effect) =>
    effect.pipe(
      Effect.provide([FetchHttpClient.layer, Mac.layerWebCrypto]),
      Effect.provide(SecureRandom.layerWebCrypto),
      Effect.catch((error) => Effect.logWarning("The sandbox could not deliver a webhook message", error.message))
    )
)
