import { Clock, Duration, Effect, FiberMap, Latch, Random, type Scope } from "effect"
import type { Agent } from "../Agent.ts"
import { BackgroundModel } from "../BackgroundModel.ts"
import type { RunId } from "../Run.ts"
import { RunPolicy } from "../RunPolicy.ts"
import * as RunRecord from "../RunRecord.ts"
import { type Page, TokenStore } from "../TokenStore.ts"
import { type Handling, bring } from "./workerRun.ts"

const pageSize = 64

/** What a worker does, and how it looks for what to do. */
export interface Options<E> extends Handling<E> {
  readonly concurrency: number
  readonly every: Duration.Duration
  readonly startWithin: Duration.Duration
}

/** Takes runs that nobody advances, the oldest first, and brings each to its end; leaves them when the scope closes. */
export const make = Effect.fnUntraced(function* <E>(
  agents: ReadonlyArray<Agent>,
  options: Options<E>
): Effect.fn.Return<void, never, BackgroundModel | TokenStore | Scope.Scope> {
  const model = yield* BackgroundModel
  const store = yield* TokenStore
  const policy = yield* RunPolicy
  const byName = new Map(agents.map((agent) => [agent.name, agent]))
  const stopping = Latch.makeUnsafe()
  const freed = Latch.makeUnsafe()
  // Clocks of hosts differ, and jump: what follows is in milliseconds of this worker's monotonic one.
  const clock = yield* Clock.Clock
  const millis = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const leaseMillis = Duration.toMillis(policy.leaseTime)
  // Runs that this worker cannot go on with for now, though another might, and until when.
  const resting = new Map<RunId, number>()
  // Runs that nobody has opened, and since when this worker sees them as they are.
  const unopened = new Map<RunId, { readonly updatedAt: number; readonly since: number }>()

  const taken = yield* FiberMap.make<RunId, void, never>()
  const size = FiberMap.size(taken)
  yield* Effect.addFinalizer(() =>
    Effect.andThen(stopping.open, FiberMap.awaitEmpty(taken)).pipe(
      Effect.interruptible,
      Effect.timeoutOption(policy.finishWithin),
      Effect.asVoid
    )
  )

  const rest = (runId: RunId) => Effect.sync(() => void resting.set(runId, millis() + leaseMillis))

  const take = (agent: Agent, record: RunRecord.RunRecord) => {
    const { runId } = record
    return bring({ agent, runId, record, model, store, policy }, options, stopping).pipe(
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
      Effect.annotateLogs({ runId }),
      Effect.ensuring(freed.open),
      FiberMap.run(taken, runId)
    )
  }

  // A starter that lives holds its run within moments: one that stays as it is for two leases has none.
  const isLeft = ({ runId, updatedAt }: RunRecord.RunRecord, now: number) => {
    const seen = unopened.get(runId)
    if (seen?.updatedAt === updatedAt) return now - seen.since > 2 * leaseMillis
    unopened.set(runId, { updatedAt, since: now })
    return false
  }
  const isMeant = (record: RunRecord.RunRecord, now: number) =>
    !resting.has(record.runId) && (RunRecord.opening(record, 0)._tag === "Accepted" || isLeft(record, now))

  const look = Effect.gen(function* () {
    freed.closeUnsafe()
    const now = millis()
    for (const [runId, until] of resting) if (until <= now) resting.delete(runId)
    for (const [runId, { since }] of unopened) if (now - since > 4 * leaseMillis) unopened.delete(runId)
    let cursor: string | undefined
    do {
      if ((yield* size) >= options.concurrency) return
      const page: Page<RunRecord.RunRecord> = yield* store.list({
        stage: "unfinished",
        unleased: true,
        limit: pageSize,
        ...(cursor === undefined ? {} : { cursor })
      })
      for (const record of page.items) {
        const agent = byName.get(record.agent)
        if (agent === undefined || !isMeant(record, now) || FiberMap.hasUnsafe(taken, record.runId)) continue
        if ((yield* size) >= options.concurrency) return
        yield* take(agent, record)
      }
      cursor = page.cursor
    } while (cursor !== undefined)
  }).pipe(Effect.catch((error) => Effect.logWarning("baton: a worker cannot look for runs", error.message)))

  // Apart, so that a fleet that is started again does not fall upon the store at once.
  const apart = Effect.flatMap(Random.nextBetween(0, Duration.toMillis(options.startWithin)), Effect.sleep)
  const pause = Effect.flatMap(Random.nextBetween(0.8, 1.2), (share) =>
    Effect.raceFirst(Effect.sleep(Duration.times(options.every, share)), freed.await)
  )
  yield* Effect.forkScoped(
    Effect.raceFirst(Effect.andThen(apart, Effect.forever(Effect.andThen(look, pause))), stopping.await)
  )
})
