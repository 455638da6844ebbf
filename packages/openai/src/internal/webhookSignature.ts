import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { InvalidWebhookSignatureError, type OpenAI } from "openai"

/** Why a message is refused before its content is read. */
export type Refusal = "old" | "early" | "signature"

const names = ["webhook-id", "webhook-timestamp", "webhook-signature"] as const

type Signed = Record<(typeof names)[number], string>

/** The headers that the signature needs, or the name of one that is absent or cannot be read. */
export const signedHeaders = (headers: Readonly<Record<string, string | undefined>>): Signed | string => {
  const found: Partial<Signed> = {}
  for (const [name, value] of Object.entries(headers)) {
    const known = names.find((one) => one === name.toLowerCase())
    if (known !== undefined && value !== undefined) found[known] = value
  }
  // The SDK signs without an id if the id is empty, and `Headers` does not take every character.
  const isReadable = (name: keyof Signed) =>
    (name === "webhook-timestamp" ? /^\d{1,15}$/ : /^[\x21-\x7e][\x20-\x7e]*$/).test(found[name] ?? "")
  return names.find((name) => !isReadable(name)) ?? (found as Signed)
}

/** Checks the time of a message, by the Effect `Clock`. */
export const checkTime = Effect.fnUntraced(function* (
  headers: Signed,
  tolerance: Duration.Duration
): Effect.fn.Return<void, Refusal> {
  const age = Math.floor((yield* Clock.currentTimeMillis) / 1000) - Number(headers["webhook-timestamp"])
  const limit = Duration.toSeconds(tolerance)
  if (age > limit) return yield* Effect.fail("old" as const)
  if (age < -limit) return yield* Effect.fail("early" as const)
})

/** Checks whether one of the secrets signed the message. */
export const checkSignature = (
  client: OpenAI,
  secrets: ReadonlyArray<string>,
  body: string,
  headers: Signed
): Effect.Effect<void, Refusal> =>
  Effect.firstSuccessOf(
    secrets.map((secret) =>
      Effect.tryPromise({
        // The time is checked above: the SDK would use the clock of the machine.
        try: () => client.webhooks.verifySignature(body, headers, secret, Number.POSITIVE_INFINITY),
        catch: (error) => error
      })
    )
  ).pipe(
    Effect.catch((error) =>
      error instanceof InvalidWebhookSignatureError ? Effect.fail("signature" as const) : Effect.die(error)
    )
  )
