// Guarantee 12: a reader that is late takes all newest updates in one step, so that lag does not grow with the load.
import { type AgentUpdate, Run } from "@effect-baton/core"
import { assert, it } from "@effect/vitest"
import { Option } from "effect"
// oxlint-disable-next-line eslint/no-restricted-imports -- how many entries come at once depends on the load from outside
import { Feed } from "../../packages/core/src/internal/logged/feed.ts"

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

const textsFrom = (feed: Feed, offset: number) => {
  const entry = feed.at(offset)
  return entry === undefined ? undefined : feed.from(entry).updates.map(({ text }) => text)
}

it("a late reader gets an entry with all that follow it, and a reader that is not late the last entry alone", () => {
  const feed = new Feed(0, false)
  feed.push({ from: 0, epoch: 1, updates: updates("a", "b") }, false)
  feed.push({ from: 2, epoch: 1, updates: updates("c") }, false)
  feed.push({ from: 3, epoch: 1, updates: updates("d") }, false)
  assert.deepStrictEqual(textsFrom(feed, 0), ["a", "b", "c", "d"])
  assert.deepStrictEqual(textsFrom(feed, 2), ["c", "d"])
  assert.deepStrictEqual(textsFrom(feed, 3), ["d"])
  assert.isUndefined(textsFrom(feed, 4))
})

it("an entry of another epoch is not given together with those before it", () => {
  const feed = new Feed(0, false)
  feed.push({ from: 0, epoch: 1, updates: updates("a") }, false)
  feed.push({ from: 1, epoch: 2, updates: updates("b") }, false)
  assert.isUndefined(textsFrom(feed, 0), "the log is asked for it")
  assert.deepStrictEqual(textsFrom(feed, 1), ["b"])
})

it("keeps the newest entries alone", () => {
  const feed = new Feed(0, false)
  for (let i = 0; i < 100; i++) feed.push({ from: i, epoch: 1, updates: updates(String(i)) }, false)
  assert.isUndefined(textsFrom(feed, 83))
  assert.strictEqual(textsFrom(feed, 84)?.length, 16)
})
