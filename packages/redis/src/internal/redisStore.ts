import { AgentError, ContinuationToken, Failpoint, type Run, TokenStore, TokenStoreError } from "@effect-baton/core"
import { Duration, Effect, Result } from "effect"
import { Redis } from "effect/persistence"
import * as CallScript from "./callScript.ts"
import * as Keys from "./keys.ts"
import * as Listing from "./listing.ts"
import * as RedisFailure from "./redisFailure.ts"
import * as Scripts from "./scripts.ts"
import * as StoredRun from "./storedRun.ts"

type Store = TokenStore.TokenStore["Service"]

/** The writing operations, each a step that a crash test can stop at. */
export const steps = Failpoint.steps("redis", ["create", "acquire", "renew", "release", "commit", "signal", "remove"])

/** The runs of a namespace, each operation one script on one shard. */
export const make = Effect.fnUntraced(function* (options: {
  readonly prefix: string
  readonly shards: number
  readonly retention: Duration.Duration
  readonly timeout: Duration.Duration
}) {
  const redis = yield* Redis.Redis
  const scripts = yield* Effect.all({
    create: CallScript.make(redis, "create", Scripts.create),
    read: CallScript.make(redis, "read", Scripts.read),
    acquire: CallScript.make(redis, "acquire", Scripts.acquire),
    renew: CallScript.make(redis, "renew", Scripts.renew),
    release: CallScript.make(redis, "release", Scripts.release),
    commit: CallScript.make(redis, "commit", Scripts.commit),
    signal: CallScript.make(redis, "signal", Scripts.signal),
    remove: CallScript.make(redis, "remove", Scripts.remove),
    list: CallScript.make(redis, "list", Scripts.list),
    layout: CallScript.make(redis, "create", Scripts.layout)
  })
  const shards = Keys.shardsOf(options.prefix, options.shards)
  const retention = Duration.isFinite(options.retention) ? String(Math.ceil(Duration.toMillis(options.retention))) : ""
  const limit = Duration.toMillis(options.timeout)
  // A worker has to be able to renew in time after an answer that did not come.
  const within = (ttl: Duration.Duration) => Math.min(limit, Math.ceil(Duration.toMillis(ttl) * 0.3))
  const millis = (ttl: Duration.Duration) => String(Math.ceil(Duration.toMillis(ttl)))

  const command = (id: Run.RunId, ...args: ReadonlyArray<string>) => {
    const shard = Keys.shardOf(shards, id)
    return ["2", Keys.runKey(shard, id), Keys.journalKey(shard, id), shard, id, ...args] as const
  }
  const corrupt = (operation: string, id: Run.RunId) =>
    RedisFailure.corrupt(operation, Keys.runKey(Keys.shardOf(shards, id), id))
  const recordOf = (operation: string, id: Run.RunId, shown: unknown) =>
    Effect.mapError(Effect.fromResult(StoredRun.decode(id, shown)), () => corrupt(operation, id))
  const lost = (lease: TokenStore.Lease) => Effect.fail(new AgentError.LeaseLost({ runId: lease.runId }))
  const notFound = (id: Run.RunId) => Effect.fail(new AgentError.RunNotFound({ runId: id }))

  // Who spreads runs otherwise does not find them, and would buy them anew.
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

  return TokenStore.TokenStore.of({
    create: (run) =>
      Effect.andThen(
        agree,
        steps.take(
          "create",
          scripts.create(
            command(
              run.runId,
              JSON.stringify(run),
              run.agent,
              JSON.stringify(ContinuationToken.start(run.agent, run.runId))
            ),
            limit,
            ([answer, shown]) =>
              Effect.map(recordOf("create", run.runId, shown), (record) => ({ record, created: answer === "created" }))
          )
        )
      ),
    read: (id) =>
      scripts.read(command(id), limit, ([answer, shown]) =>
        answer === "none" ? Effect.succeedNone : Effect.asSome(recordOf("read", id, shown))
      ),
    acquire: (id, { owner, takeOver, ttl }) =>
      steps.take(
        "acquire",
        scripts.acquire(
          command(id, owner, millis(ttl), takeOver === true ? "1" : "0"),
          within(ttl),
          ([answer, first, second]): ReturnType<Store["acquire"]> => {
            if (answer === "none") return notFound(id)
            if (answer === "leased") {
              return Effect.fail(new AgentError.RunLeased({ runId: id, owner: String(first), until: Number(second) }))
            }
            const lease = { runId: id, owner, fence: Number(first) }
            return Effect.map(recordOf("acquire", id, second), (record) => ({ lease, record }))
          }
        )
      ),
    renew: (lease, ttl) =>
      steps.take(
        "renew",
        scripts.renew(command(lease.runId, String(lease.fence), millis(ttl)), within(ttl), ([answer]) =>
          answer === "done" ? Effect.succeed(lease) : lost(lease)
        )
      ),
    release: (lease) =>
      steps.take(
        "release",
        scripts.release(command(lease.runId, String(lease.fence)), limit, () => Effect.void)
      ),
    commit: (lease, commit) => {
      const journal =
        commit.journal === undefined || commit.journal.length === 0
          ? Result.succeed("")
          : StoredRun.encodeJournal(commit.journal)
      if (Result.isFailure(journal)) {
        return Effect.fail(
          new TokenStoreError.TokenStoreError({
            operation: "commit",
            kind: "corrupt",
            description: `run '${lease.runId}' cannot be written: ${journal.failure.message}. Nothing was changed.`,
            cause: journal.failure
          })
        )
      }
      const rest = [
        journal.success,
        commit.attempts === undefined ? "" : String(commit.attempts),
        commit.setAside === undefined ? "" : commit.setAside === null ? "-" : `=${commit.setAside}`
      ]
      return steps.take(
        "commit",
        scripts.commit(
          command(
            lease.runId,
            String(lease.fence),
            String(commit.ordinal),
            JSON.stringify(commit.token),
            commit.status,
            ...(commit.token !== null && rest.every((text) => text === "") ? [] : [...rest, retention])
          ),
          limit,
          ([answer, signals]): ReturnType<Store["commit"]> =>
            answer !== "done"
              ? lost(lease)
              : signals === ""
                ? Effect.succeed([])
                : Effect.mapError(Effect.fromResult(StoredRun.decodeSignals(String(signals))), () =>
                    corrupt("commit", lease.runId)
                  )
        )
      )
    },
    signal: (id, signal) =>
      steps.take(
        "signal",
        scripts.signal(command(id, signal._tag, JSON.stringify(signal)), limit, ([answer]) =>
          answer === "done" ? Effect.void : notFound(id)
        )
      ),
    remove: (id) =>
      steps.take(
        "remove",
        scripts.remove(command(id), limit, () => Effect.void)
      ),
    list: (filter) => {
      const statuses = filter.status === undefined ? "" : `,${filter.status.join(",")},`
      const agent = filter.agent === undefined ? "" : `=${filter.agent}`
      const unleased = filter.unleased === true ? "1" : "0"
      return Listing.page(
        shards,
        (shard, from, wanted) =>
          scripts.list(
            [
              "1",
              Keys.indexKey(shard, filter.stage),
              shard,
              from?.at ?? "",
              from?.id ?? "",
              String(wanted),
              statuses,
              agent,
              unleased
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
