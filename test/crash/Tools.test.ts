// A process that runs the tool calls of a run dies at each place of it. The next one brings the run to the same end: each
// call that was recorded ran once, and a call that was cut runs again, as the next attempt and with the same key.
import { NodeServices } from "@effect/platform-node"
import { Run, RunState, TokenStore } from "@effect-baton/core"
import { ResponsesServer } from "@effect-baton/sandbox"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FileSystem, Fiber, Layer, Option } from "effect"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { violations as logViolations } from "../logged/history.ts"
import { readHistory } from "../logged/recording.ts"
import { recorderIn, watching } from "../logged/reading.ts"
import { describeShared } from "../support/redisServer.ts"
import * as Walk from "./tools.ts"
import { run } from "./toolsChild.ts"

interface How {
  readonly logged: boolean
  readonly polled: boolean
}

const nameOf = ({ logged, polled }: How) => `${logged ? "with" : "without"} a log, ${polled ? "polled" : "streamed"}`

const hows: ReadonlyArray<How> = [
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
const setting = Effect.fnUntraced(function* ({ logged, polled }: How, redis: string | undefined) {
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

type Setting = Effect.Success<ReturnType<typeof setting>>

/** Watches the run from this process. */
const viewing = ({ directory, kept }: Setting) =>
  watching(recorderIn(join(directory, "history-viewer"), "viewer"), Walk.watched, Walk.runId, "viewer").pipe(
    Effect.provide(kept)
  )

/** What must be so when the run has ended, however many processes it took. */
const judge = Effect.fnUntraced(function* (at: Setting, options: { readonly bought?: number } = {}) {
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

const services = Layer.merge(NodeServices.layer, ScriptedModel.layer([]))

/** Each how begins with another turn, so that together they die at each place of each turn. */
const casesOf = (first: number) =>
  [...Walk.placesOfCalls, ...Walk.placesOfRequest].map((place, i) => {
    const turn = (i + first) % Walk.turns
    return { place: `${Walk.placesOfRequest.includes(place) ? turn + 1 : turn} ${place}` }
  })

const dying = (first: number, server: Effect.Effect<string | undefined>) =>
  describe.each(hows.map((how, i) => ({ how, name: nameOf(how), first: first + i })))("$name", ({ first, how }) => {
    it.live.each(casesOf(first))(
      "$place: each call that was recorded ran once, and the end is the same",
      ({ place }) =>
        Effect.gen(function* () {
          const at = yield* setting(how, yield* server)
          const { env, logged } = at
          const viewer = at.isShared && logged ? yield* Effect.forkChild(viewing(at)) : undefined
          const dead = yield* run({ ...env, LIFE: "dies", DIE_AT: place })
          assert.isUndefined(dead, `${place} was never reached`)
          const before = yield* at.record

          assert.strictEqual(yield* run({ ...env, LIFE: "next" }), 0)
          if (viewer !== undefined) yield* Fiber.join(viewer)
          else if (logged) yield* viewing(at)
          const isUnconfirmed = Walk.isUnconfirmedAt(place)
          // With a log, the run is ahead of its consumer: it may have been anywhere after the item.
          const isAhead = logged && place.endsWith(" item")
          const mayBeUnconfirmed = isUnconfirmed || isAhead
          const { notes, record } = yield* judge(at, { bought: Walk.turns + 1 + (mayBeUnconfirmed ? 1 : 0) })
          const isRetried = record.journal.some(({ _tag }) => _tag === "Retried")
          if (!isAhead) assert.strictEqual(isRetried, isUnconfirmed)
          // What was recorded before the kill stays.
          assert.deepStrictEqual(record.journal.slice(0, before.journal.length), before.journal)
          const attempts = new Map(notes.map(({ attempt, key }) => [key, attempt]))
          const turn = Number(place.split(" ")[0])
          const again = [...attempts].filter(([, attempt]) => attempt > 1).map(([key]) => key)
          const isAtTurn = again.every((key) => {
            const of = Number(key.split(":")[1])
            return of === turn || (isAhead && of === turn + 1)
          })
          assert.isTrue(isAtTurn, `ran again: ${again.join()}`)
          if (Walk.isCutAt(place)) assert.isAtLeast(again.length, 1)
          // Of two calls, the other may have been cut.
          else if (turn !== 2 && !isAhead) assert.deepStrictEqual(again, [])
        }).pipe(Effect.scoped, Effect.provide(services)),
      300_000
    )
  })

describe.concurrent("a process that dies in a run with tools, over files", () => {
  it.live.each(hows.map((how) => ({ how, name: nameOf(how) })))(
    "$name: all places are there",
    ({ how }) =>
      Effect.gen(function* () {
        const at = yield* setting(how, undefined)
        assert.strictEqual(yield* run({ ...at.env, LIFE: "whole", DIE_AT: "everywhere" }), 0)
        if (how.logged) yield* viewing(at)
        const { notes } = yield* judge(at)
        assert.isTrue(notes.every(({ attempt }) => attempt === 1))
        const places = new Set(Walk.reached.read(at.directory).map(({ place }) => place))
        const expected = [
          ...Walk.placesOfRequest.map((place) => `0 ${place}`),
          ...Array.from({ length: Walk.turns }, (_, turn) => [
            ...Walk.placesOfCalls.map((place) => `${turn} ${place}`),
            ...Walk.placesOfRequest.map((place) => `${turn + 1} ${place}`)
          ]).flat(),
          `${Walk.turns} fact ResponseEnded:before`,
          `${Walk.turns} fact ResponseEnded:after`
        ]
        assert.deepStrictEqual([...places].toSorted(), expected.toSorted())
      }).pipe(Effect.scoped, Effect.provide(services)),
    300_000
  )

  dying(0, Effect.undefined)
})

describeShared("a process that dies in a run with tools, over Redis", (server) => {
  describe.concurrent("at a place", () =>
    dying(
      hows.length,
      Effect.map(server, ({ url }) => url)
    ))
})
