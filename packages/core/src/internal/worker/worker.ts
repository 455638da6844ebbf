import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { RunId } from "../../Run.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import type { Lease, Taken, TokenStore } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import { ownerOf, timeOf } from "../hold/lease.ts"
import { Trouble } from "../telemetry/trouble.ts"
import * as Wakeups from "../hold/wakeups.ts"
import { monotonicMillis } from "../primitives/monotonic.ts"
import { known } from "../run/openRun.ts"
import { typedStore } from "../ports/typedStore.ts"
import { type Handling, bring } from "./workerRun.ts"
import { Timetable } from "./timetable.ts"

/** The largest number of runs in one claim. */
const most = 64

/** The options of a worker, with all defaults filled in. */
export interface Options<E> extends Handling<E> {
  readonly concurrency: number
  readonly claimEvery: Duration.Duration
  readonly startJitter: Duration.Duration
}

/**
 * Takes runs that are due, the longest due first, and handles each; leaves them when the scope closes. It looks at a shard
 * after a hint, at the time at which the last look found the next run due, and, because hints may be lost, at one shard
 * after the other every `claimEvery`.
 */
export const make = Effect.fnUntraced(function* <E>(
  agents: ReadonlyArray<Agent>,
  options: Options<E>
): Effect.fn.Return<void, never, BackgroundModel | TokenStore | Scope.Scope> {
  const policy = yield* RunPolicy
  const store = yield* typedStore
  const wakeups = yield* Wakeups.of(store)
  const clock = yield* Clock.Clock
  const byName = new Map(agents.map((agent) => [agent.name, agent]))
  const names = [...byName.keys()]
  const stopping = Latch.makeUnsafe()
  const news = Latch.makeUnsafe()
  const timetable = new Timetable(store.shards, () => monotonicMillis(clock))
  const ttl = timeOf(policy)
  const trouble = new Trouble({ agents: names.join(", ") })

  // Leases whose release did not reach the store. This worker is alive, so their attempts must not count as deaths.
  const owed = new Set<Lease>()
  const giveBack = Effect.gen(function* () {
    for (const lease of owed) {
      yield* store.release(lease, { seen: 0, due: Duration.zero, attempt: "back" })
      owed.delete(lease)
    }
  })

  /**
   * Takes runs of a shard. The claim is repeated under the same owner until it is answered, as that owner may hold runs
   * already.
   */
  const claim = Effect.fnUntraced(function* (name: string, limit: number) {
    const owner = (timetable.of(name).owner ??= yield* ownerOf(policy))
    const before = clock.monotonicTimeNanosUnsafe()
    const claimed = yield* store.claim({ agents: names, owner, ttl, limit, shard: name })
    timetable.of(name).owner = undefined
    return { ...claimed, before }
  })
  // Releases the runs of claims that were interrupted: nothing else knows of these leases.
  const giveUp = Effect.suspend(() =>
    Effect.forEach(timetable.unanswered(), ({ name }) =>
      Effect.flatMap(claim(name, 0), ({ taken }) =>
        Effect.forEach(taken, ({ lease, record }) =>
          store.release(lease, { seen: record.journal.length, due: Duration.zero, attempt: "back" })
        )
      )
    )
  )

  const taken = yield* FiberMap.make<RunId, void, never>()
  const size = FiberMap.size(taken)
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      stopping.open,
      Effect.all([Effect.ignore(giveUp), FiberMap.awaitEmpty(taken)], { concurrency: 2 })
    ).pipe(Effect.interruptible, Effect.timeoutOption(policy.closeTimeout), Effect.asVoid)
  )

  const open = new Map<string, Effect.Success<ReturnType<typeof known>>>()
  for (const agent of byName.values()) open.set(agent.name, yield* known(agent))
  // The other versions of agents that were logged already: there may be many runs of each.
  const told = new Set<string>()
  const take = (found: Taken, before: bigint) => {
    const { agent: name, runId } = found.record
    const opened = open.get(name)
    if (opened === undefined) return Effect.void
    return bring(opened(found.record), { taken: found, before }, options, stopping, (lease) => owed.add(lease)).pipe(
      Effect.scoped,
      Effect.catch(({ message, reason }) => {
        // Another worker has the run now.
        if (reason._tag === "LeaseLost") return Effect.void
        if (reason._tag === "AgentChanged") {
          const version = `${name} ${reason.started}`
          if (told.has(version)) return Effect.void
          told.add(version)
        }
        return Effect.logWarning("baton: a worker cannot go on with a run; it is due again later", message)
      }),
      Effect.catchDefect((defect) =>
        Effect.logError("baton: a worker cannot go on with a run because of a bug; it is due again later", defect)
      ),
      Effect.annotateLogs({ runId, agent: name }),
      Effect.ensuring(news.open),
      FiberMap.run(taken, runId)
    )
  }

  const look = Effect.fnUntraced(
    function* (name: string, free: number) {
      const shard = timetable.looks(name)
      const limit = Math.min(most, free)
      yield* giveBack
      // Nothing may interrupt between the claim and the start of the fibers.
      const claimed = yield* Effect.uninterruptibleMask((restore) =>
        Effect.tap(restore(claim(name, limit)), ({ before, taken: found }) =>
          Effect.forEach(found, (one) => take(one, before), { discard: true })
        )
      )
      const next = claimed.next === undefined ? undefined : Duration.toMillis(claimed.next)
      // A run that is due and was not taken was taken by others, or cannot be read by this worker.
      timetable.due(shard, claimed.taken.length === 0 && next !== undefined ? Math.max(next, soonest) : next)
      yield* trouble.ended()
    },
    (effect, name) =>
      effect.pipe(
        Effect.catch((error) =>
          Effect.andThen(
            Effect.sync(() => timetable.due(timetable.of(name), Duration.toMillis(options.claimEvery))),
            trouble.began("a worker cannot look for runs; this is tried again", error.message)
          )
        ),
        // A store with a defect must not end the worker.
        Effect.catchDefect((defect) =>
          Effect.logError("baton: a worker could not look for runs because of a bug; this is tried again", defect)
        )
      )
  )

  const pace = Effect.map(Random.nextBetween(0.8, 1.2), (share) => Duration.toMillis(options.claimEvery) * share)
  const work = Effect.gen(function* () {
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        wakeups.onWork(({ after, agent, shard }) => {
          if (agent !== undefined && !byName.has(agent)) return
          timetable.hint(shard, Duration.toMillis(after))
          news.openUnsafe()
        })
      ),
      (off) => Effect.sync(off)
    )
    while (true) {
      news.closeUnsafe()
      const free = options.concurrency - (yield* size)
      const next = free <= 0 ? undefined : timetable.next()
      if (next !== undefined && next.wait <= 0) {
        if (next.isRound) timetable.round(yield* pace)
        yield* look(next.name, free)
        // After a yield, other runs may have ended, and one claim fills all free places.
        yield* Effect.yieldNow
      } else {
        yield* next === undefined ? news.await : Effect.raceFirst(Effect.sleep(Duration.millis(next.wait)), news.await)
      }
    }
  })
  // At random, so that the workers of a fleet that is restarted do not claim all at the same time.
  const apart = Effect.flatMap(Random.nextBetween(0, Duration.toMillis(options.startJitter)), Effect.sleep)
  yield* Effect.forkScoped(Effect.raceFirst(Effect.andThen(apart, Effect.scoped(work)), stopping.await))
})

/** The shortest wait after a look that found nothing to take, in milliseconds. */
const soonest = 50
