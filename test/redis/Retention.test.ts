import { assert } from "@effect/vitest"
import { TokenStoreContract } from "@effect-baton/testing"
import { Duration, Effect, Option } from "effect"
import { describeShared } from "../support/redisServer.ts"
import {
  advance,
  begin,
  beside,
  claimOn,
  factsOf,
  fill,
  hastened,
  idOf,
  idsOf,
  leave,
  named,
  placesOf,
  type Service,
  testing,
  ttl
} from "./store.ts"

const { newRun } = TokenStoreContract
const forGood = { ...leave, due: Duration.infinity }
const times = { shards: 1, retention: "1 hour", abandonedAfter: "1 day" } as const

/** A run of one's own choice, left for good. */
const made =
  (store: Service) =>
  (
    id: string,
    write: (begun: Effect.Success<ReturnType<typeof begin>>) => Effect.Effect<unknown, unknown>,
    release: Parameters<Service["release"]>[1] = forGood
  ) =>
    Effect.gen(function* () {
      const begun = yield* begin(store, id)
      yield* write(begun)
      yield* store.release(begun.lease, release)
    })

/** Forty runs of each kind, by what keeps them: how the run is told apart is its name. */
const ofEachKind = Effect.fnUntraced(function* (store: Service) {
  const make = made(store)
  const kinds: Readonly<Record<string, (id: string) => Effect.Effect<unknown, unknown>>> = {
    "short done": (id) =>
      make(id, ({ facts, lease }) =>
        store.commit(lease, {
          seen: 0,
          facts: [
            facts.requested(),
            facts.accepted(`of-${id}`),
            facts.ended,
            facts.responseEnded(`of-${id}`),
            facts.delivered
          ]
        })
      ),
    "short concluded": (id) =>
      make(id, () => Effect.void).pipe(
        Effect.andThen(store.read(idOf(id))),
        Effect.flatMap((found) => {
          const facts = [factsOf(Option.getOrThrow(found).incarnation).ended]
          return store.conclude(idOf(id), { seen: 0, facts, due: Duration.infinity })
        })
      ),
    "short with input": (id) =>
      store.create(newRun(id), { input: { text: "Hello", until: "ended" }, due: Duration.infinity }).pipe(
        Effect.flatMap(({ record }) =>
          store.conclude(record.runId, {
            seen: 0,
            facts: [factsOf(record.incarnation).ended],
            due: Duration.infinity
          })
        )
      ),
    "short loose and cancelled": (id) =>
      make(id, ({ facts, lease }) =>
        store.commit(lease, { seen: 0, facts: [facts.ended, facts.accepted(`of-${id}`), facts.cancelSent(`of-${id}`)] })
      ),
    "long loose": (id) =>
      make(id, ({ facts, lease }) =>
        store.commit(lease, { seen: 0, facts: [facts.ended, facts.accepted(`of-${id}`)] })
      ),
    "long unconfirmed": (id) =>
      make(id, ({ facts, lease }) => store.commit(lease, { seen: 0, facts: [facts.requested()] })),
    "long parked": (id) => make(id, () => Effect.void, { ...forGood, parked: "broken" }),
    "long not delivered": (id) =>
      store.create(newRun(id), { handled: true, due: Duration.infinity }).pipe(
        Effect.flatMap(() => store.acquire(idOf(id), { owner: "a", ttl })),
        Effect.flatMap(({ lease, record }) =>
          Effect.andThen(
            store.commit(lease, { seen: 0, facts: [factsOf(record.incarnation).ended] }),
            store.release(lease, forGood)
          )
        )
      ),
    "long never opened": (id) => store.create(newRun(id), { input: { text: "Hello", until: "ended" } })
  }
  for (const [kind, make40] of Object.entries(kinds)) {
    yield* Effect.forEach(named(kind, 40), make40, { concurrency: 40, discard: true })
  }
  return Object.keys(kinds).flatMap((kind) => named(kind, 40))
})

describeShared("retention in Redis", (server) => {
  const test = testing(server)

  test(
    "runs are gone after their time, from all keys, as runs are created or claimed",
    times,
    (store, send, prefix) =>
      Effect.gen(function* () {
        const keys = Effect.map(send<ReadonlyArray<string>>("KEYS", `{${prefix}:*`), (found) =>
          found.map((key) => key.replace(/^\{.*?:(0\}:)?/, "")).toSorted()
        )
        const ids = yield* ofEachKind(store)
        const kept = ids.filter((id) => id.startsWith("long"))
        const isThere = (id: string) => Effect.map(store.read(idOf(id)), Option.isSome)
        const found = Effect.filter(ids, isThere)
        yield* advance(Duration.minutes(59))
        assert.deepStrictEqual(yield* found, ids)
        yield* advance(Duration.minutes(2))
        // At once for whoever asks, whether it was swept or not.
        assert.deepStrictEqual(yield* found, kept)
        assert.strictEqual(idsOf(yield* store.list({ limit: 1000 })).length, kept.length)
        for (let i = 0; i < 10; i++) yield* claimOn(store, { limit: 0 })
        assert.strictEqual(yield* send<number>("ZCARD", `{${prefix}:0}:runs`), kept.length)
        assert.strictEqual(yield* send<number>("ZCARD", `{${prefix}:0}:idle`), kept.length)
        const left = yield* keys
        assert.isFalse(
          left.some((key) => key.includes("short")),
          left.join()
        )

        yield* advance(Duration.days(1))
        assert.deepStrictEqual(yield* found, [])
        // Also by a claim that takes nothing; here by those that create, and are removed.
        for (let i = 0; i < 13; i++) {
          yield* store.remove((yield* begin(store, "new")).lease)
        }
        assert.deepStrictEqual(yield* keys, ["agents", "fence", "shards}"])
      }),
    hastened
  )

  test(
    "a run whose time is over can be created again at once, and is another one",
    times,
    (store, send, prefix) =>
      Effect.gen(function* () {
        const { facts, lease, record } = yield* begin(store, "r-1")
        yield* store.commit(lease, {
          seen: 0,
          facts: [facts.accepted("response-1"), facts.responseEnded("response-1"), facts.ended]
        })
        yield* store.release(lease, forGood)
        yield* advance(Duration.minutes(61))
        assert.isTrue(Option.isNone(yield* store.read({ responseId: "response-1" })))
        for (const late of [
          Effect.flip(store.record(record.runId, facts.cancelRequested, 0)),
          Effect.flip(store.conclude(record.runId, { seen: 3, facts: [facts.delivered], due: Duration.zero }))
        ]) {
          assert.strictEqual((yield* late)._tag, "Gone")
        }
        assert.strictEqual((yield* Effect.flip(store.acquire(record.runId, { owner: "a", ttl })))._tag, "RunNotFound")
        assert.isTrue(yield* store.remove(lease))
        const again = yield* store.create(newRun("r-1"))
        assert.isTrue(again.created)
        assert.isAbove(again.record.incarnation, record.incarnation)
        assert.deepStrictEqual(again.record.journal, [])
        assert.deepStrictEqual(yield* placesOf(send, prefix, "r-1"), [
          "idle",
          "runs",
          "status:queued:analyst",
          "work:analyst"
        ])
      }),
    hastened
  )

  test(
    "a run that is not over is kept for ever if nobody says for how long, and one that is over for its time",
    { shards: 1, retention: "1 hour", abandonedAfter: "Infinity" },
    (store, send, prefix) =>
      Effect.gen(function* () {
        const isKept = Effect.map(send("ZSCORE", `{${prefix}:0}:idle`, "r-1"), (at) => at === null)
        const kept = (expected: boolean, what: string) =>
          Effect.map(isKept, (found) => assert.strictEqual(found, expected, what))
        // Nobody was promised this run.
        const { facts, lease } = yield* begin(store, "r-1")
        yield* store.commit(lease, { seen: 0, facts: [facts.requested()] })
        yield* kept(true, "it is held")
        yield* store.release(lease, leave)
        yield* store.conclude(idOf("r-1"), { seen: 1, facts: [facts.ended], due: Duration.zero })
        yield* kept(false, "it is over")
        // Somebody is, now, and has not seen the end.
        const [handled] = (yield* claimOn(store, { owner: "b" })).taken
        assert.isDefined(handled)
        const handler = handled!.lease
        yield* kept(true, "it was promised")
        yield* store.commit(handler, { seen: 2, facts: [facts.delivered] })
        yield* kept(false, "it is delivered")
        // It goes on.
        const next = factsOf(handler.fence)
        yield* store.commit(handler, { seen: 3, guard: true, facts: [next.retried] })
        yield* kept(true, "it is retried")
        // A late end of the incarnation before is not its end.
        yield* store.commit(handler, { seen: 4, facts: [facts.ended, next.requested("2")] })
        yield* store.record(idOf("r-1"), next.cancelRequested, 0)
        yield* store.record(idOf("r-1"), facts.accepted("late"), 0)
        yield* store.commit(handler, { seen: 7, facts: [next.ended, next.delivered] })
        yield* kept(true, "a response may run on")
        yield* store.record(idOf("r-1"), facts.cancelSent("late"), 0)
        yield* kept(false, "nothing runs on")
        const at = Number(yield* send<string>("ZSCORE", `{${prefix}:0}:idle`, "r-1"))
        const { journal, lease: last } = Option.getOrThrow(yield* store.read(idOf("r-1")))
        const since = Math.max(journal.at(-1)?.at ?? 0, last?.expiresAt ?? 0)
        assert.strictEqual(at - since, Duration.toMillis("1 hour"))
      })
  )

  test(
    "a run that is over is kept for ever if nobody says for how long",
    { shards: 1, retention: "Infinity", abandonedAfter: "1 hour" },
    (store) =>
      Effect.gen(function* () {
        yield* made(store)("done", ({ facts, lease }) => store.commit(lease, { seen: 0, facts: [facts.ended] }))
        yield* made(store)("left", () => Effect.void)
        yield* advance(Duration.days(900))
        yield* claimOn(store)
        assert.deepStrictEqual(idsOf(yield* store.list({ limit: 10 })), ["done"])
      }),
    hastened
  )

  test(
    "what is held, or due later, counts from then on",
    { shards: 1, abandonedAfter: "1 hour" },
    (store) =>
      Effect.gen(function* () {
        yield* store.create(newRun("held"), { due: Duration.infinity })
        const { lease } = yield* store.acquire(idOf("held"), { owner: "a", ttl: Duration.hours(2) })
        yield* store.create(newRun("later"), { due: Duration.hours(2) })
        yield* store.create(newRun("left"), { due: Duration.infinity })
        const found = Effect.map(store.list({ limit: 10 }), (page) => [...idsOf(page)].toSorted())
        yield* advance(Duration.minutes(61))
        assert.deepStrictEqual(yield* found, ["held", "later"])
        yield* store.renew(lease, Duration.hours(2), 0)
        yield* advance(Duration.minutes(121))
        assert.deepStrictEqual(yield* found, ["held"])
        yield* advance(Duration.minutes(60))
        assert.deepStrictEqual(yield* found, [])
      }),
    hastened
  )

  test(
    "runs of a later version are not forgotten by this one, and keep no others from being",
    { shards: 1, abandonedAfter: "1 hour" },
    (store, send, prefix) =>
      Effect.gen(function* () {
        const newer = named("newer", 40)
        yield* fill(store, newer, { due: Duration.infinity })
        yield* fill(store, named("old", 5), { due: Duration.infinity })
        for (const id of newer) yield* send("HSET", `{${prefix}:0}:run:${id}`, "version", "3")
        yield* advance(Duration.hours(2))
        for (let i = 0; i < 4; i++) yield* claimOn(store)
        const idle = yield* send<ReadonlyArray<string>>("ZRANGE", `{${prefix}:0}:idle`, "0", "-1")
        assert.deepStrictEqual(idle.toSorted(), newer)
        assert.strictEqual(yield* send<number>("EXISTS", ...newer.map((id) => `{${prefix}:0}:run:${id}`)), 40)
      }),
    hastened
  )

  test(
    "a store with other times leaves the times of runs that it does not change",
    { shards: 1, retention: "1 hour" },
    (store, _, prefix) =>
      Effect.gen(function* () {
        yield* made(store)("done", ({ facts, lease }) => store.commit(lease, { seen: 0, facts: [facts.ended] }))
        yield* beside(
          server,
          { prefix, shards: 1, retention: "1 minute", abandonedAfter: "1 minute" },
          (other) =>
            Effect.gen(function* () {
              yield* other.read(idOf("done"))
              yield* other.list({ limit: 10 })
              yield* claimOn(other)
              yield* advance(Duration.minutes(2))
              assert.isTrue(Option.isSome(yield* other.read(idOf("done"))))
            }),
          hastened
        )
      }),
    hastened
  )
})
