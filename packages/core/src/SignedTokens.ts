/**
 * Continuation tokens that nobody can forge.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Base64Url from "effect/encoding/Base64Url"
import { InvalidInput, TokenInvalid } from "./AgentError.ts"
import { TokenCodec } from "./ContinuationToken.ts"

/**
 * A secret to sign with, and its id, which tokens contain: 1 to 16 letters, digits, `_` and `-`.
 *
 * @since 0.1.0
 * @category configuration
 */
export interface SigningKey {
  readonly id: string
  /** At least 32 random bytes. */
  readonly secret: Redacted.Redacted
}

/**
 * Options of signed tokens.
 *
 * @since 0.1.0
 * @category configuration
 */
export interface Options {
  /** The first key signs. Tokens of all keys are accepted: remove an old key once no token of it is in use. */
  readonly keys: readonly [SigningKey, ...Array<SigningKey>]
  /** How long a token can be used. By default: as long as the store keeps its run. */
  readonly expiresAfter?: Duration.Input
  /** How much later a token is still accepted, because clocks differ. By default: 30 seconds. */
  readonly leeway?: Duration.Input
  /**
   * For whom a token is, for instance a tenant: only a layer with the same audience accepts it. Not in the token itself.
   */
  readonly audience?: string
}

const tagBytes = 16
const encoder = new TextEncoder()

/**
 * A `TokenCodec` that signs the tokens which leave your service, and accepts no others.
 *
 * **When to use**
 *
 * Use it if you give tokens to clients that you do not trust: a client can change a plain token so that it names another
 * run of the same agent.
 *
 * **Details**
 *
 * The signature is the first 128 bits of an HMAC-SHA-256 (`effect/crypto/Mac`) over the key's id, the expiry, the payload
 * and the audience. `ContinuationToken.decode` fails with `TokenInvalid` of kind `"signature"` or `"expired"`. The layer
 * fails with `InvalidInput` if a key's id or secret cannot be used.
 *
 * **Example** (Replacing a key)
 *
 * ```ts
 * import { SignedTokens } from "@effect-baton/core"
 * import { Config, Effect, Layer } from "effect"
 *
 * export const Tokens = Layer.unwrap(
 *   Effect.gen(function* () {
 *     const now = yield* Config.Redacted("TOKEN_KEY_2")
 *     const before = yield* Config.Redacted("TOKEN_KEY_1")
 *     return SignedTokens.layer({
 *       keys: [
 *         { id: "2", secret: now },
 *         { id: "1", secret: before }
 *       ],
 *       expiresAfter: "1 day"
 *     })
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never, InvalidInput> =>
  Layer.effect(TokenCodec, make(options)).pipe(
    Layer.provide(Mac.layerWebCrypto),
    Layer.provide(SecureRandom.layerWebCrypto)
  )

const readKey = Effect.fnUntraced(function* ({ id, secret }: SigningKey) {
  if (!/^[\w-]{1,16}$/.test(id)) {
    return yield* new InvalidInput({
      description: `'${id}' cannot name a signing key. Use 1 to 16 letters, digits, _ and -.`
    })
  }
  return yield* Mac.key(Mac.hmacSha256, encoder.encode(Redacted.value(secret))).pipe(
    Effect.mapError(() => new InvalidInput({ description: `The secret of signing key '${id}' is empty.` }))
  )
})

const make = Effect.fnUntraced(function* (options: Options) {
  const mac = yield* Mac.Mac
  const leeway = Duration.toMillis(Duration.fromInputUnsafe(options.leeway ?? "30 seconds"))
  const [{ id: signingId }] = options.keys
  const signingKey = yield* readKey(options.keys[0])
  const keys = new Map(
    yield* Effect.forEach(options.keys, (key) => Effect.map(readKey(key), (read) => [key.id, read] as const))
  )

  const tagOf = (key: Mac.Key, signed: string) =>
    mac.sign(key, encoder.encode(`${signed}\u0000${options.audience ?? ""}`)).pipe(
      Effect.map((tag) => tag.subarray(0, tagBytes)),
      Effect.orDie
    )

  const seal = Effect.fnUntraced(function* (payload: string) {
    const now = yield* Clock.currentTimeMillis
    const expires =
      options.expiresAfter === undefined
        ? ""
        : Math.ceil((now + Duration.toMillis(Duration.fromInputUnsafe(options.expiresAfter))) / 1000).toString(36)
    const signed = `s1.${signingId}.${expires}.${payload}`
    return `${signed}.${Base64Url.encode(yield* tagOf(signingKey, signed))}`
  })

  const open = Effect.fnUntraced(function* (text: string): Effect.fn.Return<string, TokenInvalid> {
    const refuse = (description: string) => Effect.fail(new TokenInvalid({ kind: "signature", description }))
    const [version, id = "", expires = ""] = text.split(".")
    const end = text.lastIndexOf(".")
    const key = keys.get(id)
    if (version !== "s1") return yield* refuse("it is not signed, and only signed tokens are accepted here")
    if (key === undefined) return yield* refuse("it is signed with a key that is not in use here")
    const tag = text.slice(end + 1)
    const given = yield* Effect.fromResult(Base64Url.decode(tag)).pipe(
      // The last letter has unused bits: decoding ignores them, so a tag that was changed there must be refused here.
      Effect.filterOrFail((bytes) => Base64Url.encode(bytes) === tag),
      Effect.catch(() => refuse("its signature is damaged or cut short"))
    )
    const signed = text.slice(0, end)
    if (!Mac.timingSafeEqual(given, yield* tagOf(key, signed))) {
      return yield* refuse("its signature does not fit its content, or was made for another service or audience")
    }
    const now = yield* Clock.currentTimeMillis
    if (expires !== "" && now > Number.parseInt(expires, 36) * 1000 + leeway) {
      return yield* new TokenInvalid({ kind: "expired", description: "it has expired. Use the run's id instead" })
    }
    return signed.slice(`s1.${id}.${expires}.`.length)
  })

  return { seal, open }
})
