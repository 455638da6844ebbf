import { Effect, Exit, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { wholeLines } from "../../examples/line.ts"
import { program } from "../support/program.ts"
import { decodeLine, type Line } from "./line.ts"

const programs = {
  failpoint: program(new URL("failpoint.program.ts", import.meta.url)),
  logged: program(new URL("logged.program.ts", import.meta.url)),
  worker: program(new URL("worker.program.ts", import.meta.url))
}

/**
 * Runs a child until it ends, or until `signal` is sent after so many of its updates, and some of so many runs; answers
 * all that it said.
 */
export const run = Effect.fnUntraced(function* (options: {
  readonly program?: keyof typeof programs
  readonly env: Record<string, string>
  readonly signal?: { readonly name: "SIGKILL" | "SIGTERM"; readonly afterUpdates: number; readonly ofRuns?: number }
}) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const child = yield* spawner.spawn(
    ChildProcess.make(process.execPath, [yield* programs[options.program ?? "worker"]], {
      env: options.env,
      extendEnv: true,
      stderr: "inherit"
    })
  )
  const said: Array<Line> = []
  const others: Array<string> = []
  const { afterUpdates = Number.POSITIVE_INFINITY, name: killSignal = "SIGKILL", ofRuns = 1 } = options.signal ?? {}
  const runs = new Set<string>()
  let updates = 0
  let isSent = false
  yield* child.stdout.pipe(
    Stream.decodeText(),
    wholeLines,
    Stream.filter((line) => line.startsWith("{") || others.push(line) === 0),
    Stream.mapEffect((line) => decodeLine(line)),
    Stream.runForEach((line) => {
      said.push(line)
      if (line.did !== "update") return Effect.void
      runs.add(line.run)
      if (++updates < afterUpdates || runs.size < ofRuns || isSent) return Effect.void
      isSent = true
      return Effect.asVoid(Effect.forkChild(Effect.ignore(child.kill({ killSignal }))))
    })
  )
  const exit = yield* Effect.exit(child.exitCode)
  if (Exit.isSuccess(exit) && exit.value > 0) console.error(others.join("\n"))
  return { said, updates: said.filter((line) => line.did === "update"), exit }
}, Effect.scoped)
