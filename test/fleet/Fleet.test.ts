// Workers share the runs of a Redis server, and are killed, stopped and paused: every run is finished, whole and once.
import { Runs, RunState } from "@effect-baton/core"
import { assert, it } from "@effect/vitest"
import { Console, Effect, Schedule, Stream } from "effect"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { describeRedis } from "../support/redisServer.ts"
import { blows, factsOf, linesOf, prepare, runs, seed, services, strike } from "./fleet.ts"
import { repeated, violations } from "./fencing.ts"

/** The leases, in milliseconds, of workers whose runs are handed over: nobody comes to wait for their end. */
const leaseTime = 60_000

/** One worker is told to stop while another is there: how long it took until the last run went on, in milliseconds. */
const handOver = Effect.gen(function* () {
  const { begin, directory, launch, server, unfinished } = yield* prepare(10, 2000, {
    env: { FLEET_LEASE: `${leaseTime} millis` }
  })
  const first = yield* launch("first")
  const lines = () => readdirSync(join(directory, "runs")).flatMap((runId) => linesOf(directory, runId))
  const until = (count: number) =>
    Effect.repeat(Effect.sync(lines), {
      until: (all) => all.length >= count,
      schedule: Schedule.spaced("20 millis")
    })
  yield* until(10 * 40)
  const second = yield* launch("second", 20)
  // Nobody else has room for one more run: when it has come on, the second worker is there.
  yield* begin("eleventh")
  yield* Effect.repeat(Effect.sync(lines), {
    until: (all) => all.some(({ worker }) => worker === "second"),
    schedule: Schedule.spaced("20 millis")
  })
  const stopped = Number(process.hrtime.bigint()) / 1e6
  yield* first.signal("SIGTERM")
  yield* first.ended
  const runIds = Array.from({ length: 10 }, (_, i) => `run-${i}`)
  yield* Effect.repeat(
    Effect.sync(() => runIds.map((runId) => linesOf(directory, runId))),
    {
      until: (all) => all.every((own) => own.some(({ worker }) => worker === "second")),
      schedule: Schedule.spaced("20 millis")
    }
  )
  // What is to be seen was seen.
  yield* server.setPace("1 millis")
  yield* unfinished.pipe(
    Effect.repeat({ until: (count) => count === 0, schedule: Schedule.spaced("100 millis") }),
    Effect.timeout("5 minutes")
  )
  let slowest = 0
  for (const runId of runIds) {
    const all = linesOf(directory, runId)
    const positions = all.map(({ position }) => position)
    assert.deepStrictEqual(positions, [...new Set(positions)])
    const taken = all.find(({ worker }) => worker === "second")
    assert.isDefined(taken, `${runId} was taken by nobody`)
    slowest = Math.max(slowest, taken!.at - stopped)
  }
  yield* Effect.andThen(second.signal("SIGTERM"), second.ended)
  return slowest
}).pipe(Effect.scoped)

describeRedis("a fleet of workers", () => {
  it.live(
    "is killed, told to stop, and paused for longer than a lease; every run is finished, whole, and bought once",
    () =>
      Effect.gen(function* () {
        const { context, directory, history, launch, server, unfinished } = yield* prepare(runs, 400)
        const { names, struck } = yield* strike({ launch, unfinished })

        const { responses } = yield* server.ledger
        const operations = yield* history
        let again = 0
        for (const record of yield* Stream.runCollect(Runs.list()).pipe(Effect.provideContext(context))) {
          const state = RunState.fold(record)
          assert.isNull(record.parked, record.parked?.reason)
          assert.strictEqual(RunState.statusOf(state, record.position), "completed")
          // Everything is done: no worker looks at it again.
          assert.isNull(record.due)
          assert.isNull(record.lease)
          assert.deepStrictEqual([state.loose, state.unresolved], [[], []])
          for (const once of ["Requested", "Accepted", "ResponseEnded", "Ended", "Delivered"] as const) {
            assert.strictEqual(factsOf(record, once), 1, `${once} of ${record.runId}`)
          }
          const lines = linesOf(directory, record.runId)
          const texts = new Map<string, string>()
          for (const { position, text } of lines) {
            assert.strictEqual(texts.get(position) ?? text, text)
            if (texts.has(position)) again++
            texts.set(position, text)
          }
          assert.deepStrictEqual(repeated(operations, record.runId, lines), [])
          const created = responses.filter(({ metadata }) => metadata["baton_run_id"] === record.runId)
          assert.deepStrictEqual(
            created.map(({ id }) => id),
            RunState.responseIds(record)
          )
          assert.strictEqual([...texts.values()].join(""), created[0]?.outputText, `the output of ${record.runId}`)
        }
        assert.deepStrictEqual(violations(operations), [])
        console.log(
          `fleet (seed ${seed}): ${runs} runs by ${names} workers, ${JSON.stringify(struck)}, ` +
            `${operations.length} operations on leases, ${again} updates came again`
        )
        assert.isAtLeast(struck.SIGSTOP, 1)
      }).pipe(Effect.scoped, Effect.provide(services)),
    (600 + runs + blows) * 1000
  )

  it.live(
    "goes on at once with the runs of a worker that is told to stop, and repeats nothing",
    () =>
      handOver.pipe(
        Effect.tap((slowest) =>
          Console.log(`after SIGTERM the last run went on elsewhere in ${slowest.toFixed(0)} ms`)
        ),
        // Less than a second if the machine has the time; more than their leases if it were those that end.
        Effect.tap((slowest) => Effect.sync(() => assert.isBelow(slowest, leaseTime / 2))),
        Effect.provide(services)
      ),
    600_000
  )

  it.live(
    "of workers that no fence stops is seen through",
    () =>
      Effect.gen(function* () {
        const { history, launch } = yield* prepare(6, 2000, { env: { FLEET_SABOTAGE: "true" } })
        yield* launch("a")
        yield* launch("b")
        yield* history.pipe(
          Effect.map(violations),
          Effect.repeat({ until: (found) => found.length > 0, schedule: Schedule.spaced("200 millis") }),
          Effect.timeout("5 minutes")
        )
      }).pipe(Effect.scoped, Effect.provide(services)),
    600_000
  )
})
