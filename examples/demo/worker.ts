// One of the demo's processes: streams or resumes the report, and says each update that it finished with on a line.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Config, Console, Effect, Layer, Logger, Option, Stream } from "effect"
import { analyst, task } from "../analyst.ts"
import { Model } from "../model.ts"
import { encodeLine } from "./line.ts"

const program = Effect.gen(function* () {
  const runId = yield* Config.String("RUN_ID")
  const breakOff = yield* Config.option(Config.Int("BREAK_OFF_AFTER"))
  const updates = Option.isSome(breakOff)
    ? Agent.stream(analyst, { input: yield* task, runId }).pipe(Stream.take(breakOff.value))
    : Agent.resume(analyst, { runId })
  yield* Stream.runForEach(updates, (update) =>
    // As fast as a person can follow; what is said was finished with.
    Effect.sleep("2 millis").pipe(Effect.andThen(encodeLine(update)), Effect.andThen(Console.log))
  )
})

const Store = Layer.unwrap(
  Effect.map(Config.String("STORE_DIRECTORY"), (directory) => TokenStore.layerFile({ directory }))
)

program.pipe(
  Effect.provide(Layer.merge(Model, Store)),
  Effect.provide(NodeServices.layer),
  // Lines on the standard output are updates; the rest goes to the standard error.
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain
)
