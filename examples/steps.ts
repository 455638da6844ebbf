import type { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { Config, Console, Effect, FileSystem, Layer, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { environmentOf, Sandbox } from "./model.ts"

/** The store of these processes, in the directory that they share. */
export const Store = Layer.unwrap(
  Effect.map(Config.String("STORE_DIRECTORY"), (directory) => TokenStore.layerFile({ directory }))
)

/** The step that this process is to do; none in the process that was started by hand. */
const step = Config.option(Config.String("STEP"))

/** Runs a program once for each step, each time in a process of its own, over the same directory. */
const inProcesses = (program: string, steps: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-example-" })
    const provider = environmentOf(yield* Sandbox)
    for (const name of steps) {
      yield* Console.log(`--- a process: ${name}`)
      const child = yield* ChildProcess.make(process.execPath, [new URL(program).pathname], {
        extendEnv: true,
        env: { ...provider, STEP: name, STORE_DIRECTORY: directory },
        stderr: "inherit"
      })
      yield* Stream.runForEach(Stream.splitLines(Stream.decodeText(child.stdout)), (line) => Console.log(line))
      const code = Option.getOrUndefined(yield* Effect.option(child.exitCode))
      if (code === undefined) yield* Console.log("--- it was killed")
      else if (code !== 0) return yield* Effect.fail(`the process for '${name}' ended with ${code}`)
    }
  }).pipe(Effect.scoped, Effect.provide(Sandbox.layer))

/** The steps of a program, by name. Without a step, it starts itself once for each. */
export const bySteps = (
  program: string,
  steps: Readonly<Record<string, Effect.Effect<unknown, unknown, NodeServices.NodeServices>>>
): Effect.Effect<unknown, unknown, NodeServices.NodeServices> =>
  Effect.flatMap(step, (name): Effect.Effect<unknown, unknown, NodeServices.NodeServices> =>
    Option.match(name, {
      onNone: () => inProcesses(program, Object.keys(steps)),
      onSome: (of) => steps[of] ?? Effect.fail(`no step '${of}'`)
    })
  )
