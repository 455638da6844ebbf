import { NodeServices } from "@effect/platform-node"
import { ResponsesServer } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Random } from "effect"
import { run } from "./child.ts"

const runs = 20
const killsPerRun = 5
const deltas = 1200
const seed = "baton"

describe("kill -9", () => {
  it.live(
    "a hundred killed children leave whole reports behind, and repeat at most one cadence and one write",
    () =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const fs = yield* FileSystem.FileSystem

        const one = Effect.fnUntraced(function* (index: number) {
          const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-kill-" })
          const runId = `run-${index}`
          const env = { SANDBOX_URL: server.url, STORE_DIRECTORY: directory, RUN_ID: runId, MODEL: `lorem:${deltas}` }
          const texts = new Map<string, string>()
          const kills: Array<ReturnType<typeof judge>> = []
          let before: Effect.Success<ReturnType<typeof run>> | undefined
          for (let kill = 0; kill <= killsPerRun; kill++) {
            const afterUpdates = yield* Random.nextIntBetween(1, Math.floor(deltas / (killsPerRun + 1)))
            const now = yield* run({
              env,
              ...(kill < killsPerRun ? { signal: { name: "SIGKILL", afterUpdates } as const } : {})
            })
            const again = now.updates.filter(({ position }) => texts.has(position))
            for (const { position, text } of again) assert.strictEqual(text, texts.get(position))
            if (before !== undefined)
              kills.push(
                judge(
                  before,
                  again.map(({ position }) => position)
                )
              )
            for (const { position, text } of now.updates) texts.set(position, text)
            before = now
          }
          const ledger = yield* server.ledger
          const created = ledger.responses.filter(({ metadata }) => metadata["baton_run_id"] === runId)
          assert.strictEqual(created.length, 1, `creates of ${runId}`)
          assert.strictEqual([...texts.values()].join(""), created[0]?.outputText, `the report of ${runId}`)
          assert.isTrue(before?.said.at(-1)?.did === "end")
          return kills
        })

        const kills = (yield* Effect.forEach(
          Array.from({ length: runs }, (_, i) => i),
          one,
          { concurrency: 4 }
        )).flat()
        const between = kills.filter((kill) => kill.between).length
        const most = kills.reduce((a, b) => (a.age > b.age ? a : b))
        console.log(
          `killed ${kills.length} children (seed ${seed}), ${between} strictly between two updates; ` +
            `delivered again after a kill: ${Math.max(...kills.map((kill) => kill.again))} updates at most, ` +
            `the oldest ${most.age.toFixed(0)} ms old (the last whole write began ${most.sinceWrite.toFixed(0)} ms before the kill)`
        )
        assert.strictEqual(kills.length, runs * killsPerRun)
        assert.isAtLeast(between, 80)
        for (const { kept } of kills) assert.isTrue(kept, "what was finished before the last whole write came again")
      }).pipe(
        Random.withSeed(seed),
        Effect.scoped,
        Effect.provide(Layer.merge(ResponsesServer.layer(), NodeServices.layer))
      ),
    600_000
  )
})

/**
 * What came again after a kill, and how old it was when the child died. All that the child finished with before its last
 * whole write began is in that write, but for the update then in its hands: it is said before the next is pulled.
 */
const judge = (killed: Effect.Success<ReturnType<typeof run>>, again: ReadonlyArray<string>) => {
  const died = killed.said.at(-1)?.at ?? 0
  const written = killed.said.findLastIndex(({ did }) => did === "written")
  const write = killed.said.slice(0, Math.max(0, written)).findLastIndex(({ did }) => did === "write")
  // Who died before the first write was whole promised nothing.
  const before = killed.said.slice(0, Math.max(0, write)).filter((line) => line.did === "update")
  const oldest = killed.updates.findIndex(({ position }) => again.includes(position))
  return {
    between: killed.updates.length > 0 && !killed.updates.some(({ last }) => last),
    again: again.length,
    age: oldest < 0 ? 0 : died - killed.updates[oldest]!.at,
    sinceWrite: died - (killed.said[write]?.at ?? died),
    kept: oldest < 0 || oldest >= before.length - 1
  }
}
