import {
  AgentError,
  Failpoint,
  Run,
  type RunRecord,
  RunState,
  TokenStore,
  type TokenStoreError
} from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as CallScript from "./callScript.ts"
import type * as Connection from "./connection.ts"
import * as Keys from "./keys.ts"
import * as Listing from "./listing.ts"
import * as RedisFailure from "./redisFailure.ts"
import * as Existing from "./scripts/existing.ts"
import * as Holding from "./scripts/holding.ts"
import * as Looking from "./scripts/looking.ts"
import * as Recording from "./scripts/recording.ts"
import * as StoredRun from "./storedRun.ts"

type Store = TokenStore.TokenStore["Service"]
type Acquired = { readonly lease: TokenStore.Lease; readonly shown: unknown }
const noFacts = Effect.succeed<ReadonlyArray<RunRecord.Fact>>([])
type RemoveError = Effect.Error<ReturnType<Store["remove"]>>

/** The writing operations, each a step that a crash test can stop at. */
export const steps = Failpoint.steps("redis", [
  "create",
  "acquire",
  "renew",
  "release",
  "commit",
  "record",
  "conclude",
  "remove"
])

/** The runs of a namespace, each operation one script on one shard. */
export const make = Effect.fnUntraced(function* (options: {
  readonly prefix: string
  readonly shards: number
  readonly retention: Duration.Duration
  readonly timeout: Duration.Duration
  readonly connection: Connection.Connection
}) {
  const { connection } = options
  const scripts = yield* Effect.all({
    create: CallScript.make(connection, "create", Existing.create),
    read: CallScript.make(connection, "read", Looking.read),
    find: CallScript.make(connection, "read", Looking.find),
    acquire: CallScript.make(connection, "acquire", Holding.acquire),
    renew: CallScript.make(connection, "renew", Holding.renew),
    release: CallScript.make(connection, "release", Holding.release),
    commit: CallScript.make(connection, "commit", Recording.commit),
    record: CallScript.make(connection, "record", Recording.record),
    conclude: CallScript.make(connection, "conclude", Recording.conclude),
    remove: CallScript.make(connection, "remove", Existing.remove),
    list: CallScript.make(connection, "list", Looking.list),
    layout: CallScript.make(connection, "create", Existing.layout)
  })
  const shards = Keys.shardsOf(options.prefix, options.shards)
  const retention = Duration.isFinite(options.retention) ? String(Math.ceil(Duration.toMillis(options.retention))) : ""
  const limit = Duration.toMillis(options.timeout)
  // A worker has to be able to renew in time after an answer that did not come.
  const within = (ttl: Duration.Duration) => Math.min(limit, Math.ceil(Duration.toMillis(ttl) * 0.3))
  const millis = (duration: Duration.Duration) => String(Math.max(0, Math.ceil(Duration.toMillis(duration))))
  const after = (due: Duration.Duration) => (Duration.isFinite(due) ? millis(due) : "")

  const command = (id: Run.RunId, ...args: ReadonlyArray<string>) => {
    const shard = Keys.shardOf(shards, id)
    return ["3", ...Keys.keysOf(shard, id), shard, id, ...args] as const
  }
  // What keeps the fences of the shards apart.
  const drawOf = (id: Run.RunId) => [String(shards.indexOf(Keys.shardOf(shards, id))), String(shards.length)]
  const readable = <A>(operation: string, id: Run.RunId, decoded: Result.Result<A, unknown>) =>
    Effect.mapError(Effect.fromResult(decoded), () =>
      RedisFailure.corrupt(operation, Keys.runKey(Keys.shardOf(shards, id), id))
    )
  const recordOf = (operation: string, id: Run.RunId, shown: unknown) =>
    readable(operation, id, StoredRun.decode(id, shown))
  const factsOf = (operation: string, id: Run.RunId, list: unknown) =>
    Array.isArray(list) && list.length > 0 ? readable(operation, id, StoredRun.decodeFacts(list)) : noFacts
  const writable = (
    operation: string,
    id: Run.RunId,
    encoded: Result.Result<ReadonlyArray<string>, Schema.SchemaError>
  ) => Effect.mapError(Effect.fromResult(encoded), (cause) => RedisFailure.unwritable(operation, id, cause))
  const answerOf = (
    operation: string,
    id: Run.RunId,
    outcome: TokenStore.Answer["outcome"],
    list: unknown
  ): Effect.Effect<TokenStore.Answer, TokenStoreError.TokenStoreError> =>
    Effect.map(factsOf(operation, id, list), (facts) => ({ outcome, facts }))
  const lost = (lease: TokenStore.Lease) => Effect.fail(new AgentError.LeaseLost({ runId: lease.runId }))
  const notFound = (id: Run.RunId) => Effect.fail(new AgentError.RunNotFound({ runId: id }))
  const gone = (id: Run.RunId) => Effect.fail(new TokenStore.Gone({ runId: id }))

  // Who spreads runs otherwise does not find them, and would buy them again.
  let agreed = false
  const agree = Effect.suspend(() =>
    agreed
      ? Effect.void
      : scripts.layout(["1", Keys.layoutKey(options.prefix), String(options.shards)], limit, ([answer, known]) => {
          agreed = answer === "done"
          return agreed
            ? Effect.void
            : Effect.fail(RedisFailure.otherLayout(options.prefix, options.shards, String(known)))
        })
  )

  const readRun = (id: Run.RunId) =>
    scripts.read(command(id), limit, ([answer, shown]) =>
      answer === "none" ? Effect.succeedNone : Effect.asSome(recordOf("read", id, shown))
    )

  const readResponse = Effect.fnUntraced(function* (responseId: string) {
    const ids = yield* Effect.forEach(
      shards,
      (shard) =>
        scripts.find(["1", Keys.indexKey(shard, "responses"), responseId], limit, ([, found]) =>
          Effect.succeed(Array.isArray(found) ? found.filter(Predicate.isString) : [])
        ),
      { concurrency: "unbounded" }
    )
    // Several runs opened it only if it was adopted twice: then it is the first of them.
    let first: { readonly at: number; readonly record: RunRecord.RunRecord } | undefined
    for (const id of ids.flat()) {
      const record = Option.getOrUndefined(yield* readRun(Run.RunId.make(id)))
      const accepted = record?.journal.find((fact) => fact._tag === "Accepted" && fact.responseId === responseId)
      if (record !== undefined && accepted !== undefined && (first === undefined || accepted.at < first.at)) {
        first = { at: accepted.at, record }
      }
    }
    return Option.map(Option.fromUndefinedOr(first), ({ record }) => record)
  })

  const release = (lease: TokenStore.Lease, seen: number, due: string, parked: string | undefined, attempt: string) =>
    scripts.release(
      command(lease.runId, String(lease.fence), String(seen), due, parked === undefined ? "" : `=${parked}`, attempt),
      limit,
      () => Effect.void
    )

  const forget = (lease: TokenStore.Lease, length: string): Effect.Effect<boolean, RemoveError> =>
    scripts.remove(
      command(lease.runId, String(lease.fence), length),
      limit,
      ([answer]): Effect.Effect<boolean, RemoveError> =>
        answer === "lost" ? lost(lease) : answer === "moved" ? forgetSafely(lease) : Effect.succeed(true)
    )

  // Lua does not know what a journal says: so the run is forgotten if the journal is still the one that was read.
  const forgetSafely = (lease: TokenStore.Lease): Effect.Effect<boolean, RemoveError> =>
    Effect.flatMap(readRun(lease.runId), (found) => {
      if (Option.isNone(found)) return Effect.succeed(true)
      const record = found.value
      if (record.lease?.fence !== lease.fence) return lost(lease)
      const { loose, unresolved } = RunState.fold(record)
      return loose.length > 0 || unresolved.length > 0
        ? Effect.succeed(false)
        : forget(lease, String(record.journal.length))
    })

  return TokenStore.TokenStore.of({
    create: (run, { due = Duration.zero, facts = [] } = {}) =>
      Effect.andThen(
        agree,
        steps.take(
          "create",
          Effect.flatMap(writable("create", run.runId, StoredRun.encodeUnborn(facts)), (texts) =>
            scripts.create(
              command(run.runId, JSON.stringify(run), run.agent, after(due), retention, ...drawOf(run.runId), ...texts),
              limit,
              ([answer, shown]) =>
                Effect.map(recordOf("create", run.runId, shown), (record) => ({
                  record,
                  created: answer === "created"
                }))
            )
          )
        )
      ),
    read: (id) => (Predicate.isString(id) ? readRun(id) : readResponse(id.responseId)),
    acquire: (id, { attempt, owner, steal, ttl }) =>
      steps.take(
        "acquire",
        scripts
          .acquire(
            command(
              id,
              owner,
              millis(ttl),
              steal === true ? "1" : "0",
              attempt === true ? "1" : "0",
              retention,
              ...drawOf(id)
            ),
            within(ttl),
            ([answer, first, second]): Effect.Effect<Acquired, AgentError.RunNotFound | AgentError.RunLeased> =>
              answer === "none"
                ? notFound(id)
                : answer === "leased"
                  ? Effect.fail(new AgentError.RunLeased({ runId: id, owner: String(first), until: Number(second) }))
                  : Effect.succeed({ lease: { runId: id, owner, fence: Number(first) }, shown: second })
          )
          .pipe(
            Effect.flatMap(({ lease, shown }) =>
              recordOf("acquire", id, shown).pipe(
                Effect.map((record) => ({ lease, record })),
                // Nobody would know of this lease.
                Effect.tapError(() => Effect.ignore(release(lease, 0, "as it is", undefined, "back")))
              )
            )
          )
      ),
    renew: (lease, ttl, seen) =>
      steps.take(
        "renew",
        scripts.renew(
          command(lease.runId, String(lease.fence), millis(ttl), String(seen)),
          within(ttl),
          ([answer, facts]): ReturnType<Store["renew"]> =>
            answer === "done" ? factsOf("renew", lease.runId, facts) : lost(lease)
        )
      ),
    release: (lease, { attempt, due, parked, seen }) =>
      steps.take("release", release(lease, seen, after(due), parked, attempt)),
    commit: (lease, { facts = [], guard, position, seen }) => {
      const write = (texts: ReadonlyArray<string>): ReturnType<Store["commit"]> =>
        scripts.commit(
          command(
            lease.runId,
            String(lease.fence),
            String(seen),
            position === undefined ? "" : String(position.ordinal),
            position === undefined ? "" : JSON.stringify(position.token),
            ...(texts.length === 0 && guard !== true ? [] : [guard === true ? "1" : "0", retention, ...texts])
          ),
          limit,
          ([answer, since]): ReturnType<Store["commit"]> =>
            answer === "written" || answer === "moved" ? answerOf("commit", lease.runId, answer, since) : lost(lease)
        )
      return steps.take(
        "commit",
        // Most commits only write a position.
        facts.length === 0
          ? Effect.suspend(() => write([]))
          : Effect.flatMap(writable("commit", lease.runId, StoredRun.encodeFacts(facts)), write)
      )
    },
    record: (id, fact, seen) =>
      steps.take(
        "record",
        Effect.flatMap(writable("record", id, StoredRun.encodeFacts([fact])), (texts) =>
          scripts.record(
            command(id, String(seen), String(fact.incarnation), retention, ...texts),
            limit,
            ([answer, facts]): ReturnType<Store["record"]> =>
              answer === "done" ? factsOf("record", id, facts) : gone(id)
          )
        )
      ),
    conclude: (id, { due, facts, seen }) =>
      steps.take(
        "conclude",
        Effect.flatMap(writable("conclude", id, StoredRun.encodeFacts(facts)), (texts) =>
          scripts.conclude(
            command(
              id,
              String(seen),
              after(due),
              facts.map(({ incarnation }) => incarnation).join(","),
              retention,
              ...texts
            ),
            limit,
            ([answer, since]): ReturnType<Store["conclude"]> =>
              answer === "written" || answer === "moved" || answer === "held"
                ? answerOf("conclude", id, answer, since)
                : gone(id)
          )
        )
      ),
    remove: (lease, { force = false } = {}) => steps.take("remove", force ? forget(lease, "") : forgetSafely(lease)),
    list: (filter) => {
      const index = filter.due === true ? "work" : filter.parked === true ? "parked" : "runs"
      const parked = filter.parked === undefined ? "" : filter.parked ? "1" : "0"
      const agent = filter.agent === undefined ? "" : `=${filter.agent}`
      return Listing.page(
        shards,
        (shard, from, wanted) =>
          scripts.list(
            [
              "1",
              Keys.indexKey(shard, index),
              shard,
              from?.at ?? "",
              from?.id ?? "",
              String(wanted),
              filter.due === true ? "1" : "0",
              parked,
              agent
            ],
            limit,
            Effect.succeed
          ),
        filter,
        (shard, id) =>
          Effect.logWarning("baton: a run is not listed", RedisFailure.corrupt("list", Keys.runKey(shard, id)).message)
      )
    }
  })
})
