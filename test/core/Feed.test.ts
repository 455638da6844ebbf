// Guarantee 12: a reader that is late takes all newest updates in one step, so that lag does not grow with the load.
import { type AgentUpdate, Run } from "@effect-baton/core"
import { assert, it } from "@effect/vitest"
import { Option } from "effect"
// oxlint-disable-next-line eslint/no-restricted-imports -- how many entries come at once depends on the load from outside
import { Allowance, type Entry, Feed } from "../../packages/core/src/internal/logged/feed.ts"

const updates = (...texts: ReadonlyArray<string>): ReadonlyArray<AgentUpdate.AgentUpdate> =>
  texts.map((text) => ({
    _tag: "Update",
    text,
    status: "in_progress",
    runId: Run.RunId.make("r"),
    responseId: "resp_1",
    continuationToken: Option.none(),
    origin: "live"
  }))

/** An entry with 1000 bytes for each update, about. */
const entry = (from: number, epoch: number, ...texts: ReadonlyArray<string>): Entry => ({
  from,
  epoch,
  updates: updates(...texts),
  length: texts.length * 800
})

const textsFrom = (feed: Feed, offset: number) => {
  const found = feed.at(offset)
  return found === undefined ? undefined : feed.from(found).updates.map(({ text }) => text)
}

it("a late reader gets an entry with all that follow it, and a reader that is not late the last entry alone", () => {
  const feed = new Feed(0, false)
  feed.push(entry(0, 1, "a", "b"), false, true)
  feed.push(entry(2, 1, "c"), false, true)
  feed.push(entry(3, 1, "d"), false, true)
  assert.deepStrictEqual(textsFrom(feed, 0), ["a", "b", "c", "d"])
  assert.deepStrictEqual(textsFrom(feed, 2), ["c", "d"])
  assert.deepStrictEqual(textsFrom(feed, 3), ["d"])
  assert.isUndefined(textsFrom(feed, 4))
})

it("an entry of another epoch is not given together with those before it", () => {
  const feed = new Feed(0, false)
  feed.push(entry(0, 1, "a"), false, true)
  feed.push(entry(1, 2, "b"), false, false)
  assert.isUndefined(textsFrom(feed, 0), "the log is asked for it")
  assert.deepStrictEqual(textsFrom(feed, 1), ["b"])
})

it("keeps the newest entries alone", () => {
  const feed = new Feed(0, false)
  for (let i = 0; i < 100; i++) feed.push(entry(i, 1, String(i)), false, true)
  assert.isUndefined(textsFrom(feed, 83))
  assert.strictEqual(textsFrom(feed, 84)?.length, 16)
})

it("keeps more as long as its allowance lasts, which it shares with others and gives back", () => {
  const allowance = new Allowance(100_000)
  const [one, other] = [new Feed(0, false, allowance), new Feed(0, false, allowance)]
  const push = (feed: Feed, from: number, to: number) => {
    for (let i = from; i < to; i++) feed.push(entry(i, 1, String(i)), false, true)
  }
  push(one, 0, 16)
  assert.strictEqual(allowance.left, 100_000)
  push(one, 16, 70)
  assert.strictEqual(textsFrom(one, 0)?.length, 70)
  push(other, 0, 40)
  assert.strictEqual(textsFrom(other, 10)?.length, 30)
  assert.isUndefined(textsFrom(other, 9))
  push(one, 70, 75)
  assert.strictEqual(textsFrom(one, 5)?.length, 70)
  assert.isUndefined(textsFrom(one, 4), "all is taken")

  one.forget()
  push(other, 40, 100)
  assert.strictEqual(textsFrom(other, 10)?.length, 90)
  other.shrink(50)
  assert.strictEqual(allowance.left, 100_000)
})

it("keeps no more than one entry of a large run", () => {
  const feed = new Feed(0, false, new Allowance(10_000_000))
  for (let i = 0; i < 4; i++) feed.push({ ...entry(i, 1, String(i)), length: 600_000 }, false, true)
  assert.isUndefined(textsFrom(feed, 2))
  assert.deepStrictEqual(textsFrom(feed, 3), ["3"])
})
