/** Where the stores keep their runs. All of it is gone when the scope closes. */
import { NodeRedis } from "@effect/platform-node"
import { RedisServer } from "@effect-baton/sandbox"
import { Config, Context, Data, Effect, FileSystem, Layer, Option, Random } from "effect"
import { Redis } from "effect/persistence"
import { place } from "./build.ts"
import { clean } from "./cleaning.ts"

class NoRedis extends Data.TaggedError("NoRedis")<{ readonly message: string }> {}

const redisAt = Effect.fnUntraced(function* (prefix: string) {
  const given = yield* Config.option(Config.String("REDIS_URL"))
  if (Option.isNone(given)) return (yield* RedisServer.start()).url
  const client = yield* Layer.build(NodeRedis.layer({ url: given.value })).pipe(
    Effect.mapError(({ cause }) => new NoRedis({ message: `There is no Redis at REDIS_URL, ${given.value}: ${cause}` }))
  )
  yield* Effect.addFinalizer(() => clean(Context.get(client, Redis.Redis), prefix))
  return given.value
})

/** What programs are told of the places, and why there is no Redis if there is none. */
export const places = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  // Not in the system's folder for temporary files: that is often memory, and a write to it no write to a disk.
  const files = yield* fs.makeTempDirectoryScoped({ directory: place, prefix: "files-" })
  const prefix = `baton-bench-${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}`
  return yield* Effect.match(redisAt(prefix), {
    onFailure: ({ message }) => ({ env: { BENCH_FILES: files }, noRedis: message }),
    onSuccess: (url) => ({ env: { BENCH_FILES: files, BENCH_REDIS: url, BENCH_PREFIX: prefix }, noRedis: undefined })
  })
})
