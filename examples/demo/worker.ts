// One of the demo's processes: streams or resumes the report, and prints each update on a line.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Config, Console, Effect, Layer, Logger, Option, Stream } from "effect"
import { analyst, task } from "../analyst.ts"
import { encodeLine } from "../line.ts"
import { Model } from "../model.ts"
import * as Redis from "../redis.ts"

const program = Effect.gen(function* () {
  const runId = yield* Config.String("RUN_ID")
  const breakOff = yield* Config.option(Config.Int("BREAK_OFF_AFTER"))
  const updates = Option.isSome(breakOff)
    ? Agent.stream(analyst, { input: yield* task, runId }).pipe(Stream.take(breakOff.value))
    : // Over Redis the lease of a killed process goes on. No other process is at work here, so there is nothing to wait for.
      Agent.resume(analyst, { runId, ifLeased: "steal" })
  yield* Stream.runForEach(updates, (update) =>
    // Slow enough to follow.
    Effect.sleep("2 millis").pipe(Effect.andThen(encodeLine(update)), Effect.andThen(Console.log))
  )
})

const Store = Layer.effectContext(
  Effect.gen(function* () {
    const directory = yield* Config.option(Config.String("STORE_DIRECTORY"))
    return Option.isSome(directory)
      ? yield* Layer.build(TokenStore.layerFile({ directory: directory.value }))
      : yield* Layer.build(Redis.Store)
  })
)

program.pipe(
  Effect.provide(Layer.merge(Model, Store)),
  Effect.provide(NodeServices.layer),
  // Lines on the standard output are updates; the rest goes to the standard error.
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain
)
