import { NodeServices } from "@effect/platform-node"
import { Run, RunState, TokenStore } from "@effect-baton/core"
import { ResponsesServer } from "@effect-baton/sandbox"
import { ScriptedModel } from "@effect-baton/testing"
import { assert } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Option } from "effect"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { violations as logViolations } from "../logged/history.ts"
import { readHistory } from "../logged/recording.ts"
import { recorderIn, watching } from "../logged/reading.ts"
import * as Walk from "./tools.ts"

/** Whether the run has a log, and how its responses are followed. */
export interface How {
  readonly logged: boolean
  readonly polled: boolean
}

export const nameOf = ({ logged, polled }: How) =>
  `${logged ? "with" : "without"} a log, ${polled ? "polled" : "streamed"}`

export const hows: ReadonlyArray<How> = [
  { logged: false, polled: false },
  { logged: false, polled: true },
  { logged: true, polled: false },
  { logged: true, polled: true }
]

const fresh = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "baton-tools-" }))
})

/** A server, what its model was told, and where the processes of one test keep their runs. */
export const setting = Effect.fnUntraced(function* ({ logged, polled }: How, redis: string | undefined) {
  const directory = yield* fresh
  const told = new Map<string, Array<string>>()
  const model = Walk.model((outputs) => {
    for (const { callId, output, turn } of outputs) {
      const name = `${turn}:${callId}`
      told.set(name, [...(told.get(name) ?? []), output])
    }
  })
  const context = yield* Layer.build(ResponsesServer.layer({ pace: "3 millis", model }))
  const server = Context.get(context, ResponsesServer.ResponsesServer)
  const kept = Walk.kept({ directory, redis, logged })
  return {
    directory,
    kept,
    logged,
    /** Whether others can read while a process writes. */
    isShared: redis !== undefined,
    told,
    responses: Effect.map(server.ledger, ({ responses }) => responses),
    env: {
      SANDBOX_URL: server.url,
      MODEL: "walker",
      DIRECTORY: directory,
      LOG: logged ? "yes" : "no",
      POLLED: polled ? "yes" : "no",
      ...(redis === undefined ? {} : { REDIS: redis })
    },
    record: TokenStore.TokenStore.use((store) => store.read(Run.RunId.make(Walk.runId))).pipe(
      Effect.provide(kept),
      Effect.map(Option.getOrThrow)
    )
  }
})

export type Setting = Effect.Success<ReturnType<typeof setting>>

/** Watches the run from this process. */
export const viewing = ({ directory, kept }: Setting) =>
  watching(recorderIn(join(directory, "history-viewer"), "viewer"), Walk.watched, Walk.runId, "viewer").pipe(
    Effect.provide(kept)
  )

/** What must be so when the run has ended, however many processes it took. */
export const judge = Effect.fnUntraced(function* (at: Setting, options: { readonly bought?: number } = {}) {
  const { directory, logged, responses, told } = at
  const record = yield* at.record
  const state = RunState.fold(record)
  assert.strictEqual(state.ended?.status, "completed")
  assert.isTrue(state.delivered)
  assert.isNull(record.parked)
  assert.isNull(record.due)
  assert.strictEqual(record.journal.filter(({ _tag }) => _tag === "Ended").length, 1)
  const notes = Walk.notes.read(directory)
  const seen = Walk.seen.read(directory)
  assert.deepStrictEqual(Walk.violations({ record, notes, told, seen }), [])

  // The same end, whatever happened before it.
  const outcome = Walk.outcomes.read(directory).at(-1)
  assert.strictEqual(outcome?.text, Walk.answer)
  assert.deepStrictEqual(outcome?.content, Walk.contents)

  const bought = yield* responses
  const winners = RunState.winners(state).map(({ responseId }) => responseId)
  assert.strictEqual(winners.length, Walk.turns + 1)
  assert.isAtMost(bought.length, options.bought ?? winners.length)
  const saidBy = (responseId: string) => bought.find(({ id }) => id === responseId)?.outputText
  if (!logged) {
    const texts = Walk.textsOf(seen)
    assert.deepStrictEqual(
      winners.map((id) => texts.get(id)),
      winners.map(saidBy)
    )
    return { record, notes }
  }
  const files = readdirSync(directory).filter((name) => name.startsWith("history-"))
  const history = readHistory(files.map((name) => join(directory, name)))
  assert.deepStrictEqual(
    logViolations(history, () => winners.map(saidBy).join("")),
    []
  )
  const ends = history.filter((event) => event.what === "stops" && event.how === "ended")
  // The consumer, its viewer, and the viewer of this process.
  assert.isAtLeast(ends.length, 3)
  return { record, notes }
})

export const services = Layer.merge(NodeServices.layer, ScriptedModel.layer([]))
