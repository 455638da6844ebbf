// A worker process: takes runs that no worker holds, and prints each update on a line. Start as many as you like. SIGTERM
// makes its runs free at once; after SIGKILL other workers take them when its leases are over.
//
//   REDIS_URL=redis://127.0.0.1:6379 REDIS_PREFIX=reports node examples/workers/worker.ts
import { NodeRuntime } from "@effect/platform-node"
import { RunPolicy, Runs } from "@effect-baton/core"
import { Console, Duration, Effect, Layer, Logger, Stream } from "effect"
import { analyst } from "../analyst.ts"
import { encodeLine } from "../line.ts"
import { Model } from "../model.ts"
import { Store } from "../redis.ts"

const Worker = Runs.worker([analyst], {
  concurrency: 2,
  startJitter: "200 millis",
  handle: ({ updates }) =>
    Stream.runForEach(updates, (update) => Effect.andThen(encodeLine(update), (line) => Console.log(line)))
})

// Short, so that you can watch. In production the default, 30 seconds, is better.
const Policy = RunPolicy.layer({ leaseTime: Duration.seconds(2) })

Layer.launch(Worker).pipe(
  Effect.provide([Model, Store, Policy]),
  // Lines on the standard output are updates; the rest goes to the standard error.
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain
)
