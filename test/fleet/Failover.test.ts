// A fleet is struck while its Redis fails over: every run is finished all the same, and what the failover lost is named.
import { Runs, RunState } from "@effect-baton/core"
import { assert, it } from "@effect/vitest"
import { Console, Effect, Stream } from "effect"
import { describeRedis, start, startAddress, startReplica } from "../support/redisServer.ts"
import { blows, factsOf, linesOf, prepare, runs, seed, services, strike } from "./fleet.ts"

describeRedis("a fleet of workers whose Redis fails over", () => {
  it.live(
    "finishes every run, whole, and bought once, but for those of which the failover lost an answered write",
    () =>
      Effect.gen(function* () {
        const primary = yield* start({ durable: true })
        const replica = yield* startReplica(primary)
        const address = yield* startAddress(primary.url)
        const fleet = yield* prepare(runs, 800, { url: address.url })
        let underWay = 0
        const { struck } = yield* strike(
          fleet,
          Effect.gen(function* () {
            underWay = yield* Effect.orDie(fleet.unfinished)
            yield* primary.kill
            yield* replica.promote
            yield* address.lead(replica.url)
          })
        )
        assert.isAbove(underWay, 0, "all runs had ended before the failover")
        const { responses } = yield* fleet.server.ledger
        const lost: Array<string> = []
        let finished = 0
        for (const record of yield* Stream.runCollect(Runs.list()).pipe(Effect.provideContext(fleet.context))) {
          finished++
          const state = RunState.fold(record)
          assert.isNull(record.parked, record.parked?.reason)
          assert.strictEqual(state.ended?.status, "completed", record.runId)
          assert.deepStrictEqual([record.due, record.lease, state.loose], [null, null, []])
          const own = RunState.responseIds(record)
          assert.strictEqual(own.length, 1)
          const bought = responses.filter(({ metadata }) => metadata["baton_run_id"] === record.runId)
          if (bought.length > 1) {
            // Bought again because the new primary never heard of the first: then its journal does not know it.
            assert.strictEqual(factsOf(record, "Accepted"), 1)
            lost.push(
              `${record.runId} (${bought
                .map(({ id }) => id)
                .filter((id) => !own.includes(id))
                .join(", ")})`
            )
            continue
          }
          const texts = new Map(linesOf(fleet.directory, record.runId).map(({ position, text }) => [position, text]))
          assert.strictEqual([...texts.values()].join(""), bought[0]?.outputText, `the output of ${record.runId}`)
        }
        assert.strictEqual(finished, runs)
        assert.isAtMost(lost.length, 3)
        yield* Console.log(
          `fleet (seed ${seed}): ${runs} runs through a failover, ${JSON.stringify(struck)}; ` +
            `what the failover lost: ${lost.length === 0 ? "nothing" : lost.join("; ")}`
        )
      }).pipe(Effect.scoped, Effect.provide(services)),
    (900 + runs + blows) * 1000
  )
})
