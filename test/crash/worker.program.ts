// A child for the crash tests: advances one run, slowly, and says everything that it does on a line.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Config, Effect, Layer, Stream } from "effect"
import { say, sayUpdate } from "./line.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const runId = yield* Config.String("RUN_ID")
  const agent = Agent.make("crasher", { background: true })
  yield* Agent.stream(agent, { input: "Write.", runId }).pipe(
    Stream.runForEach((update) =>
      // Said last: what was said was finished with.
      Effect.andThen(Effect.sleep("1 millis"), sayUpdate(update))
    )
  )
  yield* say({ did: "end" })
})

/** The file store, saying when it writes. */
const Store = Layer.effect(
  TokenStore.TokenStore,
  Effect.map(TokenStore.TokenStore, (store) => ({
    ...store,
    commit: (lease: TokenStore.Lease, commit: TokenStore.Commit) =>
      say({ did: "write" }).pipe(
        Effect.andThen(store.commit(lease, commit)),
        Effect.tap(() => say({ did: "written" }))
      )
  }))
).pipe(
  Layer.provide(
    Layer.unwrap(Effect.map(Config.String("STORE_DIRECTORY"), (directory) => TokenStore.layerFile({ directory })))
  ),
  Layer.provide(NodeServices.layer)
)

program.pipe(Effect.provide([Model, Store]), NodeRuntime.runMain)
