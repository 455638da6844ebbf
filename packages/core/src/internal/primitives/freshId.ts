import * as Effect from "effect/Effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as WebCrypto from "effect/crypto/WebCrypto"

// A layer that is built for every name costs more than opening the rest of a run.
const known = new WeakMap<object, SecureRandom.SecureRandom["Service"]>()

const randomOf = (crypto: Crypto): SecureRandom.SecureRandom["Service"] => {
  const made = known.get(crypto) ?? SecureRandom.make((size) => crypto.getRandomValues(new Uint8Array(size)))
  known.set(crypto, made)
  return made
}

/** A name for a worker or a run that nobody else has. */
export const freshId: Effect.Effect<string> = Effect.suspend(() =>
  WebCrypto.WebCrypto.use((crypto) => randomOf(crypto).uuidV7())
)
