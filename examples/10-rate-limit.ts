// A limit for all workers together: here one report is saved every half second at most, whichever worker saves it. The
// count is kept in Redis, so it holds for any number of processes; the two workers here stand for two of them.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, Runs } from "@effect-baton/core"
import { Clock, Console, Data, Effect, Layer, Queue, Stream } from "effect"
import { RateLimiter } from "effect/persistence"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"
import { Client, RedisPlace, Store } from "./redis.ts"

class TooFast extends Data.TaggedError("TooFast")<{ readonly message: string }> {}

const runIds = ["report-1", "report-2", "report-3", "report-4", "report-5", "report-6"]
const interval = 500

const program = Effect.gen(function* () {
  const { prefix } = yield* RedisPlace
  const limited = yield* RateLimiter.makeWithRateLimiter
  const atMostOne = limited({ key: `${prefix}:saves`, limit: 1, window: interval, onExceeded: "delay" })
  const saves = yield* Queue.unbounded<{ readonly asked: number; readonly saved: number }>()

  const worker = (name: string) =>
    Runs.worker([analyst], {
      concurrency: 3,
      handle: ({ agent, runId, updates }) =>
        Effect.gen(function* () {
          yield* Stream.runDrain(updates)
          const { text } = yield* Agent.result(agent, { runId })
          const asked = yield* Clock.currentTimeMillis
          // Whatever the limit is for: a database, another service.
          const save = Effect.andThen(
            Effect.sleep("20 millis"),
            Console.log(`${name} saved ${runId}, ${text.length} characters`)
          )
          yield* atMostOne(save)
          yield* Queue.offer(saves, { asked, saved: yield* Clock.currentTimeMillis })
        })
    })

  const input = yield* task
  yield* Effect.forEach(runIds, (runId) => Agent.start(analyst, { input, runId }), { concurrency: "unbounded" })
  yield* Layer.build(Layer.merge(worker("worker 1"), worker("worker 2")))

  const times = yield* Effect.forEach(runIds, () => Queue.take(saves))
  const took = Math.max(...times.map(({ saved }) => saved)) - Math.min(...times.map(({ asked }) => asked))
  const least = (runIds.length - 1) * interval
  yield* Console.log(`${runIds.length} saves took ${took} ms; the limit says at least ${least} ms`)
  if (took < least) return yield* new TooFast({ message: "The limit was not kept." })
}).pipe(Effect.scoped)

const Limiter = RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreRedis()), Layer.provide(Client))

program.pipe(Effect.provide([Model, Store, Limiter, RedisPlace.layer, NodeServices.layer]), NodeRuntime.runMain)
