import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import { type AgentError, RunNotFound } from "../../AgentError.ts"
import { decide } from "../../RunEngine.ts"
import type { NewFact } from "../../RunRecord.ts"
import type { RunState } from "../../RunState.ts"
import { sendCancel } from "../run/cancelResponse.ts"
import { Journal } from "../hold/journal.ts"
import { record as observe } from "../hold/observe.ts"
import { learn } from "./learn.ts"
import { contextOfNext } from "../run/deciding.ts"
import { errorOf, type OpenRun, readAgain, storeFailed } from "../run/openRun.ts"

/**
 * Records a cancel of a run, and cancels its background responses at the provider. If the provider does not accept a cancel
 * now, the next holder of the run sends it again. The process that follows a foreground response stops it.
 */
export const stop = Effect.fnUntraced(function* (
  run: OpenRun,
  schedule: Schedule.Schedule<unknown> = run.policy.requestRetry
): Effect.fn.Return<RunState, AgentError> {
  const record = yield* readAgain(run)
  const journal = new Journal(record)
  const by = run.policy.workerName ?? "Agent.cancel"
  const note = (fact: NewFact) =>
    Effect.suspend(() => {
      const { seen } = journal
      return observe(run, fact, seen).pipe(
        Effect.map((facts) => journal.merge(seen, facts)),
        Effect.mapError((error) =>
          error._tag === "Gone" ? errorOf(run)(new RunNotFound({ runId: run.runId })) : storeFailed(run)(error)
        )
      )
    })

  if (journal.state().ended === undefined) {
    yield* note({ _tag: "CancelRequested", incarnation: journal.state().incarnation, by })
  }
  const underWay = new Set<string>()
  while (true) {
    const state = journal.state()
    const step = decide(state, { ...contextOfNext(run, record), underWay })
    if (step._tag !== "CancelResponse") break
    const { response } = step
    underWay.add(response.responseId)
    const isWinner = state.turns.some(({ winner }) => winner?.responseId === response.responseId)
    if (isWinner && !record.background) continue
    const facts = yield* sendCancel(run, response, { by, schedule }).pipe(
      Effect.mapError((error) => errorOf(run)(error))
    )
    yield* Effect.forEach(facts, note, { discard: true })
  }
  if (journal.state().ended !== undefined) return journal.state()
  return yield* learn(run, { ...record, journal: journal.facts }, []).pipe(
    Effect.mapError((error) =>
      error._tag === "Gone" ? errorOf(run)(new RunNotFound({ runId: run.runId })) : storeFailed(run)(error)
    )
  )
})
