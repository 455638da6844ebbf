import * as Effect from "effect/Effect"
import type * as Redis from "effect/persistence/Redis"

/** Sends a command to the server, or on a cluster to any node. */
export type Ask = (...command: ReadonlyArray<string>) => Effect.Effect<unknown, Redis.RedisError>

type Settings = { readonly policy: string | undefined; readonly memory: string | undefined }

/** Names and values in turn. Depending on the client, the reply is a list, a map or an object. */
const pairs = (reply: unknown): ReadonlyArray<string> => {
  if (Array.isArray(reply)) return reply.map(String)
  if (reply instanceof Map) return Array.from(reply).flat().map(String)
  return typeof reply === "object" && reply !== null ? Object.entries(reply).flat().map(String) : []
}

const fromConfig = (reply: unknown): Settings => {
  const list = pairs(reply)
  const valueOf = (name: string) => list[list.indexOf(name) + 1]
  return list.includes("maxmemory-policy")
    ? { policy: valueOf("maxmemory-policy"), memory: valueOf("maxmemory") }
    : { policy: undefined, memory: undefined }
}

const fromInfo = (reply: unknown): Settings => ({
  policy: /^maxmemory_policy:(.*?)\r?$/m.exec(String(reply))?.[1],
  memory: /^maxmemory:(.*?)\r?$/m.exec(String(reply))?.[1]
})

const losses = {
  run: "A deleted run is lost, and starting it again buys it again.",
  log: "A deleted log begins again at offset 0, and its viewers must start again."
}

/**
 * Logs a warning if the server may delete runs or logs to free memory. It logs nothing if the policy cannot be read: many users have
 * no permission for it, and some services have no `CONFIG`.
 */
export const warnIfEvicting = (ask: Ask, subject: keyof typeof losses = "run"): Effect.Effect<void> =>
  Effect.suspend(() => ask("CONFIG", "GET", "maxmemory*")).pipe(
    Effect.map(fromConfig),
    Effect.catch(() => Effect.map(ask("INFO", "memory"), fromInfo)),
    Effect.flatMap(({ memory, policy }) =>
      policy === undefined || policy === "noeviction" || memory === "0"
        ? Effect.void
        : Effect.logWarning(
            `baton: Redis may delete ${subject}s`,
            `Its maxmemory-policy is ${policy}: when its memory is full, it deletes ${subject}s to make room. ${losses[subject]} Set maxmemory-policy to noeviction, or use a separate Redis for the ${subject}s.`
          )
    ),
    Effect.ignore
  )
