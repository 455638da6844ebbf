import { AgentError, Run, RunState, TokenStore, type TokenStoreError } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Hints from "./hints.ts"
import * as Keys from "./keys.ts"
import * as Namespace from "./namespace.ts"
import * as RedisFailure from "./redisFailure.ts"
import * as StoredRun from "./storedRun.ts"
import * as Views from "./views.ts"

type Store = TokenStore.TokenStore["Service"]
type RemoveError = Effect.Error<ReturnType<Store["remove"]>>

/** Makes the token store of a namespace. Most operations are one script on one shard. */
export const make = Effect.fnUntraced(function* (options: Namespace.Options) {
  const namespace = yield* Namespace.make(options)
  const {
    answerOf,
    command,
    drawOf,
    factsOf,
    kept,
    limit,
    millis,
    recordOf,
    scripts,
    shards,
    takenOf,
    within,
    writable
  } = namespace
  const { count, list, read, readRun } = Views.make(namespace)
  const lost = (lease: TokenStore.Lease) => Effect.fail(new AgentError.LeaseLost({ runId: lease.runId }))
  const notFound = (id: Run.RunId) => Effect.fail(new AgentError.RunNotFound({ runId: id }))
  const gone = (id: Run.RunId) => Effect.fail(new TokenStore.Gone({ runId: id }))

  // A store with another number of shards would not find the runs, and would buy them again.
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

  const release = (lease: TokenStore.Lease, seen: number, due: string, parked: string | undefined, attempt: string) =>
    scripts.release(
      command(
        lease.runId,
        ...kept,
        String(lease.fence),
        String(seen),
        due,
        parked === undefined ? "" : `=${parked}`,
        attempt
      ),
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

  // Lua cannot fold a journal. So the run is read here, and removed only if its journal has not changed since.
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
    create: (run, { due = Duration.zero, facts = [], handled = false, input } = {}) =>
      Effect.andThen(
        agree,
        Effect.flatMap(writable("create", run.runId, StoredRun.encodeUnborn(facts)), (texts) =>
          scripts.create(
            command(
              run.runId,
              ...kept,
              JSON.stringify(run),
              run.agent,
              Namespace.after(due),
              ...drawOf(run.runId),
              handled ? "1" : "0",
              input?.until ?? "",
              input?.text ?? "",
              ...texts
            ),
            limit,
            ([answer, shown]) =>
              Effect.map(recordOf("create", run.runId, shown), (record) => ({
                record,
                created: answer === "created"
              }))
          )
        )
      ),
    read,
    acquire: (id, { owner, steal, ttl }) =>
      scripts.acquire(
        command(id, ...kept, owner, millis(ttl), steal === true ? "1" : "0", ...drawOf(id)),
        within(ttl),
        ([answer, first, second]): ReturnType<Store["acquire"]> => {
          if (answer === "none") return notFound(id)
          if (answer === "leased") {
            return Effect.fail(new AgentError.RunLeased({ runId: id, owner: String(first), until: Number(second) }))
          }
          const { lease, taken } = takenOf("acquire", owner, first)
          // If the record cannot be read, nobody would know of this lease.
          return Effect.tapError(taken, () => Effect.ignore(release(lease, 0, "as it is", undefined, "back")))
        }
      ),
    claim: ({ agents, limit: most, owner, shard, ttl }) => {
      const of = shards.indexOf(shard)
      const many = String(Math.max(0, Math.trunc(most)))
      if (of === -1) return Effect.succeed({ taken: [] })
      return scripts.claim(
        [
          ...Keys.called(shard, [Keys.indexKey(shard, "runs")]),
          shard,
          "",
          ...kept,
          owner,
          millis(ttl),
          many,
          String(of),
          String(shards.length),
          ...agents
        ],
        within(ttl),
        Effect.fnUntraced(function* ([, next, found, unread]) {
          const unreadable = (error: TokenStoreError.TokenStoreError) =>
            Effect.logWarning("baton: a run cannot be read and is not claimed", error.message)
          for (const id of Array.isArray(unread) ? unread.filter(Predicate.isString) : []) {
            yield* unreadable(RedisFailure.corrupt("claim", Keys.runKey(shard, Run.RunId.make(id))))
          }
          const taken = yield* Effect.forEach(Array.isArray(found) ? found : [], (given: unknown) => {
            const { lease, taken: one } = takenOf("claim", owner, given)
            return Effect.catch(Effect.asSome(one), (error) =>
              // A run that cannot be read must not keep others from being claimed. It is tried again later.
              unreadable(error).pipe(
                Effect.andThen(Effect.ignore(release(lease, 0, "later", undefined, "back"))),
                Effect.as(Option.none<TokenStore.Taken>())
              )
            )
          })
          return {
            taken: taken.flatMap(Option.toArray),
            ...(next === "" ? {} : { next: Duration.millis(Number(next)) })
          }
        })
      )
    },
    renew: (lease, ttl, seen) =>
      scripts.renew(
        command(lease.runId, ...kept, String(lease.fence), millis(ttl), String(seen)),
        within(ttl),
        ([answer, facts]): ReturnType<Store["renew"]> =>
          answer === "done" ? factsOf("renew", lease.runId, facts) : lost(lease)
      ),
    release: (lease, { attempt, due, parked, seen }) => release(lease, seen, Namespace.after(due), parked, attempt),
    commit: (lease, { facts = [], guard, position, seen }) => {
      const write = (texts: ReadonlyArray<string>): ReturnType<Store["commit"]> =>
        scripts.commit(
          command(
            lease.runId,
            String(lease.fence),
            String(seen),
            position === undefined ? "" : String(position.ordinal),
            position === undefined ? "" : JSON.stringify(position.token),
            ...(texts.length === 0 && guard !== true ? [] : [guard === true ? "1" : "0", ...kept, ...texts])
          ),
          limit,
          ([answer, since]): ReturnType<Store["commit"]> =>
            answer === "written" || answer === "moved"
              ? answerOf("commit", lease.runId, answer, since, { facts, texts })
              : lost(lease)
        )
      // Most commits write only a position.
      return facts.length === 0
        ? Effect.suspend(() => write([]))
        : Effect.flatMap(writable("commit", lease.runId, StoredRun.encodeFacts(facts)), write)
    },
    record: (id, fact, seen) =>
      Effect.flatMap(writable("record", id, StoredRun.encodeFacts([fact])), (texts) =>
        scripts.record(
          command(id, ...kept, String(seen), String(fact.incarnation), ...texts),
          limit,
          ([answer, since]): ReturnType<Store["record"]> =>
            answer === "done" ? factsOf("record", id, since, { facts: [fact], texts }) : gone(id)
        )
      ),
    conclude: (id, { due, facts, seen }) =>
      Effect.flatMap(writable("conclude", id, StoredRun.encodeFacts(facts)), (texts) =>
        scripts.conclude(
          command(
            id,
            ...kept,
            String(seen),
            Namespace.after(due),
            facts.map(({ incarnation }) => incarnation).join(","),
            ...texts
          ),
          limit,
          ([answer, since]): ReturnType<Store["conclude"]> =>
            answer === "written" || answer === "moved" || answer === "held"
              ? answerOf("conclude", id, answer, since, { facts, texts })
              : gone(id)
        )
      ),
    remove: (lease, { force = false } = {}) => (force ? forget(lease, "") : forgetSafely(lease)),
    list,
    count,
    shards,
    wakeups: yield* Hints.heard({
      channel: Keys.hintsOf(options.prefix),
      shards,
      subscribe: options.subscribe
    }),
    wake: (id) => scripts.wake(command(id), limit, () => Effect.void)
  })
})
