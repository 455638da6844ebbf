import type { TokenStoreError } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Digest from "effect/crypto/Digest"
import type * as Redis from "effect/persistence/Redis"
import * as RedisFailure from "./redisFailure.ts"

type Reply = ReadonlyArray<unknown>

/** Calls a script: `command` is how many keys there are, the keys, and the arguments. The first key is named in errors. */
export type Script = <A, E>(
  command: readonly [string, string, ...Array<string>],
  limit: number,
  answer: (reply: Reply) => Effect.Effect<A, E>
) => Effect.Effect<A, E | TokenStoreError.TokenStoreError>

/** A script by its digest, so that it is sent only to a server that does not have it: a new one, say. */
export const make = Effect.fnUntraced(function* (
  redis: Redis.Redis["Service"],
  operation: string,
  lua: string
): Effect.fn.Return<Script, never, Digest.Digest> {
  const digest = yield* Digest.Digest
  const sha = yield* digest.digestHex(Digest.sha1, new TextEncoder().encode(lua))
  return <A, E>(
    command: readonly [string, string, ...Array<string>],
    limit: number,
    answer: (reply: Reply) => Effect.Effect<A, E>
  ) => {
    type Answered = Effect.Effect<A, E | TokenStoreError.TokenStoreError>
    const failed = (error: Redis.RedisError): Answered =>
      Effect.fail(RedisFailure.fromRedis(operation, command[1], error))
    const answered = (reply: unknown): Answered => {
      if (!Array.isArray(reply)) return Effect.fail(RedisFailure.corrupt(operation, command[1]))
      return reply[0] === "newer" ? Effect.fail(RedisFailure.newer(operation, command[1])) : answer(reply)
    }
    return redis.send<unknown>("EVALSHA", sha, ...command).pipe(
      Effect.matchEffect({
        onFailure: (error) =>
          RedisFailure.isNoScript(error)
            ? Effect.matchEffect(redis.send<unknown>("EVAL", lua, ...command), {
                onFailure: failed,
                onSuccess: answered
              })
            : failed(error),
        onSuccess: answered
      }),
      Effect.timeoutOrElse({
        duration: Duration.millis(limit),
        orElse: () => Effect.fail(RedisFailure.late(operation, limit))
      })
    )
  }
})
