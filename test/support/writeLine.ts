import { Effect, Predicate, Result } from "effect"
import { writeSync } from "node:fs"

const room = new Int32Array(new SharedArrayBuffer(4))

/**
 * Writes a line to the output, and is done when whoever reads it has it, though this process is killed right after. Where
 * the reader is slow all of this process stands still: `process.stdout` keeps in memory what the pipe has no room for.
 */
export const writeLine = (line: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    let rest = new TextEncoder().encode(`${line}\n`)
    while (rest.length > 0) {
      const written = Result.try(() => writeSync(1, rest))
      if (Result.isSuccess(written)) rest = rest.subarray(written.success)
      else if (Predicate.hasProperty(written.failure, "code") && written.failure.code === "EAGAIN")
        Atomics.wait(room, 0, 0, 1)
      else return Effect.die(written.failure)
    }
    return Effect.void
  })
