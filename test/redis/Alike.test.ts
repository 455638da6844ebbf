import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { Effect, FileSystem, Layer, Semaphore } from "effect"
import { answerAlike } from "../contract/alike.ts"
import { Steps } from "../contract/steps.ts"
import { describeShared } from "../support/redisServer.ts"
import { byTestClock, primed, storeOn } from "./store.ts"
import { law } from "../support/law.ts"

/** A removal takes more than one script, and what is asked at the same time may come between them: here it does not. */
const oneByOne = (layer: Layer.Layer<TokenStore.TokenStore>): Layer.Layer<TokenStore.TokenStore> =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.map(Effect.all([TokenStore.TokenStore, Semaphore.make(1)]), ([inner, { withPermit }]) => ({
      create: (run, options) => withPermit(inner.create(run, options)),
      read: (id) => withPermit(inner.read(id)),
      acquire: (id, options) => withPermit(inner.acquire(id, options)),
      renew: (lease, ttl, seen) => withPermit(inner.renew(lease, ttl, seen)),
      release: (lease, options) => withPermit(inner.release(lease, options)),
      commit: (lease, commit) => withPermit(inner.commit(lease, commit)),
      record: (id, fact, seen) => withPermit(inner.record(id, fact, seen)),
      conclude: (id, options) => withPermit(inner.conclude(id, options)),
      remove: (lease, options) => withPermit(inner.remove(lease, options)),
      claim: (options) => withPermit(inner.claim(options)),
      list: (filter) => withPermit(inner.list(filter)),
      count: (filter) => withPermit(inner.count(filter)),
      shards: inner.shards,
      wakeups: inner.wakeups,
      wake: (id) => withPermit(inner.wake(id))
    }))
  ).pipe(Layer.provide(layer))

describeShared("token stores", (server) => {
  law(
    "memory, file and Redis answer alike, whatever is asked of them, and file and Redis remember",
    [Steps],
    ([steps]) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
        yield* primed(server, byTestClock)
        const prefix = `test-${crypto.randomUUID()}`
        yield* answerAlike(steps, [
          { layer: TokenStore.layerMemory },
          { layer: Layer.provide(TokenStore.layerFile({ directory }), NodeServices.layer), remembers: true },
          // Redis forgets by its own clock, which is far ahead of the test's.
          {
            layer: oneByOne(
              storeOn(server, { prefix, retention: "Infinity", abandonedAfter: "Infinity" }, byTestClock)
            ),
            remembers: true
          }
        ])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    { arbitrary: { runs: 60, maxShrinks: 200 } }
  )
})
