import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { NewFact, RunRecord } from "../../RunRecord.ts"
import { decide } from "../../RunEngine.ts"
import type { RunState } from "../../RunState.ts"
import { endedBy } from "../hold/heldRun.ts"
import { Journal } from "../hold/journal.ts"
import { persistently } from "../hold/lease.ts"
import { type ObserveError, record as observe } from "../hold/observe.ts"
import { counted } from "../telemetry/instruments.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import { foreseen } from "./foreseen.ts"
import { contextOfNext, restOf } from "../run/deciding.ts"
import type { OpenRun } from "../run/openRun.ts"
import type { ResponseEnd } from "../run/responseEnd.ts"

const writer = (run: OpenRun): string => run.policy.workerName ?? "a viewer"

/**
 * Records a fact about a run that this process does not hold. If the next step is then to end the run, and no worker holds
 * it, the end is recorded too. Returns the state of the run after that.
 */
export const learn = Effect.fnUntraced(function* (
  run: OpenRun,
  record: RunRecord,
  seen: ReadonlyArray<ResponseEnd | NewFact>
): Effect.fn.Return<RunState, ObserveError> {
  const journal = new Journal(record)
  const { incarnation } = journal.state()
  // A read-only store cannot record the fact, but the returned state includes it.
  const unkept = (facts: ReadonlyArray<NewFact>) =>
    journal.merge(
      journal.seen,
      facts.map((fact) => ({ ...fact, at: 0 }))
    )
  for (const fact of seen) {
    const known = journal.seen
    const whole = { incarnation, by: writer(run), ...fact }
    yield* observe(run, whole, known).pipe(
      Effect.map((facts) => journal.merge(known, facts)),
      Effect.catchIf(isDenied, () => Effect.sync(() => unkept([whole])))
    )
  }
  while (true) {
    const step = decide(journal.state(), contextOfNext(run, record))
    if (step._tag !== "End") return journal.state()
    // The worker that records the end of a logged run ends its log first.
    if (record.logged === true) return foreseen(run, { ...record, journal: journal.facts })
    const known = journal.seen
    const ended: NewFact = { ...endedBy(step), incarnation, by: writer(run) } as NewFact
    const rest = restOf(run, {
      ...record,
      journal: [...journal.facts, { ...ended, at: 0 }]
    })
    const { facts, outcome } = yield* run.store
      .conclude(run.runId, { seen: known, facts: [ended], due: rest.due })
      .pipe(
        Effect.retry({ while: (error) => error.isRetryable, schedule: persistently }),
        Effect.catchIf(isDenied, () => Effect.succeed({ outcome: "held", facts: [{ ...ended, at: 0 }] } as const))
      )
    journal.merge(known, facts)
    if (outcome === "written") yield* counted(record.agent, step.status)
    if (outcome !== "moved") return journal.state()
  }
})

const isDenied = (error: { readonly _tag: string; readonly kind?: TokenStoreError["kind"] }): boolean =>
  error._tag === "TokenStoreError" && error.kind === "denied"

/** The same, within `closeTimeout`. A fact that cannot be recorded in that time is found again by the next poll. */
export const learnInTime = (run: OpenRun, record: RunRecord, seen: ReadonlyArray<ResponseEnd | NewFact>) =>
  learn(run, record, seen).pipe(
    Effect.timeoutOption(Duration.min(run.policy.closeTimeout, Duration.seconds(5))),
    Effect.ignore
  )
