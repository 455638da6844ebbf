// Logs whose Redis dies, loses confirmed chunks, or moves a slot while they are written.
import { UpdateLog } from "@effect-baton/core"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, References, type Scope } from "effect"
import {
  describeRedis,
  type RedisServer,
  start,
  startAddress,
  startCluster,
  startReplica,
  until
} from "../support/redisServer.ts"
import { chunkOf, idOf, type Log, logOn, patiently } from "./logs.ts"
import { moveSlot } from "./slots.ts"

const runs = Array.from({ length: 8 }, (_, i) => idOf(`run-${i}`))
type RunId = (typeof runs)[number]

/** Writers and readers of some runs, and what the log answered them. */
const load = (log: Log) => {
  const state = { appends: 0, isOver: false }
  const lengths = new Map<RunId, number>()
  const gaps: Array<readonly [runId: RunId, lost: number]> = []

  /** Appends chunks as a worker does: after a gap it opens the log with a new epoch, and continues from the end. */
  const write = Effect.fnUntraced(function* (runId: RunId) {
    let epoch = 1
    let { length } = yield* patiently(log.open(runId, epoch))
    for (let i = 0; !state.isOver; i++) {
      const chunk = chunkOf(length, { epoch, count: i % 4 })
      length = yield* patiently(log.append(runId, chunk)).pipe(
        Effect.map((grown) => grown.length),
        Effect.catchTag("LogGap", (gap) =>
          Effect.gen(function* () {
            gaps.push([runId, length - gap.length])
            epoch++
            return (yield* patiently(log.open(runId, epoch))).length
          })
        )
      )
      lengths.set(runId, length)
      state.appends++
    }
  })

  /** Reads from the beginning, as a viewer does, and checks that there are no gaps and that epochs never decrease. */
  const readAll = Effect.fnUntraced(function* (runId: RunId) {
    const chunks: Array<UpdateLog.Chunk> = []
    for (let from = 0; ;) {
      const page = yield* patiently(log.read(runId, { from, limit: 64 }))
      if (page.chunks.length === 0) {
        assert.strictEqual(from, page.length, runId)
        return chunks
      }
      for (const chunk of page.chunks) {
        assert.strictEqual(chunk.from, from, runId)
        assert.isAtLeast(chunk.epoch, chunks.at(-1)?.epoch ?? 0, runId)
        assert.deepStrictEqual(chunk, chunkOf(from, { epoch: chunk.epoch, count: chunk.count }), runId)
        from += chunk.count
        chunks.push(chunk)
      }
    }
  })

  return {
    state,
    lengths,
    gaps,
    readAll,
    all: Effect.forEach(runs, write, { concurrency: "unbounded", discard: true }),
    passed: (more: number) =>
      Effect.suspend(() => {
        const enough = state.appends + more
        return until(() => state.appends >= enough)
      })
  }
}

/** Runs writers during an effect, and checks all logs at the end. */
const under = <A, E, R>(log: Log, happening: (going: ReturnType<typeof load>) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const going = load(log)
    const writers = yield* Effect.forkChild(going.all)
    const happened = yield* Effect.raceFirst(
      Effect.tap(happening(going), () => Effect.sync(() => void (going.state.isOver = true))),
      Effect.andThen(Fiber.join(writers), Effect.never)
    )
    yield* Fiber.join(writers)
    for (const runId of runs) {
      const chunks = yield* going.readAll(runId)
      const last = chunks.at(-1)
      assert.strictEqual((last?.from ?? 0) + (last?.count ?? 0), going.lengths.get(runId), runId)
    }
    return { ...going, happened }
  })

const prefix = "failing"

describeRedis("update logs while Redis", () => {
  const test = (title: string, effect: Effect.Effect<unknown, unknown, Scope.Scope>) =>
    it.live(title, () => effect.pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))
  const logAt = (server: Pick<RedisServer, "url" | "send">) =>
    Effect.map(
      Layer.build(Layer.fresh(logOn(Effect.succeed(server), { prefix, shards: 4, timeout: "5 seconds" }))),
      (context) => Context.get(context, UpdateLog.UpdateLog)
    )

  test(
    "is killed and started again keep all confirmed chunks, if Redis has them on its disk",
    Effect.gen(function* () {
      const server = yield* start({ durable: true })
      const log = yield* logAt(server)
      const { gaps } = yield* under(log, ({ passed }) =>
        passed(100).pipe(
          Effect.andThen(server.kill),
          Effect.andThen(server.restart),
          Effect.andThen(passed(100)),
          Effect.andThen(server.kill),
          Effect.andThen(server.restart),
          Effect.andThen(passed(100))
        )
      )
      assert.isEmpty(gaps)
    })
  )

  test(
    "is killed and started again without its data begin again",
    Effect.gen(function* () {
      const server = yield* start()
      const log = yield* logAt(server)
      const { gaps } = yield* under(log, ({ gaps: found, passed }) =>
        passed(100).pipe(
          Effect.andThen(server.kill),
          Effect.andThen(server.restart),
          Effect.andThen(until(() => new Set(found.map(([runId]) => runId)).size === runs.length)),
          Effect.andThen(passed(100))
        )
      )
      assert.isTrue(gaps.every(([, lost]) => lost > 0))
    })
  )

  /** A primary, its replica, and an address that leads to one of them. */
  const pair = Effect.gen(function* () {
    const primary = yield* start()
    const replica = yield* startReplica(primary)
    const address = yield* startAddress(primary.url)
    return { primary, replica, address, send: primary.send }
  })

  test(
    "fails over and loses confirmed chunks have no missing chunk, and their writers get gaps",
    Effect.gen(function* () {
      const { address, primary, replica, send } = yield* pair
      const log = yield* logAt({ url: address.url, send })
      const { gaps, happened } = yield* under(log, ({ lengths, passed }) =>
        Effect.gen(function* () {
          yield* passed(200)
          // As in a network partition: the replica takes over while the primary still answers.
          yield* replica.promote
          const before = new Map(lengths)
          yield* until(() => runs.every((runId) => (lengths.get(runId) ?? 0) > (before.get(runId) ?? 0) + 10))
          yield* primary.kill
          yield* address.lead(replica.url)
          yield* passed(300)
          return before
        })
      )
      assert.deepStrictEqual(new Set(gaps.map(([runId]) => runId)), new Set(runs))
      assert.isTrue(gaps.every(([, lost]) => lost > 0))
      assert.strictEqual(happened.size, runs.length)
    })
  )

  test(
    "fails over and loses an epoch are written by one worker again after it opens them",
    Effect.gen(function* () {
      const { address, primary, replica, send } = yield* pair
      const log = yield* logAt({ url: address.url, send })
      const runId = idOf("r-1")
      yield* log.open(runId, 1)
      yield* log.append(runId, chunkOf(0))
      const key = `*:log:${runId}`
      yield* Effect.repeat(replica.send<ReadonlyArray<string>>("KEYS", key), { until: (keys) => keys.length === 1 })
      yield* replica.promote
      yield* log.open(runId, 2)
      yield* log.append(runId, chunkOf(1, { epoch: 2 }))
      yield* primary.kill
      yield* address.lead(replica.url)
      // The new server does not know the second epoch.
      yield* patiently(log.append(runId, chunkOf(1, { body: "by the first" })))
      const gap = yield* Effect.flip(log.append(runId, chunkOf(3, { epoch: 2 })))
      assert.propertyVal(gap, "_tag", "LogGap")
      assert.propertyVal(gap, "length", 2)
      // The chunk at this offset is now from the first epoch.
      assert.propertyVal(yield* Effect.flip(log.append(runId, chunkOf(1, { epoch: 2 }))), "_tag", "LogFenced")
      assert.strictEqual((yield* log.open(runId, 2)).length, 2)
      assert.propertyVal(yield* Effect.flip(log.append(runId, chunkOf(2))), "_tag", "LogFenced")
      yield* log.append(runId, chunkOf(2, { epoch: 2 }))
      const { chunks } = yield* log.read(runId, { from: 0, limit: 9 })
      assert.deepStrictEqual(chunks, [chunkOf(0), chunkOf(1, { body: "by the first" }), chunkOf(2, { epoch: 2 })])
    })
  )

  test(
    "moves their slot to another node of the cluster have every chunk",
    Effect.gen(function* () {
      const cluster = yield* startCluster()
      const log = yield* logAt(cluster)
      const { gaps, happened } = yield* under(log, ({ passed }) =>
        Effect.gen(function* () {
          yield* passed(200)
          const keys = yield* Effect.forEach(cluster.nodes, ({ send }) =>
            send<ReadonlyArray<string>>("KEYS", `*${prefix}:*:log:*`)
          )
          const from = keys.findIndex((found) => found.length > 0)
          const to = (from + 1) % 3
          const [key = ""] = keys[from] ?? []
          yield* moveSlot(cluster.nodes, from, to, key, passed(20))
          yield* passed(200)
          const moved = yield* Effect.forEach(cluster.nodes, ({ send }) =>
            send<ReadonlyArray<string>>("KEYS", key.replaceAll(/[[\]]/g, "?"))
          )
          return { at: moved.map((found) => found.length), to }
        })
      )
      assert.isEmpty(gaps)
      assert.deepStrictEqual(
        happened.at,
        [0, 1, 2].map((node) => (node === happened.to ? 1 : 0))
      )
    })
  )
})
