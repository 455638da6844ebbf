/** A process that uses a directory of runs, for the tests that kill it: says what it did on its output. */
import { NodeServices } from "@effect/platform-node"
import { ContinuationToken, Run, TokenStore } from "@effect-baton/core"
import { Duration, Effect, Fiber } from "effect"

const [directory = "", mode = "", wait = "0"] = process.argv.slice(2)
// A pipe is written to at once, also when the process is killed right after, and waits for a reader that is slow.
const say = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

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
          yield* say(`ack ${runId} ${ordinal}`)
        }
      }),
    { concurrency: "unbounded", discard: true }
  )
})

const program = Effect.gen(function* () {
  yield* TokenStore.TokenStore
  yield* say(`open ${process.pid}`)
  yield* mode === "commit" ? commits : Effect.sleep(Duration.millis(Number(mode)))
}).pipe(
  Effect.provide(TokenStore.layerFile({ directory })),
  Effect.catchTag("TokenStoreError", (error) => say(`${error.kind} ${error.message}`)),
  Effect.provide(NodeServices.layer)
)

// All who race begin at the same moment.
const fiber = Effect.runFork(
  Effect.andThen(Effect.sleep(Duration.millis(Math.max(0, Number(wait) - Date.now()))), program)
)
process.once("SIGTERM", () => Effect.runFork(Fiber.interrupt(fiber)))
