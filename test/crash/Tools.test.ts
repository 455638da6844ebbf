// A process that runs the tool calls of a run dies at each place of it. The next one brings the run to the same end: each
// call that was recorded ran once, and a call that was cut runs again, as the next attempt and with the same key.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { describeShared } from "../support/redisServer.ts"
import * as Walk from "./tools.ts"
import { run } from "./toolsChild.ts"
import { hows, judge, nameOf, services, setting, viewing } from "./toolsSetting.ts"

/** Each how begins with another turn, so that together they die at each place of each turn. */
const casesOf = (first: number) =>
  [...Walk.placesOfCalls, ...Walk.placesOfRequest].map((place, i) => {
    const turn = (i + first) % Walk.turns
    return { place: `${Walk.placesOfRequest.includes(place) ? turn + 1 : turn} ${place}` }
  })

const dying = (from: number, server: Effect.Effect<string | undefined>) =>
  describe.each(hows.map((how, i) => ({ how, name: nameOf(how), first: from + i })))("$name", ({ first, how }) => {
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

          assert.strictEqual(yield* run({ ...env, LIFE: "next", IF_LEASED: "steal" }), 0)
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
