// A process dies on either side of every durable step of every store; the next one brings its run to one end. The cases
// are all that the stores name: one that is never reached fails.
import { NodeServices } from "@effect/platform-node"
import { Run, RunRecord, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { ResponsesServer } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Option, type Scope } from "effect"
import { client, describeShared } from "../support/redisServer.ts"
import { run } from "./child.ts"
import * as Operations from "./operations.ts"

const program = "failpoint"

interface Place {
  /** What tells a child where it keeps its runs. */
  readonly env: Record<string, string>
  readonly store: Layer.Layer<TokenStore.TokenStore, unknown>
}

/** How a process ended; none if it was killed. */
const codeOf = (exit: Exit.Exit<number, unknown>) => Option.getOrUndefined(Exit.getSuccess(exit))

// A step that is taken often is died at early, and in the middle of a run.
const casesOf = (places: ReadonlyArray<string>) =>
  places.flatMap((place) => (/(write|sync|commit):/.test(place) ? [1, 2, 3, 5] : [1]).map((hit) => ({ place, hit })))

const dying = (
  failpoints: ReadonlyArray<string>,
  fresh: Effect.Effect<Place, never, FileSystem.FileSystem | Scope.Scope>
) =>
  it.live.each(casesOf(failpoints))(
    "$place ($hit): the next one ends the run once, whole, and bought once",
    ({ hit, place }) =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const { env: where, store } = yield* fresh
        const env = { SANDBOX_URL: server.url, MODEL: "lorem:60", ...where }
        const dead = yield* run({ program, env: { ...env, DIE_AT: place, DIE_AT_HIT: `${hit}` } })
        assert.isUndefined(codeOf(dead.exit), `${place} was never reached`)

        const next = yield* run({ program, env })
        const record = yield* TokenStore.TokenStore.use((store) => store.read(Run.RunId.make("main"))).pipe(
          Effect.provide(store),
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
        Effect.provide(Layer.merge(ResponsesServer.layer({ pace: "8 millis" }), NodeServices.layer))
      ),
    300_000
  )

describe.concurrent("a process that dies, over files", () =>
  dying(
    [...TokenStore.failpointsFile, ...Operations.failpoints],
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "baton-crash-" }))
      return {
        env: { STORE_DIRECTORY: directory },
        store: TokenStore.layerFile({ directory }).pipe(Layer.provide(NodeServices.layer))
      }
    })
  ))

describeShared("a process that dies, over Redis", (server) => {
  let count = 0
  describe.concurrent("at a step", () =>
    dying(
      RedisTokenStore.failpoints,
      Effect.map(server, ({ url }) => {
        const prefix = `crash-${process.pid}-${++count}`
        return {
          env: { STORE_REDIS: url, STORE_DIRECTORY: prefix },
          store: RedisTokenStore.layer({ prefix }).pipe(Layer.provide(client(url)))
        }
      })
    ))
})
