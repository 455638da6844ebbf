import * as Effect from "effect/Effect"
import * as SecureRandom from "effect/crypto/SecureRandom"

/** A name for a worker or a run that nobody else has. */
export const freshId: Effect.Effect<string> = Effect.provide(
  SecureRandom.SecureRandom.use((random) => random.uuidV7()),
  SecureRandom.layerWebCrypto
).pipe(Effect.orDie)
