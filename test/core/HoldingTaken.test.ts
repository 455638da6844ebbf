// Guarantee 6: how a run is taken, also by a worker that is interrupted or gets no answer. E and a number is a fault.
import { Agent, type AgentError, BackgroundModel, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { outage } from "../support/faults.ts"
import { begin, done, long, over, ref, runId, type Script, task, two, working } from "../support/processes.ts"
import { analyst, recordOf, type Services } from "../support/runs.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { failed, text } = ScriptedModel
type Verb = Effect.Effect<unknown, AgentError.AgentError, Services>

describe.each(stores)("over the $name store", ({ layer }) => {
  describe("a run that is being taken", () => {
    /** Every verb that takes a run, and what must be before. */
    const verbs: ReadonlyArray<{
      readonly verb: string
      readonly program: Verb
      readonly before?: Verb
      readonly script?: Script
    }> = [
      { verb: "stream", program: Stream.runDrain(Agent.stream(analyst, task)) },
      { verb: "stream, manually", program: Stream.runDrain(Agent.stream(analyst, { ...task, acknowledge: "manual" })) },
      { verb: "stream, stealing", program: Stream.runDrain(Agent.stream(analyst, { ...task, ifLeased: "steal" })) },
      { verb: "stream, waiting", program: Stream.runDrain(Agent.stream(analyst, { ...task, ifLeased: "wait" })) },
      { verb: "run", program: Agent.run(analyst, task) },
      { verb: "start", program: Agent.start(analyst, task) },
      { verb: "resume", before: Agent.start(analyst, task), program: Stream.runDrain(Agent.resume(analyst, ref)) },
      { verb: "remove", before: Agent.start(analyst, task), program: Agent.remove(analyst, ref) },
      {
        verb: "retry",
        before: Effect.exit(Agent.run(analyst, task)),
        program: Agent.retry(analyst, task),
        script: [text("a"), failed("broken")]
      },
      {
        verb: "poll, of a response that is gone",
        before: Effect.andThen(
          Agent.start(analyst, task),
          BackgroundModel.BackgroundModel.use((model) => Effect.orDie(model.remove("resp_1")))
        ),
        program: Agent.poll(analyst, ref)
      }
    ]
    const isFree = Effect.gen(function* () {
      const record = yield* recordOf(runId)
      assert.isNull(record.lease)
      assert.deepStrictEqual(record.attempts, [])
    })

    // What a worker does about a lost answer is in Claiming.test.ts.
    it.effect("E6: is free at once if a worker is interrupted before it has the answer", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        yield* done(w0, Agent.start(analyst, task))
        const stop = w0.stop("claim", "after")
        const taker = yield* begin(w0, working)
        yield* stop.reached
        assert.isNotNull((yield* recordOf(runId)).lease)
        yield* passing(Fiber.interrupt(taker))
        yield* isFree
        yield* done(w1, Agent.remove(analyst, { ...ref, force: true }))
      }).pipe(over(long, layer))
    )

    for (const { before = Effect.void, program, script = long, verb } of verbs) {
      it.effect(`E6: is free at once if its taker is interrupted before it has the answer: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0, w1] = yield* two()
          yield* done(w0, before)
          const stop = w0.stop("acquire", "after")
          const taker = yield* begin(w0, program)
          yield* stop.reached
          assert.isNotNull((yield* recordOf(runId)).lease)
          yield* passing(Fiber.interrupt(taker))
          yield* isFree
          yield* done(w1, Agent.remove(analyst, { ...ref, force: true }))
        }).pipe(over(script, layer))
      )

      it.effect(`E6: is free at once if the answer is lost: ${verb}`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          yield* done(w0, before)
          const stop = w0.stop("acquire", "after", { lost: true })
          const taker = yield* begin(w0, program)
          yield* stop.reached
          yield* stop.goOn
          yield* elapse(50)
          yield* isFree
          yield* passing(Fiber.interrupt(taker))
        }).pipe(over(script, layer))
      )

      it.effect(`E6: is free soon if the answer is lost by a store that is then away for a second: ${verb}`, () => {
        const { lasting, layer: store } = outage(layer)
        return Effect.gen(function* () {
          const [w0] = yield* two()
          yield* done(w0, before)
          const stop = w0.stop("acquire", "after")
          const taker = yield* begin(w0, program)
          yield* stop.reached
          yield* lasting(1000)
          yield* passing(Fiber.interrupt(taker))
          yield* elapse(1000)
          yield* isFree
        }).pipe(over(script, store))
      })
    }

    it.effect("E6: stays with who holds it if another one that asks for it is interrupted, or gets no answer", () =>
      Effect.gen(function* () {
        const [w0, w1] = yield* two()
        const holder = yield* begin(w0, Stream.runDrain(Agent.stream(analyst, task)))
        yield* elapse(1000)
        const { lease } = yield* recordOf(runId)
        for (const ifLeased of ["fail", "wait", "steal"] as const) {
          const stop = w1.stop("acquire", "before")
          const other = yield* begin(w1, Stream.runDrain(Agent.resume(analyst, { ...ref, ifLeased })))
          yield* stop.reached
          yield* passing(Fiber.interrupt(other))
          assert.strictEqual((yield* recordOf(runId)).lease?.fence, lease?.fence)
        }
        w1.lose("acquire")
        yield* done(w1, Effect.flip(Stream.runDrain(Agent.resume(analyst, ref))))
        assert.strictEqual((yield* recordOf(runId)).lease?.fence, lease?.fence)
        yield* passing(Fiber.interrupt(holder))
      }).pipe(over(long, layer))
    )

    it.effect("E6: is free if an acknowledgement that comes late is interrupted while it takes the run", () =>
      Effect.gen(function* () {
        const [w0] = yield* two()
        const stream = Agent.stream(analyst, { ...task, acknowledge: "manual" })
        const [first] = yield* done(w0, Stream.runCollect(Stream.take(stream, 1)))
        const stop = w0.stop("acquire", "after")
        const late = yield* begin(w0, first!.acknowledge)
        yield* stop.reached
        yield* passing(Fiber.interrupt(late))
        yield* isFree
        yield* done(w0, first!.acknowledge)
        assert.isAbove((yield* recordOf(runId)).ordinal, 0)
      }).pipe(over(long, layer))
    )
  })
})

const turns = Effect.andThen(Effect.yieldNow, Effect.andThen(Effect.yieldNow, Effect.yieldNow))

const givingWay = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.tap(Effect.andThen(turns, effect), () => turns)

/** A store whose operations give others their turn before they are done, and after. */
const hesitant = changing(TokenStore.layerMemory, (inner) => ({
  read: (id) => givingWay(inner.read(id)),
  acquire: (id, options) => givingWay(inner.acquire(id, options)),
  release: (lease, options) => givingWay(inner.release(lease, options)),
  commit: (lease, commit) => givingWay(inner.commit(lease, commit))
}))

it.effect("E6: a run is free if its taker is interrupted at any moment", () =>
  Effect.gen(function* () {
    for (const ifLeased of ["fail", "wait"] as const) {
      let passed = 0
      for (let steps = 0; steps < 60; steps++) {
        const id = `${ifLeased} ${steps}`
        yield* passing(Agent.start(analyst, { ...task, runId: id }))
        const taker = yield* Effect.forkChild(
          Stream.runForEach(Agent.resume(analyst, { runId: id, ifLeased }), () => Effect.sync(() => void passed++))
        )
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow
        yield* passing(Fiber.interrupt(taker))
        assert.isNull((yield* recordOf(id)).lease, id)
      }
      assert.isAbove(passed, 0)
    }
  }).pipe(over(long, hesitant))
)
