import { Effect, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { decodeLine, type Line } from "./line.ts"

/** Runs a child until it ends, or until `signal` is sent after so many of its updates; answers all that it said. */
export const run = Effect.fnUntraced(function* (options: {
  readonly program?: string
  readonly env: Record<string, string>
  readonly signal?: { readonly name: "SIGKILL" | "SIGTERM"; readonly afterUpdates: number }
}) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const child = yield* spawner.spawn(
    ChildProcess.make(process.execPath, [new URL(options.program ?? "worker.program.ts", import.meta.url).pathname], {
      env: options.env,
      extendEnv: true,
      stderr: "inherit"
    })
  )
  const said: Array<Line> = []
  let updates = 0
  yield* child.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    // The last line of a killed child may be cut.
    Stream.filter((line) => line.startsWith("{") && line.endsWith("}")),
    Stream.mapEffect((line) => decodeLine(line)),
    Stream.runForEach((line) => {
      said.push(line)
      return line.did === "update" && ++updates === options.signal?.afterUpdates
        ? Effect.asVoid(Effect.forkChild(Effect.ignore(child.kill({ killSignal: options.signal.name }))))
        : Effect.void
    })
  )
  const exit = yield* Effect.exit(child.exitCode)
  return { said, updates: said.filter((line) => line.did === "update"), exit }
}, Effect.scoped)
