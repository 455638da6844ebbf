// A process that advances a logged run dies on either side of each append, fact and acknowledgement. The next one brings the
// run to its one end, and everything that both of them and others saw keeps the rules of logged runs.
import { NodeServices } from "@effect/platform-node"
import { Run, RunState, TokenStore, UpdateLog } from "@effect-baton/core"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import { ResponsesServer } from "@effect-baton/sandbox"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Fiber, Layer, Option, type Scope } from "effect"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { violations } from "../logged/history.ts"
import { readHistory } from "../logged/recording.ts"
import { recorderIn, watching } from "../logged/reading.ts"
import { client, describeShared } from "../support/redisServer.ts"
import { run } from "./child.ts"
import { agent, places, runId } from "./logged.ts"

const program = "logged"

interface Place {
  readonly directory: string
  readonly env: Record<string, string>
  readonly kept: Layer.Layer<TokenStore.TokenStore | UpdateLog.UpdateLog, unknown>
  /** Whether others can read while a process writes. */
  readonly shared: boolean
}

const codeOf = (exit: Exit.Exit<number, unknown>) => Option.getOrUndefined(Exit.getSuccess(exit))

/** A step that is taken often is died at early, and in the middle of a run. */
const cases = places.flatMap((place) =>
  (/^(log append|acknowledgement)/.test(place) ? [1, 2, 4] : [1]).map((hit) => ({ place, hit }))
)

const services = Layer.mergeAll(
  ResponsesServer.layer({ pace: "20 millis" }),
  NodeServices.layer,
  ScriptedModel.layer([])
)

const dying = (fresh: Effect.Effect<Place, never, FileSystem.FileSystem | Scope.Scope>) =>
  it.live.each(cases)(
    "$place ($hit): one story, and one end",
    ({ hit, place }) =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const { directory, env: where, kept, shared } = yield* fresh
        const env = { SANDBOX_URL: server.url, MODEL: "lorem:60", DIRECTORY: directory, ...where }
        const others = watching(recorderIn(join(directory, "history-viewer"), "viewer"), agent, runId, "viewer").pipe(
          Effect.provide(kept),
          Effect.orDie
        )
        const viewer = shared ? yield* Effect.forkChild(others) : undefined
        const dead = yield* run({ program, env: { ...env, LIFE: "dies", DIE_AT: place, DIE_AT_HIT: `${hit}` } })
        assert.isUndefined(codeOf(dead.exit), `${place} was never reached`)

        const next = yield* run({ program, env: { ...env, LIFE: "next" } })
        const record = yield* TokenStore.TokenStore.use((store) => store.read(Run.RunId.make(runId))).pipe(
          Effect.provide(kept),
          Effect.map(Option.getOrThrow)
        )
        const { responses } = yield* server.ledger
        const created = responses.filter(({ metadata }) => metadata["baton_run_id"] === runId)
        assert.isAtMost(created.length, 1)
        const state = RunState.fold(record)
        if (RunState.winners(state).length === 0) {
          // It died between the request and its answer: nobody can tell, and nobody buys it again.
          assert.notStrictEqual(codeOf(next.exit), 0)
          if (viewer !== undefined) yield* Fiber.interrupt(viewer)
          return
        }
        assert.strictEqual(codeOf(next.exit), 0)
        assert.strictEqual(RunState.statusOf(state, record.position), "completed")
        assert.isTrue(state.delivered)
        assert.isNull(record.parked)
        assert.strictEqual(record.journal.filter(({ _tag }) => _tag === "Ended").length, 1)
        if (viewer === undefined) yield* others
        else yield* Fiber.join(viewer)
        const files = readdirSync(directory).filter((name) => name.startsWith("history-"))
        const history = readHistory(files.map((name) => join(directory, name)))
        assert.strictEqual(violations(history, () => created[0]?.outputText).join("\n"), "")
        const ends = history.filter((event) => event.what === "stops" && event.how === "ended")
        assert.isAtLeast(ends.length, shared ? 3 : 2)
      }).pipe(Effect.scoped, Effect.provide(services)),
    300_000
  )

const fresh = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "baton-logged-" }))
})

const files = Effect.map(fresh, (directory): Place => ({
  directory,
  env: {},
  shared: false,
  kept: Layer.merge(
    TokenStore.layerFile({ directory: join(directory, "runs") }),
    UpdateLog.layerFile({ directory: join(directory, "updates") })
  ).pipe(Layer.provide(NodeServices.layer))
}))

describe.concurrent("a process that dies in a logged run, over files", () => {
  it.live("dies at all places that there are", () =>
    Effect.gen(function* () {
      const server = yield* ResponsesServer.ResponsesServer
      const { directory } = yield* files
      const env = { SANDBOX_URL: server.url, MODEL: "lorem:60", DIRECTORY: directory, LIFE: "whole" }
      const { exit, said } = yield* run({ program, env: { ...env, DIE_AT: "everywhere" } })
      assert.strictEqual(codeOf(exit), 0)
      const reached = new Set(said.flatMap((line) => (line.did === "reach" ? [line.place] : [])))
      assert.deepStrictEqual([...reached].toSorted(), places.toSorted())
    }).pipe(Effect.provide(services), Effect.scoped)
  )

  dying(files)
})

describeShared("a process that dies in a logged run, over Redis", (server) => {
  describe.concurrent("at a step", () =>
    dying(
      Effect.gen(function* () {
        const directory = yield* fresh
        const { url } = yield* server
        const prefix = directory.replaceAll(/[^a-zA-Z0-9]/g, "")
        return {
          directory,
          env: { REDIS: url },
          shared: true,
          kept: Layer.merge(RedisTokenStore.layer({ prefix }), RedisUpdateLog.layer({ prefix })).pipe(
            Layer.provide(client(url))
          )
        }
      })
    ))
})
