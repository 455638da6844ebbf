// Guarantees 2 and 3: how a run is left while the store is away or its answers are lost. E and a number is a fault.
import { NodeServices } from "@effect/platform-node"
import { Agent, type AgentError, type AgentUpdate, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, FileSystem, Layer, Scope, Stream } from "effect"
import * as Disks from "../support/disks.ts"
import { outage } from "../support/faults.ts"
import { begin, done, over, ref, runId, type Script, task, two } from "../support/processes.ts"
import {
  analyst,
  counter,
  doneWith,
  numbered,
  recordOf,
  type Services,
  stateOf,
  statusOf,
  uninterrupted
} from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel

describe.each(stores)("over the $name store", ({ layer }) => {
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

    it.effect.each([
      [
        "E7a: by who looked and saw its end, while the store is away for 100 ms: the end is recorded",
        ["record", "conclude"]
      ],
      ["E7a: by who looked and saw its end, whose writing is refused for 100 ms: the end is recorded", ["conclude"]]
    ] as const)("%s", ([, operations]) => {
      const { lasting, layer: store } = outage(layer, operations)
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
})

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
