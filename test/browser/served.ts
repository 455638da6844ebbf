import { type ResponseScript, ResponsesServer } from "@effect-baton/sandbox"
import { Context, Deferred, Effect, Layer, Stream } from "effect"
import { ChildProcess } from "effect/process"

/** `pnpm web`, on a provider of the test, which plays this model. */
export const served = Effect.fnUntraced(function* (model: ResponseScript.SandboxModel) {
  const layer = yield* Layer.build(ResponsesServer.layer({ model }))
  const provider = Context.get(layer, ResponsesServer.ResponsesServer)
  const child = yield* ChildProcess.make(
    process.execPath,
    [new URL("../../examples/web/main.ts", import.meta.url).pathname, "--port", "0"],
    {
      env: { OPENAI_API_KEY: "any", OPENAI_BASE_URL: provider.url, OPENAI_MODEL: "sales-analyst" },
      extendEnv: true,
      stderr: "inherit"
    }
  )
  const opened = yield* Deferred.make<string>()
  yield* child.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) =>
      line.startsWith("Open ") ? Deferred.succeed(opened, line.slice("Open ".length)) : Effect.void
    ),
    Effect.andThen(Deferred.die(opened, "pnpm web has ended")),
    Effect.forkScoped
  )
  const url = yield* Deferred.await(opened)
  const pid = Effect.promise(async () => (await (await fetch(`${url}process`)).json()).pid as number)
  return { url, pid, provider }
})
