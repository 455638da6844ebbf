import { Clock, Effect, Option, Result } from "effect"
import type { RunId } from "../Run.ts"
import type { TokenStore } from "../TokenStore.ts"
import * as RunTable from "./runTable.ts"

/** The runs of one process, in a map; nothing survives it. */
export const make: Effect.Effect<TokenStore["Service"]> = Effect.sync(() => {
  const rows = new Map<RunId, RunTable.Row>()
  let fence = 0

  const now = Clock.clockWith((clock) =>
    Effect.succeed<RunTable.Moment>({
      millis: clock.currentTimeMillisUnsafe(),
      nanos: clock.monotonicTimeNanosUnsafe()
    })
  )
  const keep = <A>(id: RunId, step: RunTable.Step<A>): A => {
    rows.set(id, step.row)
    return step.value
  }
  const update = <A, E>(
    id: RunId,
    f: (row: RunTable.Row | undefined, now: RunTable.Moment) => Result.Result<RunTable.Step<A>, E>
  ): Effect.Effect<A, E> =>
    Effect.flatMap(now, (now) => Effect.fromResult(Result.map(f(rows.get(id), now), (step) => keep(id, step))))

  return {
    create: (run) => Effect.map(now, (now) => keep(run.runId, RunTable.create(rows.get(run.runId), run, now))),
    read: (id) =>
      Effect.map(now, (now) => Option.map(Option.fromUndefinedOr(rows.get(id)), (row) => RunTable.read(row, now))),
    acquire: (id, options) =>
      update(id, (row, now) => {
        // Fences come from the clock too, so that they go on rising after the store was emptied.
        fence = Math.max(fence + 1, now.millis)
        return RunTable.acquire(row, id, { ...options, nextFence: fence }, now)
      }),
    renew: (lease, ttl) => update(lease.runId, (row, now) => RunTable.renew(row, lease, ttl, now)),
    release: (lease) =>
      Effect.sync(() => {
        const step = RunTable.release(rows.get(lease.runId), lease)
        if (step !== undefined) keep(lease.runId, step)
      }),
    commit: (lease, commit) => update(lease.runId, (row, now) => RunTable.commit(row, lease, commit, now)),
    signal: (id, signal) => update(id, (row, now) => RunTable.signal(row, id, signal, now)),
    remove: (id) => Effect.sync(() => void rows.delete(id)),
    list: (filter) => Effect.map(now, (now) => RunTable.list(rows.values(), filter, now))
  }
})
