// `pnpm web [--port 8080]`: a page that asks for a report, shows how it is written, and asks before it is sent. Kill the process behind it, and go on.
//
// This process plays the provider, and starts the other one, which is web server and worker in one, again and again.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { ResponsesServer } from "@effect-baton/sandbox"
import { Config, Console, Data, Effect, Exit, FileSystem, Layer, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess } from "effect/process"
import { environmentOf, Sandbox } from "../model.ts"
import { listen } from "./front.ts"
import { model } from "./model.ts"

class ServerEnded extends Data.TaggedError("ServerEnded")<{ readonly message: string }> {}

/** The sandbox, slow enough to watch, if the environment names no provider. */
const Provider = Layer.unwrap(
  Effect.map(Config.option(Config.String("OPENAI_API_KEY")), (key) =>
    Option.isSome(key)
      ? Layer.succeed(Sandbox, Option.none())
      : Layer.provide(Sandbox.own, ResponsesServer.layer({ model, pace: "15 millis", queueTime: "500 millis" }))
  )
)

/** Starts the server on a socket, and waits for its end. Nothing if a signal ended it. */
const serve = Effect.fnUntraced(function* (env: Readonly<Record<string, string>>) {
  const server = yield* ChildProcess.make(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", new URL("server.ts", import.meta.url).pathname],
    { extendEnv: true, env, stdout: "inherit", stderr: "inherit" }
  )
  yield* Console.log(`process ${server.pid} serves the page and writes the reports`)
  return Exit.getSuccess(yield* Effect.exit(server.exitCode))
}, Effect.scoped)

const program = Effect.fnUntraced(function* (port: number) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-web-" })
  let socket = ""
  yield* Console.log(`Open ${yield* listen(port, () => socket)}`)
  for (let count = 1; ; count++) {
    socket = `${directory}/${count}.sock`
    const env = { ...environmentOf(yield* Sandbox), SOCKET: socket, STORE_DIRECTORY: directory }
    const code = yield* serve(env)
    if (Option.isSome(code))
      return yield* new ServerEnded({ message: `The server ended by itself, with ${code.value}.` })
    yield* Console.log("it was killed")
  }
})

const command = Command.make(
  "web",
  {
    port: Flag.Int("port").pipe(
      Flag.withDescription("Port on 127.0.0.1; 0 means any free port"),
      Flag.withDefault(8080)
    )
  },
  ({ port }) => program(port).pipe(Effect.scoped, Effect.provide(Provider))
).pipe(Command.withDescription("A page that asks for a report, and shows how it is written"))

command.pipe(Command.run({ version: "0.1.0" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
