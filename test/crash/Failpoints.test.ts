// A process dies on either side of every step that changes a store or its disk; the next one brings its run to one end. The
// cases are all places that there are: one that is never reached fails, and so does one that is not among the cases.
import { NodeServices } from "@effect/platform-node"
import { Run, RunState, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { ResponsesServer } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Option, type Scope } from "effect"
import { client, describeShared } from "../support/redisServer.ts"
import { run } from "./child.ts"
import * as Places from "./places.ts"

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
  places.flatMap((place) =>
    (/^(file\.(write|sync) runs\.log|store\.commit):/.test(place) ? [1, 2, 3, 5] : [1]).map((hit) => ({ place, hit }))
  )

const services = Layer.merge(ResponsesServer.layer({ pace: "8 millis" }), NodeServices.layer)

const dying = (
  failpoints: ReadonlyArray<string>,
  fresh: Effect.Effect<Place, never, FileSystem.FileSystem | Scope.Scope>
) =>
  it.live.each(casesOf(failpoints))(
    "$place ($hit): the next one ends the run once, whole, and bought once",
    ({ hit, place }) =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const { env: where, store: kept } = yield* fresh
        const env = { SANDBOX_URL: server.url, MODEL: "lorem:60", ...where }
        const dead = yield* run({ program, env: { ...env, DIE_AT: place, DIE_AT_HIT: `${hit}` } })
        assert.isUndefined(codeOf(dead.exit), `${place} was never reached`)

        const next = yield* run({ program, env })
        const record = yield* TokenStore.TokenStore.use((store) => store.read(Run.RunId.make("main"))).pipe(
          Effect.provide(kept),
          Effect.map(Option.getOrThrow)
        )
        const { responses } = yield* server.ledger
        const created = responses.filter(({ metadata }) => metadata["baton_run_id"] === "main")
        assert.isAtMost(created.length, 1)
        const state = RunState.fold(record)
        if (RunState.winners(state).length === 0) {
          // It died between the request and its answer: nobody can tell, and nobody buys it again.
          assert.strictEqual(dead.updates.length, 0)
          assert.notStrictEqual(codeOf(next.exit), 0)
          return
        }
        assert.strictEqual(codeOf(next.exit), 0)
        assert.strictEqual(RunState.statusOf(state, record.position), "completed")
        assert.isTrue(state.delivered)
        assert.strictEqual(record.journal.filter(({ _tag }) => _tag === "Ended").length, 1)
        const texts = new Map([...dead.updates, ...next.updates].map(({ position, text }) => [position, text]))
        assert.strictEqual([...texts.values()].join(""), created[0]?.outputText)
      }).pipe(Effect.scoped, Effect.provide(services)),
    300_000
  )

const directory = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const made = yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "baton-crash-" }))
  return {
    env: { STORE_DIRECTORY: made },
    store: TokenStore.layerFile({ directory: made }).pipe(Layer.provide(NodeServices.layer))
  }
})

describe.concurrent("a process that dies, over files", () => {
  const places = [...Places.placesOfTokenStore, ...Places.placesOfFiles]

  it.live("dies at all places that there are", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer.ResponsesServer
      const { env } = yield* directory
      const whole = { ...env, SANDBOX_URL: server.url, MODEL: "lorem:60", DIE_AT: "everywhere" }
      const { exit, said } = yield* run({ program, env: whole })
      assert.strictEqual(codeOf(exit), 0)
      const reached = new Set(said.flatMap((line) => (line.did === "reach" ? [line.place] : [])))
      assert.deepStrictEqual([...reached].toSorted(), places.toSorted())
    }).pipe(Effect.provide(services), Effect.scoped)
  )

  dying(places, directory)
})

describeShared("a process that dies, over Redis", (server) => {
  let count = 0
  describe.concurrent("at a step", () =>
    dying(
      Places.placesOfTokenStore,
      Effect.map(server, ({ url }) => {
        const prefix = `crash-${process.pid}-${++count}`
        return {
          env: { STORE_REDIS: url, STORE_DIRECTORY: prefix },
          store: RedisTokenStore.layer({ prefix }).pipe(Layer.provide(client(url)))
        }
      })
    ))
})
