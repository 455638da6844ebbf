import { Effect } from "effect"
import { SecureRandom } from "effect/crypto"

/** A name for a worker or a run that nobody else has. */
export const freshId: Effect.Effect<string> = Effect.provide(
  SecureRandom.SecureRandom.use((random) => random.uuidV7()),
  SecureRandom.layerWebCrypto
).pipe(Effect.orDie)
