import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { RunId } from "../Run.ts"
import * as ResponseIndex from "./responseIndex.ts"
import * as RunKernel from "../RunKernel.ts"
import type { Operations } from "../StoreOperations.ts"

/** The runs of one process, in a map; nothing survives it. */
export const make: Effect.Effect<Operations> = Effect.sync(() => {
  const rows = new Map<RunId, RunKernel.Row>()
  const responses = ResponseIndex.make()
  let fence = 0

  const moment = Clock.clockWith((clock) =>
    Effect.succeed<RunKernel.Moment>({
      // Records hold whole milliseconds, whatever the clock tells.
      millis: Math.floor(clock.currentTimeMillisUnsafe()),
      nanos: clock.monotonicTimeNanosUnsafe()
    })
  )
  // From the clock too, so that fences and incarnations go on rising after the store was emptied.
  const nextFence = (now: RunKernel.Moment): number => (fence = Math.max(fence + 1, now.millis))
  const keep = <A>(id: RunId, step: RunKernel.Step<A>): A => {
    responses.update(id, rows.get(id)?.record, step.row.record)
    rows.set(id, step.row)
    return step.value
  }
  const update = <A, E>(
    id: RunId,
    f: (row: RunKernel.Row | undefined, now: RunKernel.Moment) => Result.Result<RunKernel.Step<A>, E>
  ): Effect.Effect<A, E> =>
    Effect.flatMap(moment, (now) => Effect.fromResult(Result.map(f(rows.get(id), now), (step) => keep(id, step))))

  return {
    create: (run, options) =>
      Effect.map(moment, (now) =>
        keep(run.runId, RunKernel.create(rows.get(run.runId), run, { ...options, nextFence: nextFence(now) }, now))
      ),
    read: (id) =>
      Effect.map(moment, (now) => {
        const runId = Predicate.isString(id) ? id : responses.find(id.responseId)
        const found = Option.fromUndefinedOr(runId === undefined ? undefined : rows.get(runId))
        return Option.map(found, (row) => RunKernel.read(row, now))
      }),
    acquire: (id, options) =>
      update(id, (row, now) => RunKernel.acquire(row, id, { ...options, nextFence: nextFence(now) }, now)),
    renew: (lease, ttl, seen) => update(lease.runId, (row, now) => RunKernel.renew(row, lease, ttl, seen, now)),
    release: (lease, options) =>
      Effect.map(moment, (now) => {
        const step = RunKernel.release(rows.get(lease.runId), lease, options, now)
        if (step !== undefined) keep(lease.runId, step)
      }),
    commit: (lease, commit) => update(lease.runId, (row, now) => RunKernel.commit(row, lease, commit, now)),
    record: (id, fact, seen) => update(id, (row, now) => RunKernel.record(row, id, fact, seen, now)),
    conclude: (id, options) => update(id, (row, now) => RunKernel.conclude(row, id, options, now)),
    remove: (lease, options = {}) =>
      Effect.flatMap(moment, (now) => {
        const id = lease.runId
        const answer = RunKernel.remove(rows.get(id), lease, options, now)
        if (Result.isSuccess(answer) && answer.success) {
          responses.update(id, rows.get(id)?.record, undefined)
          rows.delete(id)
        }
        return Effect.fromResult(answer)
      }),
    list: (filter) => Effect.map(moment, (now) => RunKernel.list(rows.values(), filter, now))
  }
})
