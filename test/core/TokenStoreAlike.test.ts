import { describe } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { Effect, FileSystem, Layer } from "effect"
import { answerAlike } from "../contract/alike.ts"
import { Steps } from "../contract/steps.ts"
import { law } from "../support/law.ts"

describe("token stores", () => {
  law(
    "memory and file answer alike, whatever is asked of them, and the file remembers",
    [Steps],
    ([steps]) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
        const file = Layer.provide(TokenStore.layerFile({ directory }), NodeServices.layer)
        yield* answerAlike(steps, [{ layer: TokenStore.layerMemory }, { layer: file, remembers: true }])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    { arbitrary: { runs: 150, maxShrinks: 300 } }
  )
})
