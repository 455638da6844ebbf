import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { AgentError, InvalidInput, type LeaseLost } from "../../AgentError.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import type { NewFact, RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import type { Lease, ReleaseOptions, TokenStore } from "../../TokenStore.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import { freshId } from "../primitives/freshId.ts"
import { Journal } from "../hold/journal.ts"
import { timeOf } from "../hold/lease.ts"
import { typedStore } from "../ports/typedStore.ts"
import { failed, read } from "./find.ts"

/** Gives a parked run back to the workers, with all its attempts. */
export const retry = Effect.fn("Runs.retry")(function* (runId: string): Effect.fn.Return<void, AgentError, TokenStore> {
  const record = yield* read(runId)
  if (record.parked === null) return
  yield* change(record, (_, __, { journal }) => Effect.succeed({ due: Duration.zero, seen: journal.length }))
})

/** Gives up a parked run. */
export const discard = Effect.fn("Runs.discard")(function* (
  runId: string
): Effect.fn.Return<void, AgentError, TokenStore> {
  const record = yield* read(runId)
  const before = RunState.fold(record)
  if (record.parked === null) {
    if (before.delivered) return
    const description = "The run is not parked, and a worker may finish it. Use Agent.cancel or Runs.cancel to end it."
    return yield* new AgentError({ runId, agent: record.agent, reason: new InvalidInput({ description }) })
  }
  yield* change(
    record,
    Effect.fnUntraced(function* (store, lease, held) {
      const journal = new Journal(held)
      while (true) {
        const { incarnation, unresolved } = journal.state()
        const own = { incarnation, by: lease.owner }
        const end: NewFact =
          unresolved.length > 0
            ? { _tag: "Ended", ...own, status: "failed", reason: "unconfirmed", unresolved }
            : { _tag: "Ended", ...own, status: "cancelled" }
        const facts: ReadonlyArray<NewFact> = [end, { _tag: "Delivered", ...own }]
        const { seen } = journal
        const answer = yield* store.commit(lease, { seen, guard: true, facts })
        journal.merge(seen, answer.facts)
        if (answer.outcome !== "written") continue
        const due = journal.state().loose.length > 0 ? Duration.zero : Duration.infinity
        return { due, seen: journal.seen }
      }
    })
  )
})

/** Takes a parked run, changes it, and releases it. */
const change = Effect.fnUntraced(function* (
  { agent, parked, runId }: RunRecord,
  f: (
    store: TokenStore["Service"],
    lease: Lease,
    record: RunRecord
  ) => Effect.Effect<Pick<ReleaseOptions, "due" | "seen">, LeaseLost | TokenStoreError>
): Effect.fn.Return<void, AgentError, TokenStore> {
  const store = yield* typedStore
  const policy = yield* RunPolicy
  const owner = `${policy.workerName ?? "Runs"}/${yield* freshId}`
  yield* Effect.gen(function* () {
    const { lease, record } = yield* store.acquire(runId, { owner, ttl: timeOf(policy) })
    const asItWas: ReleaseOptions = {
      seen: record.journal.length,
      due: Duration.infinity,
      ...(parked === null ? {} : { parked: parked.reason }),
      attempt: "keep"
    }
    const rest = yield* Effect.onError(f(store, lease, record), () => Effect.ignore(store.release(lease, asItWas)))
    yield* store.release(lease, { ...rest, attempt: "reset" })
  }).pipe(Effect.mapError(failed(runId, agent)))
})
