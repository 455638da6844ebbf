import type { TokenStoreError } from "@effect-baton/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Digest from "effect/crypto/Digest"
import type * as Redis from "effect/persistence/Redis"
import type * as Connection from "./connection.ts"
import * as RedisFailure from "./redisFailure.ts"

type Reply = ReadonlyArray<unknown>

/** Calls a script. `command` is the number of keys, the keys and the arguments. Errors name the first key. */
export type Script = <A, E>(
  command: readonly [string, string, ...Array<string>],
  limit: number,
  answer: (reply: Reply) => Effect.Effect<A, E>
) => Effect.Effect<A, E | TokenStoreError.TokenStoreError>

const isNoScript = (exit: Exit.Exit<unknown, Redis.RedisError>): boolean =>
  Exit.isFailure(exit) && Option.exists(Exit.findErrorOption(exit), RedisFailure.isNoScript)

/** Makes a script that is called by its digest. Its text is sent only to a server that does not have it yet. */
export const make = Effect.fnUntraced(function* (
  connection: Connection.Connection,
  operation: string,
  lua: string,
  subject: RedisFailure.Subject = "run"
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
      Effect.fail(RedisFailure.fromRedis(operation, command[1], error, subject))
    const answered = (reply: unknown): Answered => {
      if (!Array.isArray(reply)) return Effect.fail(RedisFailure.corrupt(operation, command[1]))
      return reply[0] === "newer" ? Effect.fail(RedisFailure.newer(operation, command[1], subject)) : answer(reply)
    }
    const call = (context: Context.Context<never>): Answered =>
      Effect.callback((resume) => {
        const underWay: Connection.Operation = { name: operation, limit, resume, since: 0, again: 0, fiber: undefined }
        const end = (exit: Exit.Exit<unknown, Redis.RedisError>): void => {
          connection.leave(underWay)
          resume(
            Exit.isSuccess(exit)
              ? answered(exit.value)
              : Effect.matchEffect(exit, { onFailure: failed, onSuccess: answered })
          )
        }
        const isSent = connection.begin(underWay, () => {
          underWay.fiber = connection.send(["EVALSHA", sha, ...command], context, (exit) => {
            if (!isNoScript(exit)) return end(exit)
            if (connection.has(underWay)) underWay.fiber = connection.send(["EVAL", lua, ...command], context, end)
          })
        })
        // A command that the client itself has sent cannot be interrupted.
        if (isSent && underWay.fiber === undefined) return undefined
        return Effect.suspend(() => {
          connection.leave(underWay)
          return underWay.fiber === undefined ? Effect.void : Fiber.interrupt(underWay.fiber)
        })
      })
    return connection.lendsContext ? Effect.contextWith(call) : call(Context.empty())
  }
})
