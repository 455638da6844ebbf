// A child for the crash tests: advances one run, slowly, and says everything that it does on a line.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { Config, Console, Effect, Layer, Option, Redacted, Stream } from "effect"
import { encodeLine, type Line } from "./line.ts"

type Said<L extends Line> = L extends Line ? Omit<L, "at"> : never

const say = (line: Said<Line>) =>
  Effect.flatMap(encodeLine({ ...line, at: performance.timeOrigin + performance.now() } as Line), Console.log).pipe(
    Effect.orDie
  )

const program = Effect.gen(function* () {
  const runId = yield* Config.String("RUN_ID")
  const agent = Agent.make("crasher", { background: true })
  yield* Agent.stream(agent, { input: "Write.", runId }).pipe(
    Stream.runForEach((update) =>
      // Said last: what was said was finished with.
      Effect.andThen(
        Effect.sleep("1 millis"),
        say({
          did: "update",
          position: `${update.sequenceNumber}.${Option.match(update.continuationToken, { onNone: () => 0, onSome: (token) => token.skip })}`,
          text: update.text,
          last: Option.isNone(update.continuationToken)
        })
      )
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

const Model = Layer.unwrap(
  Effect.gen(function* () {
    const baseUrl = yield* Config.String("SANDBOX_URL")
    const model = yield* Config.String("MODEL")
    return OpenAiBackgroundModel.layer({ model }).pipe(
      Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl }))
    )
  })
)

program.pipe(Effect.provide([Model, Store]), NodeRuntime.runMain)
