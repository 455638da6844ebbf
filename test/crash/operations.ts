import { Failpoint, TokenStore } from "@effect-baton/core"
import { Effect, Layer } from "effect"

const { places, take } = Failpoint.steps("store", [
  "create",
  "acquire",
  "claim",
  "renew",
  "release",
  "commit",
  "record",
  "conclude",
  "remove"
])

/** The places on both sides of each operation that writes, whatever the store does meanwhile. */
export const failpoints = places

/** A store whose operations are steps, between two places each. */
export const layer = Layer.effect(
  TokenStore.TokenStore,
  Effect.map(TokenStore.TokenStore, (store) => ({
    ...store,
    create: (run, options) => take("create", store.create(run, options)),
    acquire: (id, options) => take("acquire", store.acquire(id, options)),
    claim: (options) => take("claim", store.claim(options)),
    renew: (lease, ttl, seen) => take("renew", store.renew(lease, ttl, seen)),
    release: (lease, options) => take("release", store.release(lease, options)),
    commit: (lease, commit) => take("commit", store.commit(lease, commit)),
    record: (id, fact, seen) => take("record", store.record(id, fact, seen)),
    conclude: (id, options) => take("conclude", store.conclude(id, options)),
    remove: (lease, options) => take("remove", store.remove(lease, options))
  }))
)
