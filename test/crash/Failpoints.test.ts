// A process dies on either side of every durable step of a store; the next one brings its run to one end.
import { NodeServices } from "@effect/platform-node"
import { Run, RunRecord, TokenStore } from "@effect-baton/core"
import { ResponsesServer } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Option } from "effect"
import { run } from "./child.ts"

const program = "failpoint.program.ts"

/** How a process ended; none if it was killed. */
const codeOf = (exit: Exit.Exit<number, unknown>) => Option.getOrUndefined(Exit.getSuccess(exit))

describe("a process that dies at a durable step", () => {
  // A step that is taken often is died at once early, and once in the middle of a run.
  const cases = TokenStore.failpointsFile.flatMap((place) =>
    /write:|sync:/.test(place)
      ? [
          { place, hit: 1 },
          { place, hit: 2 },
          { place, hit: 5 }
        ]
      : [{ place, hit: 1 }]
  )

  it.live.each(cases)(
    "$place ($hit): the next one ends the run once, whole, and bought once",
    ({ hit, place }) =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-crash-" })
        const env = { SANDBOX_URL: server.url, MODEL: "lorem:60", STORE_DIRECTORY: directory }
        const dead = yield* run({ program, env: { ...env, DIE_AT: place, DIE_AT_HIT: `${hit}` } })
        assert.isUndefined(codeOf(dead.exit), `${place} was never reached`)

        const next = yield* run({ program, env })
        const record = yield* TokenStore.TokenStore.use((store) => store.read(Run.RunId.make("main"))).pipe(
          Effect.provide(TokenStore.layerFile({ directory })),
          Effect.map(Option.getOrThrow)
        )
        const { responses } = yield* server.ledger
        const created = responses.filter(({ metadata }) => metadata["baton_run_id"] === "main")
        assert.isAtMost(created.length, 1)
        if (RunRecord.opening(record, 0)._tag === "Requested") {
          // It died between the request and its answer: nobody can tell, and nobody buys it again.
          assert.strictEqual(dead.updates.length, 0)
          assert.notStrictEqual(codeOf(next.exit), 0)
          return
        }
        assert.strictEqual(codeOf(next.exit), 0)
        assert.strictEqual(record.status, "completed")
        assert.isNull(record.token)
        assert.strictEqual(record.journal.filter(({ _tag }) => _tag === "Ended").length, 1)
        const texts = new Map([...dead.updates, ...next.updates].map(({ position, text }) => [position, text]))
        assert.strictEqual([...texts.values()].join(""), created[0]?.outputText)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.merge(ResponsesServer.layer({ pace: "4 millis" }), NodeServices.layer))
      ),
    60_000
  )
})
