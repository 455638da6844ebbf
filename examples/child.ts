import { Runs, RunState } from "@effect-baton/core"
import { Effect, Schedule, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { decodeLine, wholeLines } from "./line.ts"
import { environmentOf, Sandbox } from "./model.ts"
import { RedisPlace } from "./redis.ts"

/** Starts a program of the examples as a process of its own, which ends with the scope, and reads the updates it tells. */
export const startProgram = Effect.fnUntraced(function* (
  program: string,
  env: Readonly<Record<string, string | undefined>>
) {
  const child = yield* ChildProcess.make(process.execPath, [new URL(program, import.meta.url).pathname], {
    extendEnv: true,
    env,
    stderr: "inherit"
  })
  const updates = child.stdout.pipe(
    Stream.decodeText(),
    wholeLines,
    Stream.filter((line) => line.startsWith("{")),
    Stream.mapEffect((line) => decodeLine(line))
  )
  return {
    updates,
    exitCode: child.exitCode,
    /** Sends the signal, and waits for the end. */
    signal: (name: "SIGTERM" | "SIGKILL") => Effect.ignoreCause(child.kill({ killSignal: name }))
  }
})

/** Starts a worker process over the Redis and on the model of this one. */
export const startWorker = Effect.gen(function* () {
  const { prefix, url } = yield* RedisPlace
  return yield* startProgram("workers/worker.ts", {
    REDIS_URL: url,
    REDIS_PREFIX: prefix,
    ...environmentOf(yield* Sandbox)
  })
})

/** Waits until workers are done with every run. */
export const allFinished = Runs.list().pipe(
  Stream.filter((record) => !RunState.fold(record).delivered),
  Stream.runCount,
  Effect.repeat({ until: (unfinished) => unfinished === 0, schedule: Schedule.spaced("250 millis") }),
  Effect.timeout("5 minutes")
)
