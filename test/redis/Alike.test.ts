import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { Effect, FileSystem, Layer } from "effect"
import { answerAlike, Steps } from "../contract/alike.ts"
import { describeShared } from "../support/redisServer.ts"
import { byTestClock, primed, storeOn } from "./store.ts"
import { law } from "../support/law.ts"

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
          { layer: storeOn(server, { prefix, retention: "Infinity" }, byTestClock), remembers: true }
        ])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    { arbitrary: { runs: 60, maxShrinks: 200 } }
  )
})
