import { Effect, Exit, Schedule } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { program } from "../support/program.ts"
import { type Note, notes } from "./tools.ts"

const path = program(new URL("tools.program.ts", import.meta.url))

/** Starts a child, which is gone when the scope is closed. */
export const spawn = Effect.fnUntraced(function* (env: Record<string, string>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  return yield* spawner.spawn(
    ChildProcess.make(process.execPath, [yield* path], { env, extendEnv: true, stdout: "inherit", stderr: "inherit" })
  )
})

/** Runs a child until it ends: answers its code, or undefined if it was killed. */
export const run = (env: Record<string, string>) =>
  Effect.scoped(
    Effect.flatMap(spawn(env), ({ exitCode }) =>
      Effect.map(Effect.exit(exitCode), (exit) => (Exit.isSuccess(exit) ? Number(exit.value) : undefined))
    )
  )

/** Waits until a handler has done this. */
export const noted = (directory: string, is: (note: Note) => boolean) =>
  Effect.repeat(
    Effect.sync(() => notes.read(directory).find(is)),
    { until: (note) => note !== undefined, schedule: Schedule.spaced("5 millis") }
  )
