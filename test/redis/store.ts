import { createHash, randomUUID } from "node:crypto"
import { Run, type RunRecord, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { TokenStoreContract } from "@effect-baton/testing"
import { it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { client, type RedisServer } from "../support/redisServer.ts"

type Server = Effect.Effect<Pick<RedisServer, "url" | "send">>
type Client = (url: string) => Layer.Layer<Redis.Redis>

export type Service = TokenStore.TokenStore["Service"]

export const idOf = Run.RunId.make
export const ttl = Duration.seconds(30)

/** A store of its own on a server: in a namespace that nobody else has. */
export const storeOn = (
  server: Server,
  options: RedisTokenStore.Options = {},
  clientOf: Client = client
): Layer.Layer<TokenStore.TokenStore> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { url } = yield* server
      const prefix = `test-${randomUUID()}`
      return RedisTokenStore.layer({ prefix, timeout: "20 seconds", ...options }).pipe(Layer.provide(clientOf(url)))
    })
  )

/** A test of a store of its own on a server that is given, or shared. */
export const testing =
  (server: Server, layerOf: typeof storeOn = storeOn) =>
  (
    title: string,
    options: RedisTokenStore.Options,
    effect: (store: Service, send: RedisServer["send"], prefix: string) => Effect.Effect<unknown, unknown>,
    clientOf: Client = client
  ): void =>
    it.live(
      title,
      () =>
        Effect.gen(function* () {
          const { send } = yield* server
          const prefix = `test-${randomUUID()}`
          yield* Effect.gen(function* () {
            yield* effect(yield* TokenStore.TokenStore, send, prefix)
          }).pipe(Effect.provide(layerOf(server, { prefix, ...options }, clientOf)))
        }),
      300_000
    )

/** Another store of a namespace. */
export const beside = <A, E>(
  server: Server,
  options: RedisTokenStore.Options,
  effect: (store: Service) => Effect.Effect<A, E>,
  clientOf: Client = client
): Effect.Effect<A, E> =>
  Effect.provide(Effect.flatMap(TokenStore.TokenStore, effect), storeOn(server, options, clientOf), { local: true })

export const changingSend =
  (
    clientOf: Client,
    change: (
      send: Redis.Redis["Service"]["send"]
    ) => (command: string, args: ReadonlyArray<string>) => Effect.Effect<unknown, Redis.RedisError>
  ): Client =>
  (url) =>
    Layer.effect(
      Redis.Redis,
      Effect.map(Redis.Redis, (redis) => {
        const changed = change(redis.send)
        return {
          ...redis,
          send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
            Effect.map(changed(command, args), (reply) => reply as A)
        }
      })
    ).pipe(Layer.provide(clientOf(url)))

/** A client whose server has forgotten every script before each operation. */
export const forgetting = (clientOf: Client): Client =>
  changingSend(
    clientOf,
    (send) => (command, args) =>
      command === "EVALSHA" ? Effect.andThen(send("SCRIPT", "FLUSH"), send(command, ...args)) : send(command, ...args)
  )

const shaOf = (lua: string): string => createHash("sha1").update(lua).digest("hex")

const scripts = new Map<string, string>()

/** A client whose scripts take `time` for the server's; `whole` sends them as they are, so that none is sent twice. */
const timed = (time: Effect.Effect<string>, whole: boolean): Client =>
  changingSend(client, (send) => (command, args) => {
    if (command !== "EVAL" && command !== "EVALSHA") return send(command, ...args)
    const [script = "", ...rest] = args
    if (command === "EVAL") scripts.set(shaOf(script), script)
    const lua = command === "EVAL" ? script : scripts.get(script)
    // The server may know it from a store by its own time.
    if (lua === undefined) return Effect.fail(new Redis.RedisError({ cause: new Error("NOSCRIPT") }))
    return Effect.flatMap(time, (answer) => {
      const changed = lua.replaceAll("redis.call('TIME')", answer)
      return command === "EVAL" || whole ? send("EVAL", changed, ...rest) : send(command, shaOf(changed), ...rest)
    })
  })

// The server's clock cannot be told to go faster.
let ahead = 0

/** A client that lets time pass when it is told to. */
export const hastened: Client = timed(
  Effect.sync(() => `(function() local t = redis.call('TIME') return { t[1] + ${ahead / 1000}, t[2] } end)()`),
  false
)

/** Lets whole seconds, and some more, pass for the stores of `hastened`. */
export const advance = (duration: Duration.Duration): Effect.Effect<void> => {
  const seconds = Math.floor(Duration.toSeconds(duration))
  ahead += seconds * 1000
  return Effect.sleep(Duration.millis(Math.ceil(Duration.toMillis(duration) - seconds * 1000) + 1))
}

/** A client for whose scripts no time passes. */
export const frozen: Client = timed(Effect.succeed("{ '1764000000', '0' }"), false)

/** A client whose scripts go by the clock of the test. */
export const byTestClock: Client = timed(
  Effect.map(Clock.currentTimeMillis, (millis) => `{ '${Math.floor(millis / 1000)}', '${(millis % 1000) * 1000}' }`),
  true
)

const by = "a"

/** Facts of the first turn. */
export const factsOf = (incarnation: number) => ({
  requested: (name = "1"): RunRecord.NewFact => ({ _tag: "Requested", incarnation, by, turn: 0, try: name }),
  accepted: (responseId: string, name = "1"): RunRecord.NewFact => ({
    _tag: "Accepted",
    incarnation,
    by,
    turn: 0,
    try: name,
    responseId,
    streamed: true
  }),
  responseEnded: (responseId: string): RunRecord.NewFact => ({
    _tag: "ResponseEnded",
    incarnation,
    by,
    turn: 0,
    responseId,
    status: "failed",
    calls: []
  }),
  cancelSent: (responseId: string): RunRecord.NewFact => ({ _tag: "CancelSent", incarnation, by, responseId }),
  cancelRequested: { _tag: "CancelRequested", incarnation, by } satisfies RunRecord.NewFact,
  ended: { _tag: "Ended", incarnation, by, status: "failed" } satisfies RunRecord.NewFact,
  delivered: { _tag: "Delivered", incarnation, by } satisfies RunRecord.NewFact,
  retried: { _tag: "Retried", incarnation, by, turn: 0 } satisfies RunRecord.NewFact
})

/** A run that was created and taken. */
export const begin = Effect.fnUntraced(function* (store: Service, id: string, change: Partial<RunRecord.NewRun> = {}) {
  const { record } = yield* store.create(TokenStoreContract.newRun(id, change))
  const { lease } = yield* store.acquire(record.runId, { owner: "a", ttl })
  return { lease, record, facts: factsOf(record.incarnation) }
})

/** Creates many runs. */
export const fill = (
  store: Service,
  ids: ReadonlyArray<string>,
  options?: TokenStore.CreateOptions,
  agent = "analyst"
) =>
  Effect.forEach(ids, (id) => store.create(TokenStoreContract.newRun(id, { agent }), options), {
    concurrency: 100,
    discard: true
  })

/** `prefix` with the numbers from 0 on, all of the same length. */
export const named = (prefix: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `${prefix}-${String(i).padStart(4, "0")}`)

/** Claims in all shards. */
export const claimOn = (store: Service, options: Partial<Omit<TokenStore.ClaimOptions, "shard">> = {}) =>
  Effect.map(
    Effect.forEach(store.shards, (shard) =>
      store.claim({ agents: ["analyst"], owner: "worker", ttl, limit: 1000, ...options, shard })
    ),
    (all) => {
      const taken = all.flatMap((claimed) => claimed.taken)
      return { taken, ids: taken.map(({ lease }) => String(lease.runId)), next: all.map(({ next }) => next) }
    }
  )

/** All pages of a listing. */
export const pagesOf = Effect.fnUntraced(function* (store: Service, filter: TokenStore.RunFilter) {
  const pages: Array<ReadonlyArray<RunRecord.RunRecord>> = []
  let cursor: string | undefined
  do {
    const page: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
      ...filter,
      ...(cursor === undefined ? {} : { cursor })
    })
    pages.push(page.items)
    cursor = page.cursor
  } while (cursor !== undefined)
  return pages
})

export const idsOf = ({ items }: TokenStore.Page<RunRecord.RunRecord>): ReadonlyArray<string> =>
  items.map(({ runId }) => String(runId))

/** In which sorted sets of a namespace a run is, without what they all begin with. */
export const placesOf = Effect.fnUntraced(function* (send: RedisServer["send"], prefix: string, id: string) {
  const keys = yield* send<ReadonlyArray<string>>("KEYS", `{${prefix}:*`)
  const found: Array<string> = []
  for (const key of keys) {
    if ((yield* send("TYPE", key)) !== "zset") continue
    const members = yield* send<ReadonlyArray<string>>("ZRANGE", key, "0", "-1")
    if (members.some((member) => member === id || member.endsWith(`\0${id}`))) {
      found.push(key.replace(/^\{.*?\}:/, ""))
    }
  }
  return found.toSorted()
})

// What clients do when they connect, and what asks for the numbers.
const besides = new Set(["client", "hello", "info", "ping", "quit", "select", "config", "script", "eval", "evalsha"])

/** How often which command was used by an effect, those of scripts included. Nobody else may use the server. */
export const commandsOf = <A, E>(send: RedisServer["send"], effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    yield* send("CONFIG", "RESETSTAT")
    yield* effect
    const lines = (yield* send<string>("INFO", "commandstats")).split("\r\n")
    const counts = lines.flatMap((line) => {
      const [, name = "", calls = ""] = /^cmdstat_([a-z_]+)(?:\|[a-z]+)?:calls=(\d+),/.exec(line) ?? []
      return name === "" || besides.has(name) ? [] : [[name, Number(calls)] as const]
    })
    return Object.fromEntries(counts.toSorted(([a], [b]) => a.localeCompare(b)))
  })

/** How a run is left that is work again at once. */
export const leave: TokenStore.ReleaseOptions = { seen: 100, due: Duration.zero, attempt: "keep" }

/** Uses all scripts: one that is not known is sent again, after what was asked at the same time. */
export const primed = (server: Server, clientOf: Client = client) =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const { record } = yield* store.create(TokenStoreContract.newRun("r-1"))
    const { cancelRequested, ended } = factsOf(record.incarnation)
    const { lease } = yield* store.acquire(record.runId, { owner: "a", ttl })
    yield* claimOn(store)
    yield* store.renew(lease, ttl, 0)
    yield* store.commit(lease, TokenStoreContract.commitOf("r-1", 1))
    yield* store.record(record.runId, cancelRequested, 0)
    yield* store.read(record.runId)
    yield* store.read({ responseId: "none" })
    yield* store.list({ limit: 1 })
    yield* store.list({ limit: 1, status: ["failed"] })
    yield* store.count({})
    yield* store.wake(record.runId)
    yield* store.release(lease, leave)
    yield* store.conclude(record.runId, { seen: 1, facts: [ended], due: Duration.infinity })
    const again = yield* store.acquire(record.runId, { owner: "a", ttl })
    yield* store.remove(again.lease)
  }).pipe(Effect.provide(storeOn(server, {}, clientOf)))
