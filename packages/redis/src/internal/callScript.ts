import type { TokenStoreError } from "@effect-baton/core"
import { Duration, Effect } from "effect"
import { Digest } from "effect/crypto"
import type { Redis } from "effect/persistence/Redis"
import * as RedisFailure from "./redisFailure.ts"

/** Calls a script: its keys come first, and the first of them is named where it fails. */
export type Script = (
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<string>,
  limit: number
) => Effect.Effect<ReadonlyArray<unknown>, TokenStoreError.TokenStoreError>

/** A script by its digest, so that it is sent only to a server that does not have it: a new one, say. */
export const make = Effect.fnUntraced(function* (
  redis: Redis["Service"],
  operation: string,
  lua: string
): Effect.fn.Return<Script, never, Digest.Digest> {
  const digest = yield* Digest.Digest
  const sha = yield* digest.digestHex(Digest.sha1, new TextEncoder().encode(lua))
  return (keys, args, limit) => {
    const rest = [String(keys.length), ...keys, ...args]
    const key = keys[0] ?? ""
    return redis.send<unknown>("EVALSHA", sha, ...rest).pipe(
      Effect.catchIf(RedisFailure.isNoScript, () => redis.send<unknown>("EVAL", lua, ...rest)),
      Effect.mapError(RedisFailure.fromRedis(operation, key)),
      Effect.timeoutOrElse({
        duration: Duration.millis(limit),
        orElse: () => Effect.fail(RedisFailure.late(operation, limit))
      }),
      Effect.flatMap((reply) => {
        if (!Array.isArray(reply)) return Effect.fail(RedisFailure.corrupt(operation, key))
        return reply[0] === "newer" ? Effect.fail(RedisFailure.newer(operation, key)) : Effect.succeed(reply)
      })
    )
  }
})
