/** A process that uses a directory of runs, for the tests that kill it: says what it did on its output. */
import { NodeServices } from "@effect/platform-node"
import { ContinuationToken, Run, TokenStore } from "@effect-baton/core"
import { Duration, Effect, Fiber } from "effect"
import { writeLine } from "../support/writeLine.ts"

const [directory = "", mode = "", when = "at once"] = process.argv.slice(2)

// Commits for ever, with eight runs at once, and says each commit that was acknowledged.
const commits = Effect.gen(function* () {
  const store = yield* TokenStore.TokenStore
  yield* Effect.forEach(
    Array.from({ length: 8 }, (_, i) => Run.RunId.make(`r-${i}`)),
    (runId) =>
      Effect.gen(function* () {
        yield* store.create({ runId, agent: "analyst", digest: "d", background: true, session: {} })
        const { lease, record } = yield* store.acquire(runId, { owner: `${process.pid}`, ttl: Duration.minutes(5) })
        const { incarnation } = record
        for (let ordinal = record.ordinal + 1; ; ordinal++) {
          yield* store.commit(lease, {
            seen: Number.MAX_SAFE_INTEGER,
            position: {
              ordinal,
              token: { ...ContinuationToken.start("analyst", runId, incarnation), sequenceNumber: ordinal }
            },
            ...(ordinal % 10 === 0
              ? { facts: [{ _tag: "Requested" as const, incarnation, by: "a", turn: ordinal, try: "1" }] }
              : {})
          })
          yield* writeLine(`ack ${runId} ${ordinal}`)
        }
      }),
    { concurrency: "unbounded", discard: true }
  )
})

const program = Effect.gen(function* () {
  yield* TokenStore.TokenStore
  yield* writeLine(`open ${process.pid}`)
  yield* mode === "commit" ? commits : Effect.sleep(Duration.millis(Number(mode)))
}).pipe(
  Effect.provide(TokenStore.layerFile({ directory })),
  Effect.catchTag("TokenStoreError", (error) => writeLine(`${error.kind} ${error.message}`)),
  Effect.provide(NodeServices.layer)
)

// All who race are there, and then are told to begin.
const told = Effect.callback<void>((resume) => {
  process.stdin.once("data", () => {
    process.stdin.destroy()
    resume(Effect.void)
  })
})
const fiber = Effect.runFork(
  when === "when told" ? Effect.andThen(Effect.andThen(writeLine("ready"), told), program) : program
)
process.once("SIGTERM", () => Effect.runFork(Fiber.interrupt(fiber)))
