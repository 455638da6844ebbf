// When a worker looks at which shard: E18, what an idle worker costs.
import { assert, describe, it } from "@effect/vitest"
import { Timetable } from "../../packages/core/src/internal/worker/timetable.ts"

const names = ["a", "b", "c", "d"]

/** Looks as a worker does, for so long: which shards, and when. */
const looked = (timetable: Timetable, clock: { now: number }, millis: number, pace = 1000) => {
  const looks: Array<readonly [at: number, name: string]> = []
  const end = clock.now + millis
  while (clock.now < end) {
    const next = timetable.next()
    assert(next !== undefined)
    clock.now = Math.min(end, clock.now + Math.max(0, next.wait))
    if (next.wait > 0) continue
    if (next.isRound) timetable.round(pace)
    timetable.looks(next.name)
    looks.push([clock.now, next.name])
  }
  return looks
}

const made = () => {
  const clock = { now: 5000 }
  return { clock, timetable: new Timetable(names, () => clock.now) }
}

describe("the timetable of a worker", () => {
  it("E18: asks one shard at a time while nothing is known, and each in its turn", () => {
    const { clock, timetable } = made()
    const looks = looked(timetable, clock, 8000)
    assert.strictEqual(looks.length, 8)
    assert.deepStrictEqual(
      looks.map(([, name]) => name),
      [...names, ...names]
    )
  })

  it("looks where a hint says, when it says, and goes on with the round", () => {
    const { clock, timetable } = made()
    looked(timetable, clock, 100)
    timetable.hint("c", 300)
    timetable.hint("c", 700)
    timetable.hint("nowhere", 0)
    const looks = looked(timetable, clock, 2000)
    assert.deepStrictEqual(looks[0], [5400, "c"])
    assert.deepStrictEqual(
      looks.slice(1).map(([, name]) => name),
      ["b", "d"]
    )
  })

  it("keeps a hint that comes while the shard is looked at", () => {
    const { timetable } = made()
    const shard = timetable.looks("a")
    timetable.hint("a", 0)
    timetable.due(shard, 60_000)
    assert.deepStrictEqual(timetable.next(), { name: "a", wait: 0, isRound: false })
  })

  it("knows which shards have not answered", () => {
    const { timetable } = made()
    timetable.of("b").owner = "w"
    assert.deepStrictEqual(
      timetable.unanswered().map(({ name }) => name),
      ["b"]
    )
  })
})
