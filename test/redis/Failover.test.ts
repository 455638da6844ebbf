// What holds when the primary dies under load, and its replica takes over: writes reach a replica after they are answered.
import { Run, TokenStore } from "@effect-baton/core"
import { RedisTokenStore } from "@effect-baton/redis"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, References } from "effect"
import { Redis } from "effect/persistence"
import {
  client,
  describeRedis,
  patiently,
  type RedisServer,
  start,
  startAddress,
  startReplica,
  until
} from "../support/redisServer.ts"
import { factsOf, leave } from "./store.ts"

type Service = TokenStore.TokenStore["Service"]
type Promotable = Effect.Success<ReturnType<typeof startReplica>>

const { commitOf, newRun } = TokenStoreContract
const ttl = Duration.minutes(10)
const idOf = Run.RunId.make
const workers = Array.from({ length: 30 }, (_, i) => i)

/** What the store has answered about a run. */
interface Course {
  ordinal: number
  readonly fences: Array<number>
}

/** Workers that create runs and advance them, and what they were answered. */
const load = (store: Service) => {
  const courses = new Map<string, Course>()
  const vanished = new Set<string>()
  const state = { turns: 0, isOver: false }

  /** Creates the run if it is new, and takes it one position further. */
  const turn = (id: string) =>
    Effect.gen(function* () {
      const known = courses.get(id)
      if (known === undefined) yield* patiently(store.create(newRun(id)))
      const course = known ?? { ordinal: 0, fences: [] }
      courses.set(id, course)
      const ordinal = course.ordinal + 1
      // Another owner each time, so that each lease is a new one.
      const owner = `owner ${course.fences.length}`
      const { lease } = yield* patiently(store.acquire(idOf(id), { owner, ttl, steal: true }))
      course.fences.push(lease.fence)
      yield* patiently(store.commit(lease, commitOf(id, ordinal)))
      course.ordinal = ordinal
      yield* patiently(store.release(lease, leave))
    }).pipe(
      Effect.catchTags({
        RunNotFound: () => Effect.sync(() => vanished.add(id)),
        // The new primary does not know of it, and may know the run.
        LeaseLost: () => Effect.void
      }),
      Effect.ensuring(Effect.sync(() => state.turns++))
    )

  const work = Effect.fnUntraced(function* (worker: number) {
    for (let i = 0; !state.isOver; i++) {
      yield* turn(`${worker}-${i}`)
      yield* turn(`${worker}-${Math.floor(i / 2)}`)
    }
  })

  return {
    courses,
    vanished,
    state,
    all: Effect.forEach(workers, work, { concurrency: "unbounded", discard: true }),
    /** Until so many turns more have been taken. */
    passed: (more: number) =>
      Effect.suspend(() => {
        const enough = state.turns + more
        return until(() => state.turns >= enough)
      })
  }
}

/** Every operation, each tried again while that can help. */
const everyOperation = Effect.fnUntraced(function* (store: Service, id: string) {
  const { created, record } = yield* patiently(store.create(newRun(id)))
  assert.isTrue(created)
  const { runId } = record
  const facts = factsOf(record.incarnation)
  const { lease } = yield* patiently(store.acquire(runId, { owner: "a", ttl }))
  yield* patiently(store.renew(lease, ttl, 0))
  yield* patiently(store.commit(lease, commitOf(id, 1, { facts: [facts.requested(), facts.accepted(`resp-${id}`)] })))
  yield* patiently(store.record(runId, facts.cancelRequested, 0))
  assert.isTrue(Option.isSome(yield* patiently(store.read(runId))))
  assert.isTrue(Option.isSome(yield* patiently(store.read({ responseId: `resp-${id}` }))))
  yield* patiently(store.release(lease, leave))
  yield* patiently(store.conclude(runId, { seen: 3, facts: [facts.ended], due: Duration.infinity }))
  const again = yield* patiently(store.acquire(runId, { owner: "a", ttl }))
  assert.isTrue(yield* patiently(store.remove(again.lease, { force: true })))
  assert.isNotEmpty((yield* patiently(store.list({ limit: 10 }))).items)
})

describeRedis("a failover under load", () => {
  const test = (
    title: string,
    isToLose: boolean,
    fail: (
      primary: RedisServer,
      replica: Promotable,
      passed: (more: number) => Effect.Effect<unknown>
    ) => Effect.Effect<unknown>
  ) =>
    it.live(title, () =>
      Effect.gen(function* () {
        const primary = yield* start()
        const replica = yield* startReplica(primary)
        const address = yield* startAddress(primary.url)
        const prefix = "failover"
        yield* Effect.gen(function* () {
          const store = yield* TokenStore.TokenStore
          const redis = yield* Redis.Redis
          const { all, courses, passed, state, vanished } = load(store)
          const going = yield* Effect.forkChild(all)
          const failover = Effect.gen(function* () {
            yield* passed(500)
            const safe = new Map(Array.from(courses, ([id, { ordinal }]) => [id, ordinal]))
            // On the store's own connection: it counts for what that has written.
            assert.isAtLeast(yield* redis.send<number>("WAIT", "1", "0"), 1)
            yield* passed(300)
            yield* fail(primary, replica, passed)
            const reached = yield* replica.send<ReadonlyArray<string>>("KEYS", `*${prefix}*run:*`)
            const before = Array.from(courses.keys())
            yield* address.lead(replica.url)
            yield* passed(500)
            state.isOver = true
            return { before, reached: new Set(reached.map((key) => key.slice(key.indexOf("run:") + 4))), safe }
          })
          const { before, reached, safe } = yield* Effect.raceFirst(
            failover,
            Effect.andThen(Fiber.join(going), Effect.never)
          )
          yield* Fiber.join(going)
          yield* everyOperation(store, "another")

          const lost: Array<string> = []
          for (const [id, { fences }] of courses) {
            const record = yield* store.read(idOf(id))
            if (Option.isNone(record)) lost.push(id)
            const least = safe.get(id)
            if (least !== undefined) assert.isAtLeast(Option.getOrThrow(record).ordinal, least, `${id}, which was safe`)
            assert.isTrue(
              fences.every((fence, i) => i === 0 || fence > (fences[i - 1] ?? 0)),
              `the fences of ${id} rise: ${fences.join(", ")}`
            )
          }
          console.warn(
            `${title}: of ${before.length} runs that were created, ${lost.length} are lost: ${lost.join(", ")}`
          )
          assert.deepStrictEqual(
            lost.filter((id) => reached.has(id)),
            [],
            "only what did not reach the replica is lost"
          )
          if (isToLose) assert.isNotEmpty(lost, "the last runs did not reach the replica")
          assert.isTrue(
            Array.from(vanished).every((id) => lost.includes(id)),
            "no other run is not found"
          )
        }).pipe(
          Effect.provide(
            RedisTokenStore.layer({ prefix, timeout: "5 seconds" }).pipe(Layer.provideMerge(client(address.url)))
          ),
          // The client says again and again that it has no connection.
          Effect.provideService(References.MinimumLogLevel, "Error")
        )
      }).pipe(Effect.scoped)
    )

  test("when the primary is killed", false, (primary, replica) => Effect.andThen(primary.kill, replica.promote))

  // As if the network had parted: the replica takes over while the primary still answers.
  test("when the primary answers on for a while", true, (primary, replica, passed) =>
    replica.promote.pipe(Effect.andThen(passed(100)), Effect.andThen(primary.kill))
  )
})
