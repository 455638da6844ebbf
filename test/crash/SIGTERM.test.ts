import { NodeServices } from "@effect/platform-node"
import { Run, TokenStore } from "@effect-baton/core"
import { ResponsesServer } from "@effect-baton/testing"
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
        const { lease, token } = Option.getOrThrow(record)
        assert.isNull(lease)
        assert.strictEqual(`${token?.sequenceNumber}.${token?.skip}`, first.updates.at(-1)?.position)

        const second = yield* run({ env })
        const positions = [...first.updates, ...second.updates].map(({ position }) => position)
        assert.deepStrictEqual(positions, [...new Set(positions)])
        assert.deepStrictEqual(second.said.at(-1)?.did, "end")
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(ResponsesServer.layer(), NodeServices.layer))),
    60_000
  )
})
