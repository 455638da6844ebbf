// One run, two processes. The first is told to stop while it writes the report; the second, the same program with the same
// run id, goes on with the next word. Both keep the position in files. (If a process is killed with SIGKILL, what it wrote
// in its last 200 ms may come again, because its position was not written yet: demo.ts shows that.)
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { Config, Console, Effect, FileSystem, Layer, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { analyst, task } from "./analyst.ts"
import { environmentOf, Model, Sandbox } from "./model.ts"

// The program that is stopped and started again. `Agent.stream` starts the run, or continues it if the store knows its id.
const writer = Effect.gen(function* () {
  yield* Agent.stream(analyst, { input: yield* task, runId: "report" }).pipe(
    Stream.runForEach((update) => Effect.sync(() => process.stdout.write(update.text)))
  )
})

const Files = Layer.unwrap(
  Effect.map(Config.String("STORE_DIRECTORY"), (directory) => TokenStore.layerFile({ directory }))
)

// The program that starts it twice. The model is in this process, or at OpenAI, so it outlives the writers.
const parent = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-example-" })
  const start = ChildProcess.make(process.execPath, [new URL(import.meta.url).pathname], {
    extendEnv: true,
    env: { ...environmentOf(yield* Sandbox), STORE_DIRECTORY: directory },
    stderr: "inherit"
  })

  const first = yield* start
  let length = 0
  yield* first.stdout.pipe(
    Stream.decodeText(),
    Stream.runForEach((text) => {
      process.stdout.write(text)
      const before = length
      length += text.length
      return before < 1000 && length >= 1000 ? first.kill({ killSignal: "SIGTERM" }) : Effect.void
    })
  )
  yield* Console.log("\n--- the first process was stopped; the second goes on:")

  const second = yield* start
  yield* second.stdout.pipe(
    Stream.decodeText(),
    Stream.runForEach((text) => Effect.sync(() => process.stdout.write(text)))
  )
  yield* Console.log(`--- the report is complete, and the second process ended with ${yield* second.exitCode}`)
}).pipe(Effect.scoped)

const program = Effect.gen(function* () {
  const isWriter = Option.isSome(yield* Config.option(Config.String("STORE_DIRECTORY")))
  if (isWriter) yield* Effect.provide(writer, [Model, Files])
  else yield* Effect.provide(parent, Sandbox.layer)
})

program.pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
