import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TokenStore } from "../../TokenStore.ts"
import { failing, inForm, isDead } from "../primitives/died.ts"
import { died } from "../store/storeFailure.ts"

type Service = TokenStore["Service"]

const typed = <A, E>(operation: keyof Service, call: () => Effect.Effect<A, E>) =>
  failing(call, (cause) => died(operation, cause))

const of = (store: Service): Service => ({
  create: (run, options) => typed("create", () => store.create(run, options)),
  read: (id) => typed("read", () => store.read(id)),
  acquire: (id, options) => typed("acquire", () => store.acquire(id, options)),
  renew: (lease, ttl, seen) => typed("renew", () => store.renew(lease, ttl, seen)),
  release: (lease, options) => typed("release", () => store.release(lease, options)),
  commit: (lease, commit) => typed("commit", () => store.commit(lease, commit)),
  record: (id, fact, seen) => typed("record", () => store.record(id, fact, seen)),
  conclude: (id, options) => typed("conclude", () => store.conclude(id, options)),
  remove: (lease, options) => typed("remove", () => store.remove(lease, options)),
  claim: (options) => typed("claim", () => store.claim(options)),
  list: (filter) => typed("list", () => store.list(filter)),
  count: (filter) => typed("count", () => store.count(filter)),
  shards: store.shards,
  wakeups: Stream.catchCause(store.wakeups, (cause) =>
    isDead(cause) ? Stream.fail(died("wakeups", cause)) : Stream.failCause(cause)
  ),
  wake: (id) => typed("wake", () => store.wake(id))
})

const form = inForm(of)

/** The current store, whose operations fail with a `TokenStoreError` instead of dying. */
export const typedStore: Effect.Effect<Service, never, TokenStore> = Effect.map(TokenStore, form)
