import { Run, type RunRecord, type TokenStore, type TokenStoreError } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Redis from "effect/persistence/Redis"
import * as CallScript from "./callScript.ts"
import type * as Connection from "./connection.ts"
import * as Keys from "./keys.ts"
import * as RedisFailure from "./redisFailure.ts"
import * as Existing from "./scripts/existing.ts"
import * as Holding from "./scripts/holding.ts"
import * as Looking from "./scripts/looking.ts"
import * as Recording from "./scripts/recording.ts"
import * as StoredRun from "./storedRun.ts"

const nothing: StoredRun.Sent = { facts: [], texts: [] }
const noFacts = Effect.succeed<ReadonlyArray<RunRecord.Fact>>([])

/** The settings of a store, with its connection. */
export interface Options {
  readonly prefix: string
  readonly shards: number
  readonly retention: Duration.Duration
  readonly abandonedAfter: Duration.Duration
  readonly timeout: Duration.Duration
  readonly connection: Connection.Connection
  readonly subscribe: Redis.Redis["Service"]["subscribe"]
}

const millis = (duration: Duration.Duration): string => String(Math.max(0, Math.ceil(Duration.toMillis(duration))))

/** A time as scripts take it: in milliseconds, or '' for never. */
export const after = (due: Duration.Duration): string => (Duration.isFinite(due) ? millis(due) : "")

/** Makes a namespace: its shards, and its scripts, each of which runs on one shard. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const { connection } = options
  const scripts = yield* Effect.all({
    create: CallScript.make(connection, "create", Existing.create),
    read: CallScript.make(connection, "read", Looking.read),
    find: CallScript.make(connection, "read", Looking.find),
    acquire: CallScript.make(connection, "acquire", Holding.acquire),
    claim: CallScript.make(connection, "claim", Holding.claim),
    renew: CallScript.make(connection, "renew", Holding.renew),
    release: CallScript.make(connection, "release", Holding.release),
    commit: CallScript.make(connection, "commit", Recording.commit),
    record: CallScript.make(connection, "record", Recording.record),
    conclude: CallScript.make(connection, "conclude", Existing.conclude),
    remove: CallScript.make(connection, "remove", Existing.remove),
    list: CallScript.make(connection, "list", Looking.list),
    agents: CallScript.make(connection, "list", Looking.agents),
    count: CallScript.make(connection, "count", Looking.count),
    wake: CallScript.make(connection, "wake", Looking.wake),
    layout: CallScript.make(connection, "create", Existing.layout)
  })
  const shards = Keys.shardsOf(options.prefix, options.shards)
  const limit = Duration.toMillis(options.timeout)
  // After an answer that did not come, a worker must still have time to renew its lease.
  const within = (ttl: Duration.Duration) => Math.min(limit, Math.ceil(Duration.toMillis(ttl) * 0.3))
  // The arguments of a script that may change how long a run is kept.
  const kept = [after(options.retention), after(options.abandonedAfter)] as const

  const command = (id: Run.RunId, ...args: ReadonlyArray<string>) => {
    const shard = Keys.shardOf(shards, id)
    return [...Keys.called(shard, Keys.keysOf(shard, id)), shard, id, ...args] as const
  }
  // The arguments that keep the fences of different shards different.
  const drawOf = (id: Run.RunId) => [String(shards.indexOf(Keys.shardOf(shards, id))), String(shards.length)]
  const readable = <A>(operation: string, id: Run.RunId, decoded: Result.Result<A, unknown>) =>
    Effect.mapError(Effect.fromResult(decoded), () =>
      RedisFailure.corrupt(operation, Keys.runKey(Keys.shardOf(shards, id), id))
    )
  const recordOf = (operation: string, id: Run.RunId, shown: unknown) =>
    readable(operation, id, StoredRun.decode(id, shown))
  const factsOf = (operation: string, id: Run.RunId, list: unknown, sent: StoredRun.Sent = nothing) =>
    Array.isArray(list) && list.length > 0 ? readable(operation, id, StoredRun.decodeFacts(list, sent)) : noFacts
  const writable = (
    operation: string,
    id: Run.RunId,
    encoded: Result.Result<ReadonlyArray<string>, Schema.SchemaError>
  ) => Effect.mapError(Effect.fromResult(encoded), (cause) => RedisFailure.unwritable(operation, id, cause))
  const answerOf = (
    operation: string,
    id: Run.RunId,
    outcome: TokenStore.Answer["outcome"],
    list: unknown,
    sent: StoredRun.Sent
  ): Effect.Effect<TokenStore.Answer, TokenStoreError.TokenStoreError> =>
    Effect.map(factsOf(operation, id, list, sent), (facts) => ({ outcome, facts }))

  type Shown = readonly [id: unknown, fence: unknown, shown: unknown, input: unknown]
  /** The lease, the record and the input that a script returns for a run that was acquired or claimed. */
  const takenOf = (operation: string, owner: string, given: unknown) => {
    const [id, fence, shown, rest]: Shown = Array.isArray(given)
      ? [given[0], given[1], given[2], given[3]]
      : ["", 0, [], []]
    const runId = Run.RunId.make(String(id))
    const lease: TokenStore.Lease = { runId, owner, fence: Number(fence) }
    const [input] = Array.isArray(rest) ? rest : []
    const taken = Effect.map(recordOf(operation, runId, shown), (record): TokenStore.Taken => ({
      lease,
      record,
      ...(Predicate.isString(input) ? { input } : {})
    }))
    return { lease, taken }
  }

  return {
    scripts,
    shards,
    limit,
    within,
    kept,
    command,
    drawOf,
    recordOf,
    factsOf,
    writable,
    answerOf,
    takenOf,
    millis
  }
})

/** A namespace, and its scripts. */
export type Namespace = Effect.Success<ReturnType<typeof make>>
