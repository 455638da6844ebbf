import * as Effect from "effect/Effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as WebCrypto from "effect/crypto/WebCrypto"

// One generator for all ids: to build its layer for every id costs more than all else that opening a run does.
const known = new WeakMap<object, SecureRandom.SecureRandom["Service"]>()

const randomOf = (crypto: Crypto): SecureRandom.SecureRandom["Service"] => {
  const made = known.get(crypto) ?? SecureRandom.make((size) => crypto.getRandomValues(new Uint8Array(size)))
  known.set(crypto, made)
  return made
}

/** Makes a unique name, for a worker or a run. */
export const freshId: Effect.Effect<string> = Effect.suspend(() =>
  WebCrypto.WebCrypto.use((crypto) => randomOf(crypto).uuidV7())
)
