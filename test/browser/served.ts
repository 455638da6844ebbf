import { type ResponseScript, ResponsesServer } from "@effect-baton/sandbox"
import { Context, Data, Effect, Layer, Schedule } from "effect"
import { ChildProcess } from "effect/process"
import { createServer } from "node:net"

class NotServed extends Data.TaggedError("NotServed") {}

/** A port that nobody listens on. */
const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** `pnpm web`, on a provider of the test, which plays this model. */
export const served = Effect.fnUntraced(function* (model: ResponseScript.SandboxModel) {
  const layer = yield* Layer.build(ResponsesServer.layer({ model }))
  const provider = Context.get(layer, ResponsesServer.ResponsesServer)
  const port = yield* freePort
  const url = `http://127.0.0.1:${port}/`
  const child = yield* ChildProcess.make(
    process.execPath,
    [new URL("../../examples/web/main.ts", import.meta.url).pathname, "--port", String(port)],
    {
      env: { OPENAI_API_KEY: "any", OPENAI_BASE_URL: provider.url, OPENAI_MODEL: "sales-analyst" },
      extendEnv: true,
      stdout: "ignore",
      stderr: "inherit"
    }
  )
  const pid = Effect.tryPromise({
    try: async () => (await (await fetch(`${url}process`)).json()).pid as number,
    catch: () => new NotServed()
  })
  yield* Effect.retry(pid, { schedule: Schedule.spaced("50 millis"), while: () => Effect.orDie(child.isRunning) })
  return { url, pid, provider }
})
