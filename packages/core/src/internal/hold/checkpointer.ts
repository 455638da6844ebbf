import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type * as Scope from "effect/Scope"
import { type AgentError, StoreFailed } from "../../AgentError.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { NewFact } from "../../RunRecord.ts"
import type { RunState } from "../../RunState.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import type { Answer, TokenStore } from "../../TokenStore.ts"
import { reaches } from "../follow/order.ts"
import * as Instruments from "../instruments.ts"
import { type Position, tokenOf } from "../follow/position.ts"
import * as CheckpointMetrics from "./checkpointMetrics.ts"
import type { HeldLease } from "./lease.ts"
import * as Repeated from "./repeated.ts"
import * as Trouble from "./trouble.ts"

// What a held run has to write: the last acknowledged position, and facts. There is one writer and one write at a time; a
// write takes the latest position and all facts that wait. What could not be written waits on.

export interface Checkpointer {
  /** The last position that is acknowledged. */
  readonly position: () => ContinuationToken
  /** The consumer finished with everything up to this position. */
  readonly acknowledge: (position: Position | ContinuationToken) => void
  /** Writes a fact with the next position, or by `flush`. */
  readonly note: (fact: NewFact) => void
  /** Writes decisions now, and with them another position, if nothing came that this process had not seen. */
  readonly decide: (
    facts: ReadonlyArray<NewFact>,
    position?: ContinuationToken
  ) => Effect.Effect<Answer["outcome"], AgentError>
  /** Writes at once what is not written yet. */
  readonly flush: Effect.Effect<void, AgentError>
}

export const make = Effect.fnUntraced(function* (options: {
  readonly store: TokenStore["Service"]
  readonly policy: RunPolicy
  readonly clock: Clock.Clock
  readonly held: HeldLease
  readonly errorOf: (reason: AgentError["reason"]) => AgentError
  readonly onFacts: () => void
  /** The end of the run, if this state has come to it. */
  readonly endOf: (state: RunState) => NewFact | undefined
}): Effect.fn.Return<Checkpointer, never, Scope.Scope> {
  const { errorOf, held, policy, store } = options
  const { journal, lease, record } = held
  const metrics = CheckpointMetrics.make(options.clock, { "gen_ai.agent.name": record.agent })
  const trouble = Trouble.make({ runId: record.runId, agent: record.agent })
  const one = Semaphore.makeUnsafe(1)
  let last: Position | ContinuationToken = record.position
  let { ordinal } = record
  let isMoved = false
  let notes: ReadonlyArray<NewFact> = []
  // Facts that the store refused for good must not keep positions from being written.
  let refused = 0

  const send = (facts: ReadonlyArray<NewFact>, other?: ContinuationToken): Effect.Effect<Answer, AgentError> =>
    Effect.suspend(() => {
      const gone = held.gone()
      if (gone !== undefined) return Effect.fail(gone)
      const { seen } = journal
      const withPosition = isMoved && other === undefined
      if (withPosition) isMoved = false
      metrics.taken()
      const written = withPosition ? tokenOf(last) : other
      const position = written === undefined ? {} : { position: { ordinal: ++ordinal, token: written } }
      return metrics
        .written(store.commit(lease, { seen, ...(facts.length === 0 ? {} : { facts, guard: true }), ...position }))
        .pipe(
          Effect.tap(({ facts: since, outcome }) => {
            if (outcome === "written" && other !== undefined) last = other
            if (outcome === "moved" && withPosition) {
              isMoved = true
            }
            if (journal.merge(seen, since)) options.onFacts()
            return trouble.ended
          }),
          Effect.onError(() =>
            Effect.sync(() => {
              isMoved ||= withPosition
            })
          ),
          Effect.mapError((error) =>
            error._tag === "LeaseLost" ? held.lose(errorOf(error)) : errorOf(new StoreFailed({ error }))
          )
        )
    })

  const counted = (facts: ReadonlyArray<NewFact>) => {
    const end = facts.find((fact) => fact._tag === "Ended")
    return end?._tag === "Ended" ? Instruments.counted(record.agent, end.status) : Effect.void
  }

  const isBehind = () => isMoved || notes.length > refused

  const flush: Effect.Effect<void, AgentError> = Effect.gen(function* () {
    while (isBehind()) {
      const waiting = notes.slice(refused)
      const end = waiting.length === 0 ? undefined : options.endOf(journal.stateWith(waiting))
      // What the consumer is done with comes after the end that it is done with.
      const facts =
        end === undefined
          ? waiting
          : [
              ...waiting.filter(({ _tag }) => _tag !== "Delivered"),
              end,
              ...waiting.filter(({ _tag }) => _tag === "Delivered")
            ]
      const answer = yield* send(facts).pipe(
        Effect.tapError((error) => {
          if (facts.length === 0 || error.reason._tag !== "StoreFailed" || error.isRetryable) return Effect.void
          refused = notes.length
          // A run that is being left has no later flush for its position.
          return isMoved ? Effect.ignore(send([])) : Effect.void
        })
      )
      if (answer.outcome !== "written") continue
      notes = notes.filter((fact) => !waiting.includes(fact))
      yield* counted(facts)
    }
  })

  const every = Duration.toMillis(policy.checkpointEvery)
  const writer = yield* Repeated.make(
    Effect.suspend(() => one.withPermit(flush)).pipe(
      Effect.catch((error) =>
        held.gone() === undefined
          ? trouble.began("the position of a run could not be written, and this is tried again", error.reason.message)
          : Effect.void
      ),
      Effect.map(() => (held.gone() === undefined && isBehind() ? every : undefined))
    )
  )

  return {
    position: () => tokenOf(last),
    acknowledge: (next) => {
      // A view from an early token never takes the stored position back.
      if (next === last || !reaches(next, last)) return
      last = next
      isMoved = true
      metrics.acknowledged()
      writer.within(every)
    },
    note: (fact) => {
      notes = [...notes, fact]
      writer.within(every)
    },
    decide: (facts, position) =>
      one.withPermit(send(facts, position)).pipe(
        Effect.tap(({ outcome }) => (outcome === "written" ? counted(facts) : Effect.void)),
        Effect.map(({ outcome }) => outcome)
      ),
    flush: Effect.suspend(() => {
      refused = 0
      return one.withPermit(flush)
    })
  }
})
