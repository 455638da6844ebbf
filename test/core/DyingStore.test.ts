// A store that dies, which no store should, is a store that is away: what it did not do is tried again, or says so.
import { Agent, type AgentError, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Logger, Scope, Stream } from "effect"
import { logged } from "../support/logs.ts"
import { analyst, count, doneWith, halting, recordOf, type Services, statusOf, textOf } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }

/** A minute of it: the lease, of half a minute, is renewed five times. */
const ticking = [...Array.from({ length: 60 }, () => [text("x"), pause("1 second")]).flat(), completed]

/** Ways in which an operation dies: as an effect, or when it is called. */
const ways = {
  dies: () => Effect.die(new Error("it is not valid")),
  throws: (): Effect.Effect<never> => JSON.parse("it")
}

/** A store in memory, and how often more each of its operations dies. */
const mortal = (way: keyof typeof ways = "dies") => {
  const deaths: Partial<Record<keyof TokenStore.Operations, number>> = {}
  const seen = { died: 0 }
  const or = <A, E>(name: keyof TokenStore.Operations, operation: () => Effect.Effect<A, E>) => {
    const left = deaths[name] ?? 0
    if (left === 0) return operation()
    deaths[name] = left - 1
    seen.died++
    return ways[way]()
  }
  const layer = changing(TokenStore.layerMemory, (inner) => ({
    create: (...given) => or("create", () => inner.create(...given)),
    read: (...given) => or("read", () => inner.read(...given)),
    acquire: (...given) => or("acquire", () => inner.acquire(...given)),
    renew: (...given) => or("renew", () => inner.renew(...given)),
    release: (...given) => or("release", () => inner.release(...given)),
    commit: (...given) => or("commit", () => inner.commit(...given)),
    record: (...given) => or("record", () => inner.record(...given)),
    conclude: (...given) => or("conclude", () => inner.conclude(...given)),
    remove: (...given) => or("remove", () => inner.remove(...given)),
    list: (...given) => or("list", () => inner.list(...given)),
    claim: (...given) => or("claim", () => inner.claim(...given)),
    count: (...given) => or("count", () => inner.count(...given)),
    wake: (...given) => or("wake", () => inner.wake(...given)),
    // Each listener hears one hint before they die again.
    wakeups: Stream.suspend(() =>
      (deaths.wakeups ?? 0) === 0
        ? inner.wakeups
        : Stream.concat(Stream.take(inner.wakeups, 1), Stream.fromEffect(or("wakeups", () => Effect.never)))
    )
  }))
  return { deaths, seen, layer }
}

/** The failure of the store that an error names. */
const named = ({ reason }: AgentError.AgentError) => {
  assert(reason._tag === "StoreFailed")
  return reason.error
}

describe.each(["dies", "throws"] as const)("a store that %s", (way) => {
  it.effect.each(["renew", "commit"] as const)(
    "once in %s is asked again: the run is read to its end, and the log says so when it begins and when it is over",
    (operation) => {
      const { deaths, layer, seen } = mortal(way)
      const { layer: logger, lines } = logged()
      return Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, input)))
        yield* elapse(5000, 100)
        deaths[operation] = 1
        const updates = yield* passing(Fiber.join(fiber), 100)
        assert.strictEqual(textOf(updates), "x".repeat(60))
        assert.isNull(doneWith(yield* recordOf("r")))
        assert.isNull((yield* recordOf("r")).lease)
        assert.strictEqual(seen.died, 1)
        assert.strictEqual(lines.length, 2, lines.join("\n"))
        assert.match(lines[0]!, new RegExp(`^Warn baton: .*tried again.*${operation}: .*died.*valid.*"runId":"r"`))
        assert.match(lines[1]!, /^Info baton: recovered: .*"runId":"r"/)
      }).pipe(Effect.provide(Layer.mergeAll(ScriptedModel.layer(ticking), layer, logger)))
    }
  )

  it.effect("in every renewal is the reason for which the run fails when its lease ends", () => {
    const { deaths, layer, seen } = mortal(way)
    const { layer: logger, lines } = logged()
    deaths.renew = Number.POSITIVE_INFINITY
    return Effect.gen(function* () {
      const failing = Effect.flip(Stream.runDrain(Agent.stream(analyst, input)))
      const [took, error] = yield* passing(Effect.timed(failing), 100)
      const { description, kind, operation } = named(error)
      assert.deepStrictEqual([operation, kind], ["renew", "unavailable"])
      assert.match(description, /died.*valid/)
      assert.isTrue(error.isRetryable)
      assert.isAtMost(Duration.toSeconds(took), 31)
      assert.isAtLeast(seen.died, 10)
      assert.strictEqual(lines.filter((line) => line.startsWith("Warn")).length, 1, lines.join("\n"))
    }).pipe(Effect.provide(Layer.mergeAll(ScriptedModel.layer(ticking), layer, logger)))
  })

  const verbs: Record<string, ReadonlyArray<Effect.Effect<unknown, AgentError.AgentError, Services>>> = {
    create: [Agent.start(analyst, { ...input, runId: "s" })],
    read: [Agent.poll(analyst, ref), Stream.runDrain(Agent.watch(analyst, ref)), Runs.retry("r"), Runs.discard("r")],
    acquire: [Stream.runDrain(Agent.resume(analyst, ref))],
    remove: [Agent.remove(analyst, ref)],
    list: [Stream.runDrain(Runs.list())],
    count: [Runs.count()],
    wake: [Runs.wake("resp_1")]
  }
  it.effect.each(["create", "read", "acquire", "remove", "list", "count", "wake"] as const)(
    "in %s is named by every verb that needs it, and can be asked again",
    (operation) => {
      const { deaths, layer } = mortal(way)
      return Effect.gen(function* () {
        yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 3)))
        for (const verb of verbs[operation] ?? []) {
          // Once more than an acquisition whose answer did not come is asked for again, to be given back.
          deaths[operation] = operation === "acquire" ? 2 : 1
          const error = yield* passing(Effect.flip(verb))
          assert.strictEqual(named(error).operation, operation)
          assert.isTrue(error.isRetryable)
        }
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), layer)))
    }
  )

  it.effect.each(["claim", "commit", "record", "release", "renew", "wakeups"] as const)(
    "three times in %s takes no slot of a worker for ever: all its runs come to their end",
    (operation) => {
      const { deaths, layer } = mortal(way)
      const ids = ["r", "s", "t"]
      return Effect.gen(function* () {
        for (const runId of ids) yield* Agent.start(analyst, { ...input, runId })
        deaths[operation] = 3
        const scope = yield* Scope.make()
        const worker = Runs.worker([analyst], {
          concurrency: 1,
          claimEvery: "500 millis",
          startJitter: "0 millis",
          handle: ({ updates }) => Stream.runDrain(updates)
        })
        yield* Layer.buildWithScope(Layer.fresh(worker), scope)
        yield* elapse(180_000, 500)
        for (const runId of ids) {
          assert.strictEqual(yield* statusOf(runId), "completed")
          assert.isNull(doneWith(yield* recordOf(runId)))
        }
        assert.strictEqual(yield* count("create"), ids.length)
        yield* passing(Scope.close(scope, Exit.void))
      }).pipe(Effect.provide(Layer.mergeAll(ScriptedModel.layer(halting), layer, logged().layer)))
    }
  )
})

describe("a store that is interrupted", () => {
  it.effect.each([
    ["and ends", Effect.never],
    ["and dies of it", Effect.onInterrupt(Effect.never, () => Effect.die("interrupted"))]
  ] as const)("%s has not failed", ([, hanging]) => {
    const layer = changing(TokenStore.layerMemory, (inner) => ({
      read: (id) => (id === "hanging" ? Effect.interruptible(hanging) : inner.read(id))
    }))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(Agent.poll(analyst, { runId: "hanging" })))
      yield* elapse(1000)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert(Exit.isFailure(exit))
      assert.isTrue(Cause.hasInterrupts(exit.cause))
      assert.isFalse(Cause.hasFails(exit.cause))
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), layer)))
  })
})

describe("a logger that dies", () => {
  it.effect("of the news that a lease could not be renewed does not keep it from being renewed", () => {
    const { deaths, layer } = mortal()
    const { layer: logger, lines } = logged()
    deaths.renew = 1
    let died = 0
    const dying = Logger.layer(
      [
        Logger.make(({ message }) => {
          if (died === 0 && String(message).includes("the lease of a run")) died = JSON.parse("1, and no more")
        })
      ],
      { mergeWithExisting: true }
    )
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)), 100)
      assert.strictEqual(textOf(updates), "x".repeat(60))
      assert.isNull(doneWith(yield* recordOf("r")))
      assert.match(lines.join("\n"), /Warn baton: work in the background .*JSON.*"runId":"r"/s)
    }).pipe(Effect.provide(Layer.mergeAll(ScriptedModel.layer(ticking), layer, Layer.provideMerge(dying, logger))))
  })
})
