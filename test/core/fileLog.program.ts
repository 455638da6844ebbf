/** A process that appends to the logs of a directory, for the test that kills it. It prints what it did. */
import { NodeServices } from "@effect/platform-node"
import { Run, UpdateLog } from "@effect-baton/core"
import { Effect } from "effect"
import { writeLine } from "../support/writeLine.ts"

const [directory = "", generation = "1"] = process.argv.slice(2)
const epoch = Number(generation)

/** The body of the chunk at an offset. */
const bodyOf = (runId: string, from: number) => `${runId} ${from} ${epoch} ${"é\n".repeat(2_000 + (from % 1_000))}`

// Appends to eight runs concurrently, for ever, and prints the length after each append.
const program = Effect.gen(function* () {
  const log = yield* UpdateLog.UpdateLog
  yield* Effect.forEach(
    Array.from({ length: 8 }, (_, i) => Run.RunId.make(`r-${i}`)),
    (runId) =>
      Effect.gen(function* () {
        let { length } = yield* log.open(runId, epoch)
        yield* writeLine(`open ${runId} ${length}`)
        while (true) {
          const count = (length % 3) + 1
          yield* log.append(runId, { from: length, count, epoch, ended: false, body: bodyOf(runId, length) })
          length += count
          yield* writeLine(`ack ${runId} ${length}`)
          // With truncation the file is rewritten from time to time.
          if (length % 5 === 0) yield* log.truncate(runId, length - 10)
        }
      }),
    { concurrency: "unbounded", discard: true }
  )
}).pipe(
  Effect.provide(UpdateLog.layerFile({ directory })),
  Effect.catchTag("UpdateLogError", (error) => writeLine(`${error.kind} ${error.message}`)),
  Effect.provide(NodeServices.layer)
)

Effect.runFork(program)
