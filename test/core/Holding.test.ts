// Guarantees 2, 3 and 6: how a run is taken, held and left while answers are lost and others steal it. E and a number is a
// fault.
import { NodeServices } from "@effect/platform-node"
import type { RunPolicy } from "@effect-baton/core"
import { Agent, type AgentError, type AgentUpdate, BackgroundModel, Run, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, FileSystem, Layer, Scope, Stream } from "effect"
import * as Disks from "../support/disks.ts"
import { outage } from "../support/faults.ts"
import {
  analyst,
  counter,
  doneWith,
  recordOf,
  type Services,
  stateOf,
  statusOf,
  textOf,
  uninterrupted
} from "../support/runs.ts"
import { atProvider, makeProcess, type Process, until } from "../support/schedule.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, failed, incomplete, pause, text } = ScriptedModel
type Script = ReadonlyArray<ScriptedModel.Step>
type Store = Layer.Layer<TokenStore.TokenStore>
type Verb = Effect.Effect<unknown, AgentError.AgentError, Services>

const runId = "r"
const ref = { runId }
const task = { input: "Hello", runId }
const idOf = Run.RunId.make

/** A response that would go on for long after the test. */
const long: Script = [text("a"), pause("10 hours"), text("b"), completed]

const two = (changes: Partial<RunPolicy.RunPolicy> = {}) =>
  Effect.forEach(["W0", "W1"], (name) => makeProcess(name, changes)) as Effect.Effect<
    [Process, Process],
    never,
    Services
  >

const begin = <A, E, R>(process: Process, program: Effect.Effect<A, E, R>) => Effect.forkDetach(process.run(program))
const done = <A, E, R>(process: Process, program: Effect.Effect<A, E, R>) => passing(process.run(program))

const working = Layer.build(
  Runs.worker([analyst], { concurrency: 1, handle: ({ updates }) => Stream.runDrain(updates) })
).pipe(Effect.andThen(Effect.never), Effect.scoped)

const over = (script: Parameters<typeof ScriptedModel.layer>[0], store: Store) =>
  Effect.provide(Layer.merge(ScriptedModel.layer(script), store))

/** The updates of a stream, counted from 1. */
const numbered = <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<readonly [A, number], E, R> => {
  let n = 0
  return Stream.map(stream, (update) => [update, ++n] as const)
}

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

  describe("a run that is being left", () => {
    const script: Script = [
      ...Array.from({ length: 12 }, (_, i) => [text(`${i} `), pause("30 millis")]).flat(),
      completed
    ]
    type Away = Effect.Effect<unknown>
    type Consumer = (update: AgentUpdate.AgentUpdate, n: number) => Effect.Effect<void, "no">

    /** How a consumer ends; `finished` counts the updates that it is done with. */
    const ends: ReadonlyArray<{
      readonly how: string
      /** The store is away from here on, shortly before the run is left. */
      readonly awayAt: number
      readonly read: (consume: Consumer) => Effect.Effect<unknown, AgentError.AgentError | "no", Services>
      readonly finished: number
    }> = [
      {
        how: "that is cut",
        awayAt: 9,
        finished: 9,
        read: (consume) =>
          Stream.runForEach(numbered(Stream.take(Agent.stream(analyst, task), 9)), ([u, n]) => consume(u, n))
      },
      {
        how: "that is read to its end",
        awayAt: 17,
        finished: 17,
        read: (consume) => Stream.runForEach(numbered(Agent.stream(analyst, task)), ([u, n]) => consume(u, n))
      },
      {
        how: "whose consumer fails",
        awayAt: 9,
        finished: 8,
        read: (consume) =>
          Stream.runForEach(numbered(Agent.stream(analyst, task)), ([u, n]) =>
            Effect.andThen(consume(u, n), n === 9 ? Effect.fail("no" as const) : Effect.void)
          )
      },
      {
        how: "whose consumer is interrupted",
        awayAt: 9,
        finished: 8,
        read: (consume) =>
          Stream.runForEach(numbered(Agent.stream(analyst, task)), ([u, n]) =>
            Effect.andThen(consume(u, n), n === 9 ? Effect.interrupt : Effect.void)
          )
      },
      {
        how: "that is acknowledged by hand",
        awayAt: 9,
        finished: 9,
        read: (consume) =>
          Stream.runForEach(
            numbered(Stream.take(Agent.stream(analyst, { ...task, acknowledge: "manual" }), 9)),
            ([{ acknowledge, update }, n]) => Effect.andThen(consume(update, n), acknowledge)
          )
      },
      {
        how: "of a worker that stops",
        awayAt: 9,
        finished: 8,
        read: (consume) =>
          Effect.gen(function* () {
            yield* Agent.start(analyst, task)
            const scope = yield* Scope.make()
            let isThere = false
            const worker = Runs.worker([analyst], {
              concurrency: 1,
              handle: ({ updates }) =>
                Stream.runForEach(numbered(updates), ([u, n]) =>
                  Effect.andThen(
                    consume(u, n),
                    n === 9
                      ? Effect.andThen(
                          Effect.sync(() => void (isThere = true)),
                          Effect.never
                        )
                      : Effect.void
                  )
                )
            })
            yield* Scope.provide(Layer.build(worker), scope)
            yield* Effect.repeat(
              Effect.delay(
                Effect.sync(() => isThere),
                10
              ),
              { until: (is) => is }
            )
            yield* Scope.close(scope, Exit.void)
          })
      }
    ]

    for (const { awayAt, finished, how, read } of ends) {
      for (const condition of ["is away", "loses answers"] as const) {
        for (const operations of [undefined, ["commit"], ["release"]] as const) {
          it.effect(
            `E7a: ${how}, while the store ${condition} for 100 ms (${operations?.[0] ?? "all"}): nothing comes again`,
            () => {
              const { lasting, layer: store } = outage(layer, operations)
              return Effect.gen(function* () {
                const [w0, w1] = yield* two()
                const countOf = counter(yield* uninterrupted("whole"))
                const away: Away = lasting(100, condition)
                yield* passing(
                  Effect.exit(w0.run(read((_, n) => (n === awayAt ? Effect.asVoid(away) : Effect.void)))),
                  5
                )
                const record = yield* recordOf(runId)
                assert.isNull(record.lease)
                assert.strictEqual(countOf(doneWith(record)), finished)
                assert.deepStrictEqual(record.attempts, [])
                const rest = yield* done(w1, Stream.runCollect(Agent.resume(analyst, ref)))
                assert.strictEqual(rest.length, countOf(null) - finished)
                assert.strictEqual(yield* statusOf(runId), "completed")
              }).pipe(over(script, store))
            }
          )
        }
      }

      it.effect(`E7a: ${how}, while the store is away for good: not without end`, () => {
        const { layer: store, state } = outage(layer)
        return Effect.gen(function* () {
          const [w0] = yield* two()
          yield* uninterrupted("whole")
          const [duration] = yield* passing(
            Effect.timed(
              Effect.exit(w0.run(read((_, n) => Effect.sync(() => void (n === awayAt && (state.store = "is away"))))))
            ),
            100
          )
          state.store = "works"
          assert.isAtMost(Duration.toSeconds(duration), 13)
        }).pipe(over(script, store))
      })
    }

    it.effect("E7a: by who only starts it, while the store is away for 100 ms: it is free", () => {
      const { lasting, layer: store } = outage(layer, ["release", "commit", "renew"])
      return Effect.gen(function* () {
        const [w0] = yield* two()
        const stop = w0.stop("record Accepted", "after")
        const starting = yield* begin(w0, Agent.start(analyst, task))
        yield* stop.reached
        yield* lasting(100)
        yield* stop.goOn
        yield* passing(Fiber.join(starting), 10)
        assert.isNull((yield* recordOf(runId)).lease)
      }).pipe(over(script, store))
    })

    it.effect("E7a: by who looked and saw its end, while the store is away for 100 ms: the end is recorded", () => {
      const { lasting, layer: store } = outage(layer, ["record", "conclude"])
      return Effect.gen(function* () {
        const [w0] = yield* two()
        yield* done(w0, Agent.start(analyst, task))
        yield* elapse(1000)
        yield* lasting(100)
        assert.strictEqual((yield* done(w0, Agent.poll(analyst, ref))).status, "completed")
        assert.strictEqual((yield* stateOf(runId)).ended?.status, "completed")
      }).pipe(over(script, store))
    })

    it.effect("E7a: by who looked and saw its end, whose writing is refused for 100 ms: the end is recorded", () => {
      const { lasting, layer: store } = outage(layer, ["conclude"])
      return Effect.gen(function* () {
        const [w0] = yield* two()
        yield* done(w0, Agent.start(analyst, task))
        yield* elapse(1000)
        yield* lasting(100)
        assert.strictEqual((yield* done(w0, Agent.poll(analyst, ref))).status, "completed")
        assert.strictEqual((yield* stateOf(runId)).ended?.status, "completed")
      }).pipe(over(script, store))
    })
  })

  describe("a run that is stolen", () => {
    const steal = Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const { record } = yield* store.acquire(idOf(runId), {
        owner: "thief",
        ttl: Duration.minutes(1),
        steal: true
      })
      return record
    })
    /** The store, whose writes take so long. */
    const slowly = (millis: number) =>
      changing(layer, (inner) => ({
        commit: (lease, commit) =>
          millis === 0 ? inner.commit(lease, commit) : Effect.delay(inner.commit(lease, commit), millis)
      }))
    /** An update every millisecond. */
    const fast: Script = [...Array.from({ length: 1500 }, () => [text("x"), pause("1 millis")]).flat(), completed]

    /** Who reads: `took` is called with each update. */
    const readers: ReadonlyArray<[string, (took: Effect.Effect<void>) => Verb]> = [
      ["stream", (took) => Stream.runForEach(Agent.stream(analyst, task), () => took)],
      [
        "stream, manually",
        (took) =>
          Stream.runForEach(Agent.stream(analyst, { ...task, acknowledge: "manual" }), ({ acknowledge }) =>
            Effect.andThen(took, acknowledge)
          )
      ],
      [
        "worker",
        (took) =>
          Effect.gen(function* () {
            yield* Agent.start(analyst, task)
            let end: Exit.Exit<void, AgentError.AgentError> | undefined
            const worker = Runs.worker([analyst], {
              concurrency: 1,
              startJitter: 0,
              handle: ({ updates }) =>
                Effect.onExit(
                  Stream.runForEach(updates, () => took),
                  (exit) => Effect.sync(() => void (end ??= exit))
                )
            })
            yield* Effect.scoped(
              Effect.andThen(
                Layer.build(worker),
                Effect.repeat(
                  Effect.delay(
                    Effect.sync(() => end !== undefined),
                    1
                  ),
                  { until: (is) => is }
                )
              )
            )
            if (end !== undefined && Exit.isFailure(end) && end.cause.reasons.some(({ _tag }) => _tag === "Fail")) {
              return yield* end
            }
            // The handle is interrupted when the lease is lost.
            assert.isTrue(end !== undefined && Exit.isFailure(end))
            return yield* Effect.interrupt
          })
      ]
    ]
    const isLost = (exit: Exit.Exit<unknown, AgentError.AgentError>, reader: string) => {
      if (reader === "worker" && Exit.hasInterrupts(exit)) return
      const error = Exit.findErrorOption(exit)
      assert.isTrue(error._tag === "Some" && error.value.reason._tag === "LeaseLost", `${reader}: ${String(exit)}`)
    }

    for (const write of [0, 100]) {
      for (const [reader, read] of readers) {
        it.effect(`E8: stops within one cadence and one write of ${write} ms: ${reader}`, () => {
          const slow = slowly(write)
          return Effect.gen(function* () {
            const [w0] = yield* two()
            let [updates, last] = [0, 0]
            const took = Effect.map(Clock.currentTimeMillis, (now) => {
              updates++
              last = now
            })
            const stale = yield* begin(w0, read(took))
            yield* until("20 updates", Effect.as(elapse(1, 1), updates >= 20).pipe(Effect.map(() => updates >= 20)))
            const record = yield* steal
            const stolen = yield* Clock.currentTimeMillis
            const exit = yield* passing(Fiber.await(stale), 1)
            assert.isAtMost(last - stolen, 200 + write + 1)
            isLost(exit, reader)
            const after = yield* recordOf(runId)
            assert.deepStrictEqual([after.ordinal, after.journal.length], [record.ordinal, record.journal.length])
            assert.strictEqual(yield* atProvider("resp_1"), "in_progress")
          }).pipe(over(fast, slow))
        })
      }
    }

    const well: Script = [text("a"), pause("1 second"), text("b"), completed]
    const early: Script = [text("a"), pause("1 second"), text("b"), incomplete()]
    for (const [end, script, write] of [
      ["well", well, 0],
      ["well", well, 100],
      ["incomplete", early, 0],
      ["incomplete", early, 100]
    ] as const) {
      for (const [reader, read] of readers) {
        it.effect(
          `E8: does not end ${end} for who lost it, though its last update was delivered, with writes of ${write} ms: ${reader}`,
          () =>
            Effect.gen(function* () {
              const [w0, w1] = yield* two()
              let updates = 0
              const took = Effect.sync(() => void updates++)
              const stale = yield* begin(w0, read(took))
              yield* elapse(600, 10)
              assert.isAbove(updates, 0)
              const record = yield* steal
              const exit = yield* passing(Fiber.await(stale), 10)
              isLost(exit, reader)
              const after = yield* recordOf(runId)
              assert.deepStrictEqual([after.ordinal, after.journal.length], [record.ordinal, record.journal.length])
              yield* elapse(61_000, 500)
              assert.strictEqual(textOf(yield* done(w1, Stream.runCollect(Agent.resume(analyst, ref)))), "b")
            }).pipe(over(script, slowly(write)))
        )
      }

      it.effect(`E8: does not end ${end} for who lost it, with writes of ${write} ms: run`, () =>
        Effect.gen(function* () {
          const [w0] = yield* two()
          const stale = yield* begin(w0, Agent.run(analyst, task))
          yield* elapse(600, 10)
          yield* steal
          isLost(yield* passing(Fiber.await(stale), 10), "run")
        }).pipe(over(script, slowly(write)))
      )
    }

    it.effect("E8: stops at its next renewal, if it has nothing to write", () =>
      Effect.gen(function* () {
        const [w0] = yield* two()
        const stale = yield* begin(w0, Effect.flip(Stream.runDrain(Agent.stream(analyst, task))))
        yield* elapse(1000)
        yield* steal
        const stolen = yield* Clock.currentTimeMillis
        const error = yield* passing(Fiber.join(stale), 100)
        assert.strictEqual(error.reason._tag, "LeaseLost")
        assert.isAtMost((yield* Clock.currentTimeMillis) - stolen, 10_100)
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

it.live("E7: a file store whose program is interrupted is closed when that is over", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const disk = yield* Disks.Disk
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
    const opened = yield* Deferred.make<void>()
    const program = Effect.gen(function* () {
      yield* TokenStore.TokenStore
      yield* Deferred.succeed(opened, undefined)
      return yield* Effect.never
    }).pipe(Effect.provide(TokenStore.layerFile({ directory })))
    const fiber = yield* Effect.forkChild(program)
    yield* Deferred.await(opened)
    // Who does not wait for the disk is over before it.
    disk.before = () => Effect.sleep(100)
    yield* Fiber.interrupt(fiber)
    const names = yield* fs.readDirectory(directory)
    assert.deepStrictEqual(
      names.filter((name) => name.startsWith("lock.")),
      ["lock.1.free"]
    )
  }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(Disks.layer, NodeServices.layer)))
)
