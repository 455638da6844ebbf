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
import type { RunRecord } from "../../RunRecord.ts"
import type { Lease, Page, TokenStore } from "../../TokenStore.ts"
import type { Agent } from "../agent.ts"
import { Trouble } from "../hold/trouble.ts"
import { monotonicMillis } from "../monotonic.ts"
import { known } from "../openRun.ts"
import { typedStore } from "../typedStore.ts"
import { type Handling, bring } from "./workerRun.ts"

const pageSize = 64

/** What a worker does, and how it looks for what to do. */
export interface Options<E> extends Handling<E> {
  readonly concurrency: number
  readonly claimEvery: Duration.Duration
  readonly startJitter: Duration.Duration
}

/** Takes runs that are work, those that were due first coming first, and brings each on; leaves them when the scope closes. */
export const make = Effect.fnUntraced(function* <E>(
  agents: ReadonlyArray<Agent>,
  options: Options<E>
): Effect.fn.Return<void, never, BackgroundModel | TokenStore | Scope.Scope> {
  const policy = yield* RunPolicy
  const store = yield* typedStore
  const byName = new Map(agents.map((agent) => [agent.name, agent]))
  const stopping = Latch.makeUnsafe()
  const freed = Latch.makeUnsafe()
  const clock = yield* Clock.Clock
  const millis = () => monotonicMillis(clock)
  const leaseMillis = Duration.toMillis(Duration.min(policy.leaseTime, Duration.days(1)))
  // Runs that this worker cannot go on with for now, though another might, and until when.
  const resting = new Map<RunId, number>()

  // Leases whose release did not reach the store: this worker lives, so their attempts are no deaths of it.
  const owed = new Set<Lease>()
  const giveBack = Effect.gen(function* () {
    for (const lease of owed) {
      yield* store.release(lease, { seen: 0, due: Duration.zero, attempt: "back" })
      owed.delete(lease)
    }
  })

  const taken = yield* FiberMap.make<RunId, void, never>()
  const size = FiberMap.size(taken)
  yield* Effect.addFinalizer(() =>
    Effect.andThen(stopping.open, FiberMap.awaitEmpty(taken)).pipe(
      Effect.interruptible,
      Effect.timeoutOption(policy.closeTimeout),
      Effect.asVoid
    )
  )

  const open = yield* known
  const rest = (runId: RunId) => Effect.sync(() => void resting.set(runId, millis() + leaseMillis))

  const take = (agent: Agent, record: RunRecord) => {
    const { runId } = record
    return bring(open(agent, record), options, stopping, (lease) => owed.add(lease)).pipe(
      Effect.scoped,
      Effect.flatMap((done) => (done ? Effect.void : rest(runId))),
      Effect.catch(({ message, reason }) =>
        // Another worker was faster, or has it now.
        reason._tag === "RunLeased" || reason._tag === "LeaseLost"
          ? Effect.void
          : Effect.andThen(rest(runId), Effect.logWarning("baton: a worker cannot go on with a run", message))
      ),
      Effect.catchDefect((defect) =>
        Effect.andThen(rest(runId), Effect.logError("baton: a worker cannot go on with a run", defect))
      ),
      Effect.annotateLogs({ runId, agent: agent.name }),
      Effect.ensuring(freed.open),
      FiberMap.run(taken, runId)
    )
  }

  const trouble = new Trouble({ agents: agents.map(({ name }) => name).join(", ") })
  const look = Effect.gen(function* () {
    freed.closeUnsafe()
    const now = millis()
    for (const [runId, until] of resting) if (until <= now) resting.delete(runId)
    yield* giveBack
    let cursor: string | undefined
    do {
      if ((yield* size) >= options.concurrency) return
      const page: Page<RunRecord> = yield* store.list({
        due: true,
        limit: pageSize,
        ...(cursor === undefined ? {} : { cursor })
      })
      for (const record of page.items) {
        const agent = byName.get(record.agent)
        if (agent === undefined || resting.has(record.runId) || FiberMap.hasUnsafe(taken, record.runId)) continue
        if ((yield* size) >= options.concurrency) return
        yield* take(agent, record)
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    yield* trouble.ended()
  }).pipe(
    Effect.catch((error) => trouble.began("a worker cannot look for runs, and this is tried again", error.message)),
    // A store that does not keep to its types must not end the worker.
    Effect.catchDefect((defect) => Effect.logError("baton: a worker's look for runs failed", defect))
  )

  // Apart, so that a fleet that is started again does not ask the store all at once.
  const apart = Effect.flatMap(Random.nextBetween(0, Duration.toMillis(options.startJitter)), Effect.sleep)
  const pause = Effect.flatMap(Random.nextBetween(0.8, 1.2), (share) =>
    Effect.raceFirst(Effect.sleep(Duration.times(options.claimEvery, share)), freed.await)
  )
  yield* Effect.forkScoped(
    Effect.raceFirst(Effect.andThen(apart, Effect.forever(Effect.andThen(look, pause))), stopping.await)
  )
})
