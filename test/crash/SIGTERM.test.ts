import { NodeServices } from "@effect/platform-node"
import { Run, RunState, TokenStore } from "@effect-baton/core"
import { ResponsesServer } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Option } from "effect"
import { run } from "./child.ts"

describe("SIGTERM", () => {
  it.live(
    "a stopped child leaves its lease released and its position written, and the next repeats nothing",
    () =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-term-" })
        const env = { SANDBOX_URL: server.url, STORE_DIRECTORY: directory, RUN_ID: "run", MODEL: "lorem:400" }

        const first = yield* run({ env, signal: { name: "SIGTERM", afterUpdates: 100 } })
        const record = yield* TokenStore.TokenStore.use((store) => store.read(Run.RunId.make("run"))).pipe(
          Effect.provide(TokenStore.layerFile({ directory }))
        )
        const { due, lease, parked, position } = Option.getOrThrow(record)
        assert.isNull(lease)
        assert.strictEqual(`${position.sequenceNumber}.${position.skip}`, first.updates.at(-1)?.position)
        // Any worker may go on with it at once.
        assert.isNull(parked)
        assert.isAtMost(due ?? Number.POSITIVE_INFINITY, Date.now())

        const second = yield* run({ env })
        const positions = [...first.updates, ...second.updates].map((update) => update.position)
        assert.deepStrictEqual(positions, [...new Set(positions)])
        assert.deepStrictEqual(second.said.at(-1)?.did, "end")
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(ResponsesServer.layer(), NodeServices.layer))),
    300_000
  )

  it.live(
    "under load: forty runs at once are all left in order, and the next worker repeats at most what was in hand",
    () =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-term-" })
        const runIds = Array.from({ length: 40 }, (_, i) => `run-${i}`)
        const env = {
          SANDBOX_URL: server.url,
          STORE_DIRECTORY: directory,
          RUN_ID: runIds.join(","),
          MODEL: "lorem:200"
        }
        const first = yield* run({ env, signal: { name: "SIGTERM", afterUpdates: 2000, ofRuns: 40 } })
        assert.notStrictEqual(first.said.at(-1)?.did, "end")
        const records = yield* TokenStore.TokenStore.use((store) => store.list({ limit: 100 })).pipe(
          Effect.provide(TokenStore.layerFile({ directory }))
        )
        assert.strictEqual(records.items.length, 40)
        for (const record of records.items) {
          const { due, lease, parked, position, runId } = record
          assert.isNull(lease)
          assert.isNull(parked)
          const own = first.updates.filter((update) => update.run === runId)
          // The update in a consumer's hands, said but perhaps not let go of, may count or not.
          const [before = "-1.0", last = "-1.0"] = ["-1.0", ...own.map((update) => update.position)].slice(-2)
          const { delivered, ended } = RunState.fold(record)
          if (delivered) assert.isTrue(own.at(-1)?.last)
          else assert.include([before, last], `${position.sequenceNumber}.${position.skip}`)
          // Of a run that is over, workers were promised nothing.
          assert.strictEqual(due === null, ended !== undefined)
        }
        const second = yield* run({ env })
        assert.strictEqual(second.said.at(-1)?.did, "end")
        const { responses } = yield* server.ledger
        assert.strictEqual(responses.length, 40)
        for (const { metadata, outputText } of responses) {
          const own = [...first.updates, ...second.updates].filter((update) => update.run === metadata["baton_run_id"])
          const texts = new Map(own.map(({ position, text }) => [position, text]))
          assert.isAtMost(own.length - texts.size, 1, "what came again")
          assert.strictEqual([...texts.values()].join(""), outputText)
        }
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(ResponsesServer.layer(), NodeServices.layer))),
    300_000
  )
})
