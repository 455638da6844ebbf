import { Failpoint, TokenStore } from "@effect-baton/core"
import { Effect, Layer } from "effect"

const { places, take } = Failpoint.steps("store", [
  "create",
  "acquire",
  "renew",
  "release",
  "commit",
  "signal",
  "remove"
])

/** The places on both sides of each operation that writes, whatever the store does meanwhile. */
export const failpoints = places

/** A store whose operations are steps, between two places each. */
export const layer = Layer.effect(
  TokenStore.TokenStore,
  Effect.map(TokenStore.TokenStore, (store) => ({
    ...store,
    create: (run) => take("create", store.create(run)),
    acquire: (id, options) => take("acquire", store.acquire(id, options)),
    renew: (lease, ttl) => take("renew", store.renew(lease, ttl)),
    release: (lease) => take("release", store.release(lease)),
    commit: (lease, commit) => take("commit", store.commit(lease, commit)),
    signal: (id, signal) => take("signal", store.signal(id, signal)),
    remove: (id) => take("remove", store.remove(id))
  }))
)
