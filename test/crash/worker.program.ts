// A child for the crash tests: advances one run or several, slowly, and says everything that it does on a line.
import { NodeRuntime } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Config, Effect, Layer, Stream } from "effect"
import { say, sayUpdate } from "./line.ts"
import { Model } from "./model.ts"
import * as Place from "./store.ts"

const agent = Agent.make("crasher", { background: true })

const advance = (runId: string) =>
  Agent.stream(agent, { input: "Write.", runId }).pipe(
    Stream.runForEach((update) =>
      // Said last: what was said was finished with.
      Effect.andThen(Effect.sleep("1 millis"), sayUpdate(update))
    )
  )

const program = Effect.gen(function* () {
  const runIds = yield* Config.String("RUN_ID")
  yield* Effect.forEach(runIds.split(","), advance, { concurrency: "unbounded" })
  yield* say({ did: "end" })
})

/** The store, saying when it writes. */
const Store = Layer.effect(
  TokenStore.TokenStore,
  Effect.map(TokenStore.TokenStore, (store) => ({
    ...store,
    commit: (lease: TokenStore.Lease, commit: TokenStore.Commit) =>
      say({ did: "write" }).pipe(
        Effect.andThen(store.commit(lease, commit)),
        // What was not known yet keeps a write from being one: it is done again.
        Effect.tap(({ outcome }) => (outcome === "written" ? say({ did: "written" }) : Effect.void))
      )
  }))
).pipe(Layer.provide(Place.layer()))

program.pipe(Effect.provide([Model, Store]), NodeRuntime.runMain)
