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

const texts = (reply: ReadonlyArray<unknown>, from: number): ReadonlyArray<string> => reply.slice(from).map(String)

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
    list: CallScript.make(redis, "list", Scripts.list)
  })
  const shards = Keys.shardsOf(options.prefix, options.shards)
  const keysOf = (id: Run.RunId) => Keys.keysOf(shards, id)
  const retention = Duration.isFinite(options.retention) ? String(Math.ceil(Duration.toMillis(options.retention))) : ""
  const limit = Duration.toMillis(options.timeout)
  // A worker has to be able to renew in time after an answer that did not come.
  const within = (ttl: Duration.Duration) => Math.min(limit, Math.ceil(Duration.toMillis(ttl) * 0.3))

  const recordOf = (operation: string, id: Run.RunId, shown: unknown) =>
    Effect.mapError(Effect.fromResult(StoredRun.decode(id, shown)), () =>
      RedisFailure.corrupt(operation, keysOf(id)[0] ?? "")
    )
  const lost = (lease: TokenStore.Lease) => Effect.fail(new AgentError.LeaseLost({ runId: lease.runId }))
  const ttlText = (ttl: Duration.Duration) => String(Math.ceil(Duration.toMillis(ttl)))

  return TokenStore.TokenStore.of({
    create: (run) =>
      scripts
        .create(
          keysOf(run.runId),
          [run.runId, JSON.stringify(run), run.agent, JSON.stringify(ContinuationToken.start(run.agent, run.runId))],
          limit
        )
        .pipe(
          Effect.flatMap(([answer, shown]) =>
            Effect.map(recordOf("create", run.runId, shown), (record) => ({ record, created: answer === "created" }))
          ),
          (step) => steps.take("create", step)
        ),
    read: (id) =>
      Effect.flatMap(scripts.read(keysOf(id), [id], limit), ([answer, shown]) =>
        answer === "none" ? Effect.succeedNone : Effect.asSome(recordOf("read", id, shown))
      ),
    acquire: (id, { owner, takeOver, ttl }) =>
      scripts.acquire(keysOf(id), [id, owner, ttlText(ttl), takeOver === true ? "1" : "0"], within(ttl)).pipe(
        Effect.flatMap((reply): ReturnType<Store["acquire"]> => {
          const [answer, first, second] = reply
          if (answer === "none") return Effect.fail(new AgentError.RunNotFound({ runId: id }))
          if (answer === "leased") {
            const [owner = "", until] = texts(reply, 1)
            return Effect.fail(new AgentError.RunLeased({ runId: id, owner, until: Number(until) }))
          }
          return Effect.map(recordOf("acquire", id, second), (record) => ({
            lease: { runId: id, owner, fence: Number(first) },
            record
          }))
        }),
        (step) => steps.take("acquire", step)
      ),
    renew: (lease, ttl) =>
      scripts.renew(keysOf(lease.runId), [lease.runId, String(lease.fence), ttlText(ttl)], within(ttl)).pipe(
        Effect.flatMap(([answer]) => (answer === "done" ? Effect.succeed(lease) : lost(lease))),
        (step) => steps.take("renew", step)
      ),
    release: (lease) =>
      scripts
        .release(keysOf(lease.runId), [lease.runId, String(lease.fence)], limit)
        .pipe(Effect.asVoid, (step) => steps.take("release", step)),
    commit: (lease, commit) =>
      Effect.suspend(() => {
        const keys = keysOf(lease.runId)
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
        return scripts.commit(
          keys,
          [
            lease.runId,
            String(lease.fence),
            String(commit.ordinal),
            JSON.stringify(commit.token),
            commit.status,
            journal.success,
            commit.attempts === undefined ? "" : String(commit.attempts),
            commit.setAside === undefined ? "" : commit.setAside === null ? "-" : `=${commit.setAside}`,
            retention
          ],
          limit
        )
      }).pipe(
        Effect.flatMap(([answer, signals]): ReturnType<Store["commit"]> => {
          if (answer !== "done") return lost(lease)
          return Effect.mapError(Effect.fromResult(StoredRun.decodeSignals(String(signals))), () =>
            RedisFailure.corrupt("commit", keysOf(lease.runId)[0] ?? "")
          )
        }),
        (step) => steps.take("commit", step)
      ),
    signal: (id, signal) =>
      scripts.signal(keysOf(id), [id, signal._tag, JSON.stringify(signal)], limit).pipe(
        Effect.flatMap(([answer]) =>
          answer === "done" ? Effect.void : Effect.fail(new AgentError.RunNotFound({ runId: id }))
        ),
        (step) => steps.take("signal", step)
      ),
    remove: (id) => scripts.remove(keysOf(id), [id], limit).pipe(Effect.asVoid, (step) => steps.take("remove", step)),
    list: (filter) => {
      const statuses = filter.status === undefined ? "" : `,${filter.status.join(",")},`
      const agent = filter.agent === undefined ? "" : `=${filter.agent}`
      return Listing.page(
        shards,
        (shard, from, wanted) =>
          scripts.list(
            Keys.indexesOf(shard, filter.stage),
            [
              shard.base,
              from?.at ?? "",
              from?.id ?? "",
              String(wanted),
              statuses,
              agent,
              filter.unleased === true ? "1" : "0"
            ],
            limit
          ),
        filter,
        (shard, id) =>
          Effect.logWarning(
            "baton: a run is not listed",
            RedisFailure.corrupt("list", `${shard.base}run:${id}`).message
          )
      )
    }
  })
})
