// What Baton says in the log (N5).
import { Agent, type AgentError, Run, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { logged } from "../support/logs.ts"
import { busy, inMemory, modelWith, unreachable } from "../support/models.ts"
import { analyst, recordOf, type Services, textOf } from "../support/runs.ts"
import { atProvider } from "../support/schedule.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const secret = "the plans of the secret fortress"
const input = { input: secret, runId: "r" }
const ref = { runId: "r" }
const runId = Run.RunId.make("r")
const good = [text("a"), text("b"), completed]
const long = [text("a"), pause("1 hour"), text("b"), completed]

describe("the log", () => {
  /** What began, and what was over, in the lines of a log. */
  const told = (lines: ReadonlyArray<string>) => ({
    begun: lines.filter((line) => line.startsWith("Warn baton: ")),
    ended: lines.filter((line) => line.startsWith("Info baton: recovered: "))
  })

  const openers = {
    stream: Stream.runDrain(Agent.stream(analyst, input)),
    run: Agent.run(analyst, input),
    start: Agent.start(analyst, input)
  }
  it.effect.each(["stream", "run", "start"] as const)(
    "N5: a first request that is refused for now: one line at once, and one when it is taken: %s",
    (verb) => {
      const { layer, lines, times } = logged()
      let refusals = 0
      const model = modelWith(good, (inner) => ({
        create: (request) => Stream.suspend(() => (++refusals <= 4 ? Stream.fail(busy) : inner.create(request)))
      }))
      return Effect.gen(function* () {
        const [duration] = yield* passing(Effect.timed<unknown, AgentError.AgentError, Services>(openers[verb]))
        assert.isAtLeast(Duration.toSeconds(duration), 3, "it took its time")
        const { begun, ended } = told(lines)
        assert.strictEqual(begun.length, 1, lines.join("\n"))
        assert.match(begun[0]!, /refused, and is sent again.*Rate limit.*"runId":"r","agent":"analyst"/s)
        assert.isAtMost(times[0]!, 100)
        assert.strictEqual(ended.length, 1, lines.join("\n"))
        assert.match(ended[0]!, /the request that opens a run was refused.*"runId":"r","agent":"analyst"/)
        assert.strictEqual(lines.length, 2)
        assert.notInclude(lines.join("\n"), "fortress")
      }).pipe(Effect.provide(layer), Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
    }
  )

  const ticking = [...Array.from({ length: 120 }, () => [text("x"), pause("1 second")]).flat(), completed]
  /** A provider that vanishes, and comes back. */
  const vanishing = (options: ScriptedModel.Options = {}) => {
    const state = { isAway: false }
    const lost = Effect.gen(function* () {
      while (!state.isAway) yield* Effect.sleep(50)
      return yield* unreachable
    })
    const model = modelWith(
      ticking,
      (inner) => ({
        create: (request) => Stream.interruptWhen(inner.create(request), lost),
        resume: (responseId, more) =>
          Stream.suspend(() =>
            state.isAway ? Stream.fail(unreachable) : Stream.interruptWhen(inner.resume(responseId, more), lost)
          ),
        retrieve: (responseId) =>
          Effect.suspend(() => (state.isAway ? Effect.fail(unreachable) : inner.retrieve(responseId)))
      }),
      options
    )
    return { model, state }
  }
  const following = {
    "streamed, by its holder": [Agent.stream(analyst, input), {}],
    "polled, by its holder": [Agent.stream(analyst, input), { capabilities: { resume: false } }],
    "streamed, by a viewer": [Agent.watch(analyst, ref), {}],
    "polled, by a viewer": [Agent.watch(analyst, ref), { capabilities: { resume: false } }]
  } as const
  const ways = [
    "streamed, by its holder",
    "polled, by its holder",
    "streamed, by a viewer",
    "polled, by a viewer"
  ] as const
  it.effect.each(ways)("N5: a provider that vanishes: one line soon, and one when it is back: %s", (how) => {
    const [updates, options] = following[how]
    const { layer, lines } = logged()
    const { model, state } = vanishing(options)
    return Effect.gen(function* () {
      if (how.endsWith("viewer")) yield* passing(Agent.start(analyst, input))
      const reading = yield* Effect.forkChild(Stream.runCollect(updates))
      yield* elapse(10_500, 100)
      assert.deepStrictEqual(lines, [])
      state.isAway = true
      yield* elapse(5000, 100)
      assert.strictEqual(told(lines).begun.length, 1, lines.join("\n"))
      assert.match(lines[0]!, /again.*"runId":"r","agent":"analyst"/s)
      yield* elapse(40_000, 100)
      assert.strictEqual(lines.length, 1, lines.join("\n"))
      state.isAway = false
      assert.strictEqual(textOf(yield* passing(Fiber.join(reading), 500)), "x".repeat(120))
      assert.strictEqual(told(lines).ended.length, 1, lines.join("\n"))
      assert.strictEqual(lines.length, 2, lines.join("\n"))
    }).pipe(Effect.provide(layer), Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
  })

  it.effect("N5: a look that the provider does not answer: one line at once, and one when it does: result", () => {
    const { layer, lines } = logged()
    const { model, state } = vanishing()
    return Effect.gen(function* () {
      yield* passing(Agent.start(analyst, input))
      state.isAway = true
      const waiting = yield* Effect.forkChild(Agent.result(analyst, ref))
      yield* elapse(3000, 100)
      assert.strictEqual(told(lines).begun.length, 1, lines.join("\n"))
      assert.match(lines[0]!, /cannot be retrieved.*again.*"runId":"r","agent":"analyst"/s)
      state.isAway = false
      yield* elapse(10_000, 100)
      assert.strictEqual(told(lines).ended.length, 1, lines.join("\n"))
      assert.strictEqual(lines.length, 2, lines.join("\n"))
      yield* Fiber.interrupt(waiting)
    }).pipe(Effect.provide(layer), Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
  })

  it.effect("N5: a cancel that the provider does not take: one line at once, and one when it does", () => {
    const { layer, lines } = logged()
    let refusals = 0
    let isRefusing = true
    const model = modelWith(long, (inner) => ({
      cancel: (responseId) =>
        Effect.suspend(() => {
          if (!isRefusing) return inner.cancel(responseId)
          refusals++
          return Effect.fail(unreachable)
        })
    }))
    return Effect.gen(function* () {
      const holder = yield* Effect.forkChild(Effect.flip(Stream.runDrain(Agent.stream(analyst, input))))
      yield* elapse(1000)
      const store = yield* TokenStore.TokenStore
      const { incarnation } = yield* recordOf("r")
      // As by a process that recorded it, and died.
      yield* store.record(runId, { _tag: "CancelRequested", incarnation, by: "others" }, 0)
      yield* elapse(60_000, 100)
      assert.isAtLeast(refusals, 5)
      assert.strictEqual(lines.length, 1, lines.join("\n"))
      assert.match(lines[0]!, /^Warn .*cancel.*tried again.*"runId":"r","agent":"analyst","responseId":"resp_1"/s)
      isRefusing = false
      yield* elapse(15_000, 100)
      assert.strictEqual(lines.length, 2, lines.join("\n"))
      assert.strictEqual(told(lines).ended.length, 1)
      assert.strictEqual(yield* atProvider("resp_1"), "cancelled")
      assert.strictEqual((yield* passing(Fiber.join(holder), 1000)).reason._tag, "RunCancelled")
    }).pipe(Effect.provide(layer), Effect.provide(Layer.merge(model, TokenStore.layerMemory)))
  })

  it.effect("N5: a handle that fails is told as a warning, with its run, its agent and why", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      yield* passing(Agent.start(analyst, input))
      const scope = yield* Scope.make()
      const worker = Runs.worker([analyst], {
        concurrency: 1,
        maxAttempts: 3,
        handle: () => Effect.fail(new Error("the disk is full"))
      })
      yield* Layer.buildWithScope(Layer.fresh(worker), scope)
      yield* elapse(30_000, 100)
      yield* passing(Scope.close(scope, Exit.void))
      assert.strictEqual(lines.length, 3, lines.join("\n"))
      for (const line of lines) assert.match(line, /^Warn .*the disk is full.*"runId":"r","agent":"analyst"/s)
      assert.match(lines[0]!, /handle of a run failed, and is tried again/)
      assert.match(lines[2]!, /parked/)
      assert.notInclude(lines.join("\n"), "fortress")
    }).pipe(Effect.provide(layer), Effect.provide(inMemory(long)))
  })
})
