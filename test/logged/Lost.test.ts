// A stream whose log lost updates takes its run again, but not past updates that others acknowledged meanwhile.
import { Agent, AgentError, Run, RunPolicy, TokenStore, UpdateLog } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Stream } from "effect"
// oxlint-disable-next-line eslint/no-restricted-imports -- what stands where in time is hard to come by from outside
import { Feed } from "../../packages/core/src/internal/logged/feed.ts"
// oxlint-disable-next-line eslint/no-restricted-imports -- as above
import { LogPull } from "../../packages/core/src/internal/logged/logPull.ts"
// oxlint-disable-next-line eslint/no-restricted-imports -- as above
import { entryOf, type Logged } from "../../packages/core/src/internal/logged/reading.ts"
import { analyst, textOf } from "../support/runs.ts"
import { makeProcess } from "../support/schedule.ts"
import { elapse, passing } from "../support/time.ts"
import { losable } from "./chaos.ts"

const { completed, pause, text } = ScriptedModel

const script = [..."abcdefghij"].flatMap((letter) => [text(letter), pause("1 second")])

describe("a stream whose log lost updates", () => {
  it.effect.each([
    ["that went on", 6, "acquire"],
    ["that ended", Infinity, "release"]
  ] as const)("has no gap if another worker took the run %s", ([, most, step]) =>
    Effect.gen(function* () {
      const { log, lose } = yield* losable
      yield* Effect.gen(function* () {
        const first = yield* makeProcess("first", { closeTimeout: Duration.minutes(10) })
        const second = yield* makeProcess("second")
        const seen: Array<string> = []
        const reading = Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId: "r" }), (update) =>
          Effect.sync(() => void seen.push(update.text))
        )
        const failed = yield* Effect.forkChild(first.run(Effect.flip(reading)))
        yield* elapse(2500)
        const again = first.stop(step, "before")
        yield* lose(1)
        yield* again.reached
        const others = yield* passing(
          second.run(Stream.runCollect(Stream.take(Agent.resume(analyst, { runId: "r", ifLeased: "steal" }), most)))
        )
        assert.isNotEmpty(textOf(others))
        yield* again.goOn
        const { reason } = yield* passing(Fiber.join(failed))
        assert.strictEqual(reason._tag, "LeaseLost")
        assert.isTrue("abcdefghij".startsWith(seen.join("")), seen.join(""))
      }).pipe(Effect.provideService(UpdateLog.UpdateLog, log))
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(ScriptedModel.layer([...script, completed]), TokenStore.layerMemory))
    )
  )
})

describe("the newest updates of a log", () => {
  it("are forgotten if others are written in their place", () => {
    const feed = new Feed(0, false)
    const updates = [{}, {}, {}] as never
    feed.push({ from: 0, epoch: 1, updates, length: 1 }, false, true)
    assert.isDefined(feed.at(0))
    feed.push({ from: 1, epoch: 2, updates, length: 1 }, false, true)
    assert.isUndefined(feed.at(0))
    assert.strictEqual(feed.at(1)?.epoch, 2)
  })
})

describe("viewers of a log that another worker goes on with", () => {
  it.effect.each([
    ["read on, and ask once for all whether it is as they saw it", false],
    ["are told if it lost what they saw", true]
  ] as const)("%s", ([, isLost]) =>
    Effect.gen(function* () {
      const inner = yield* UpdateLog.UpdateLog
      const runId = Run.RunId.make("r")
      yield* passing(Stream.runDrain(Agent.stream(analyst, { input: "Hello", runId: "written" })))
      const [chunk] = (yield* inner.read(Run.RunId.make("written"), { from: 0, limit: 1 })).chunks
      const { count } = chunk!
      const append = (from: number, epoch: number) => inner.append(runId, { ...chunk!, from, epoch })

      let looks = 0
      const log: typeof inner = {
        ...inner,
        read: (id, options) => {
          if (options.from === count - 1) looks++
          return inner.read(id, options)
        }
      }
      yield* Effect.gen(function* () {
        yield* Agent.start(analyst, { input: "Hello", runId })
        const seen = Array.from({ length: 5 }, () => [] as Array<string>)
        const viewers = yield* Effect.forEach(seen, (texts) =>
          Agent.watch(analyst, { runId }).pipe(
            Stream.take(2 * count),
            Stream.runForEach((update) => Effect.sync(() => void texts.push(update.text))),
            Effect.exit,
            Effect.forkChild
          )
        )
        yield* elapse(100)
        yield* inner.open(runId, 1)
        yield* append(0, 1)
        yield* elapse(2000)
        for (const texts of seen) assert.lengthOf(texts, count)
        looks = 0

        if (isLost) {
          yield* inner.remove(runId)
          yield* inner.open(runId, 2)
          yield* append(0, 2)
        }
        yield* append(count, 2)
        const exits = yield* passing(Effect.forEach(viewers, (viewer) => Fiber.join(viewer)))
        for (const exit of exits) {
          if (!isLost) assert.isTrue(Exit.isSuccess(exit), String(exit))
          else assert.match(String(exit), /TokenInvalid|rewritten|lost updates/)
        }
        for (const texts of seen) assert.lengthOf(texts, isLost ? count : 2 * count)
        if (!isLost) assert.strictEqual(looks, 1)
      }).pipe(Effect.provideService(UpdateLog.UpdateLog, log))
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.mergeAll(ScriptedModel.layer([...script, completed]), TokenStore.layerMemory, UpdateLog.layerMemory)
      )
    )
  )
})

describe("a reader of a log that ends", () => {
  it.effect.each([
    ["the same", 1],
    ["another", 2]
  ] as const)("is told of the end only if the log still has its last update: in %s epoch", ([, epoch]) =>
    Effect.gen(function* () {
      const runId = Run.RunId.make("r")
      yield* passing(Stream.runDrain(Agent.stream(analyst, { input: "Hello", runId })))
      const log = yield* UpdateLog.UpdateLog
      const { chunks } = yield* log.read(runId, { from: 0, limit: 1 })
      const chunk = { ...chunks[0]!, epoch: 1 }
      yield* log.remove(runId)
      const errorOf = (reason: AgentError.AgentError["reason"]) =>
        new AgentError.AgentError({ runId, agent: "a", reason })
      const logged: Logged = { log, runId, agent: "a", policy: RunPolicy.defaults, sealed: false, errorOf }
      const feed = new Feed(0, false)
      const { pull } = new LogPull(logged, feed, { offset: 0 })
      feed.push(yield* entryOf(logged, chunk), false, true)
      assert.lengthOf(yield* pull, chunk.count)
      // The log that has ended may have been written again after this reader read it.
      yield* log.append(runId, { ...chunk, epoch, ended: true })
      feed.push({ from: chunk.count, epoch, updates: [], length: 0 }, true, false)
      feed.finish(Exit.void)
      const end = yield* Effect.flip(pull)
      assert.strictEqual(end._tag === "AgentError" ? end.reason._tag : end._tag, epoch === 1 ? "Done" : "TokenInvalid")
    }).pipe(
      Effect.provide(
        Layer.mergeAll(ScriptedModel.layer([...script, completed]), TokenStore.layerMemory, UpdateLog.layerMemory)
      )
    )
  )
})
