import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Semaphore from "effect/Semaphore"
import type * as Scope from "effect/Scope"
import { type AgentError, type LeaseLost, StoreFailed } from "../../AgentError.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import type { NewFact } from "../../RunRecord.ts"
import type { RunState } from "../../RunState.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import type { Answer, TokenStore } from "../../TokenStore.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import { reaches } from "../follow/order.ts"
import { type Position, tokenOf } from "../follow/position.ts"
import * as Instruments from "../telemetry/instruments.ts"
import { CheckpointMetrics } from "../telemetry/checkpointMetrics.ts"
import type { HeldLease } from "./lease.ts"
import * as Repeated from "./repeated.ts"
import { Trouble } from "../telemetry/trouble.ts"

interface Options {
  readonly store: TokenStore["Service"]
  readonly policy: RunPolicy
  readonly held: HeldLease
  readonly errorOf: (reason: AgentError["reason"]) => AgentError
  readonly onFacts: () => void
  /** The fact that ends the run, if the run ends in this state. */
  readonly endOf: (state: RunState) => NewFact | undefined
}

/**
 * Writes the last acknowledged position and facts of a held run. There is one writer and one write at a time. A write takes
 * the latest position and all facts that wait. Data that could not be written waits for the next write.
 */
export class Checkpointer {
  private readonly options: Options
  private readonly metrics: CheckpointMetrics
  private readonly trouble: Trouble
  private readonly one = Semaphore.makeUnsafe(1)
  private readonly every: number
  private last: Position | ContinuationToken
  private ordinal: number
  private isMoved = false
  private notes: ReadonlyArray<NewFact> = []
  /** True after the store refused facts for good: positions are then written without them. */
  private refused = 0
  private writer: Repeated.Repeated | undefined

  constructor(options: Options, clock: Clock.Clock) {
    const { held, policy } = options
    this.options = options
    this.metrics = new CheckpointMetrics(clock, held.record.agent)
    this.trouble = new Trouble(held.annotations)
    this.every = Duration.toMillis(policy.checkpointEvery)
    this.last = held.record.position
    this.ordinal = held.record.ordinal
  }

  /** Starts the writer; it stops when the scope closes. */
  begin(): Effect.Effect<void, never, Scope.Scope> {
    const { held } = this.options
    return Effect.map(
      Repeated.make(
        Effect.suspend(() => this.write()),
        { annotations: held.annotations }
      ),
      (writer) => {
        this.writer = writer
      }
    )
  }

  /** The last acknowledged position. */
  position(): ContinuationToken {
    return tokenOf(this.last)
  }

  /** Acknowledges all updates up to this position. */
  acknowledge(next: Position | ContinuationToken): void {
    // A stream from an early token never moves the stored position back.
    if (next === this.last || !reaches(next, this.last)) return
    this.last = next
    this.isMoved = true
    this.metrics.acknowledged()
    this.writer?.within(this.every)
  }

  /** Goes back to a position, because the log of the run lost what lies after it. */
  rewind(to: ContinuationToken): void {
    this.last = to
    this.isMoved = true
    this.writer?.within(this.every)
  }

  /** Writes a fact with the next position, or by `flush`. */
  note(fact: NewFact): void {
    this.notes = [...this.notes, fact]
    this.writer?.within(this.every)
  }

  /**
   * Writes decisions at once, with another position if one is given, unless the journal has facts that this process does
   * not know.
   */
  decide(facts: ReadonlyArray<NewFact>, position?: ContinuationToken): Effect.Effect<Answer["outcome"], AgentError> {
    return this.one.withPermit(this.send(facts, position)).pipe(
      Effect.tap(({ outcome }) => (outcome === "written" ? this.counted(facts) : Effect.void)),
      Effect.map(({ outcome }) => outcome)
    )
  }

  /** Writes at once everything that is not written yet. */
  get flush(): Effect.Effect<void, AgentError> {
    return Effect.suspend(() => {
      this.refused = 0
      return this.one.withPermit(this.writeAll())
    })
  }

  /** Writes what waits. Returns the milliseconds until the next write. */
  private write(): Effect.Effect<number | undefined> {
    const { held } = this.options
    // Once: a consumer that acknowledges without a pause would otherwise be written after each answer of the store.
    const once = Effect.suspend(() => (this.isBehind() ? this.writeOnce() : Effect.void))
    return this.one.withPermit(once).pipe(
      Effect.catch((error) =>
        held.gone() === undefined
          ? this.trouble.began("the position of a run could not be written; this is tried again", error.reason.message)
          : Effect.void
      ),
      Effect.map(() => (held.gone() === undefined && this.isBehind() ? this.every : undefined))
    )
  }

  private isBehind(): boolean {
    return this.isMoved || this.notes.length > this.refused
  }

  private writeAll(): Effect.Effect<void, AgentError> {
    return Effect.suspend(() =>
      this.isBehind() ? Effect.flatMap(this.writeOnce(), () => this.writeAll()) : Effect.void
    )
  }

  private writeOnce(): Effect.Effect<void, AgentError> {
    if (this.notes.length === this.refused) return Effect.asVoid(this.send([]))
    const waiting = this.notes.slice(this.refused)
    const end = this.options.endOf(this.options.held.journal.stateWith(waiting))
    // `Delivered` must come after the end of the run in the journal.
    const facts =
      end === undefined
        ? waiting
        : [
            ...waiting.filter(({ _tag }) => _tag !== "Delivered"),
            end,
            ...waiting.filter(({ _tag }) => _tag === "Delivered")
          ]
    return this.send(facts).pipe(
      Effect.tapError((error) => {
        if (error.reason._tag !== "StoreFailed" || error.isRetryable) return Effect.void
        this.refused = this.notes.length
        // A run that is being left has no later flush that could write its position.
        return this.isMoved ? Effect.ignore(this.send([])) : Effect.void
      }),
      Effect.flatMap(({ outcome }) => {
        if (outcome !== "written") return Effect.void
        this.notes = this.notes.filter((fact) => !waiting.includes(fact))
        return this.counted(facts)
      })
    )
  }

  private send(facts: ReadonlyArray<NewFact>, other?: ContinuationToken): Effect.Effect<Answer, AgentError> {
    return Effect.suspend(() => {
      const { held, store } = this.options
      const gone = held.gone()
      if (gone !== undefined) return Effect.fail(gone)
      const { seen } = held.journal
      const withPosition = this.isMoved && other === undefined
      if (withPosition) this.isMoved = false
      this.metrics.taken()
      const begun = this.metrics.now()
      const written = withPosition ? tokenOf(this.last) : other
      const position = written === undefined ? {} : { position: { ordinal: ++this.ordinal, token: written } }
      return store
        .commit(held.lease, { seen, ...(facts.length === 0 ? {} : { facts, guard: true }), ...position })
        .pipe(
          Effect.onExit((exit) => this.sent(begun, exit, withPosition)),
          Effect.mapError((error) => this.failed(error)),
          Effect.flatMap((answer) => {
            if (answer.outcome === "written" && other !== undefined) this.last = other
            if (held.journal.merge(seen, answer.facts)) this.options.onFacts()
            return Effect.as(this.trouble.ended(), answer)
          })
        )
    })
  }

  private sent(
    begun: bigint,
    exit: Exit.Exit<Answer, LeaseLost | TokenStoreError>,
    withPosition: boolean
  ): Effect.Effect<void> {
    // Facts that were not written must be written again.
    if (exit._tag === "Failure" || exit.value.outcome === "moved") this.isMoved ||= withPosition
    return this.metrics.written(begun, exit)
  }

  private failed(error: LeaseLost | TokenStoreError): AgentError {
    const { errorOf, held } = this.options
    return error._tag === "LeaseLost" ? held.lose(errorOf(error)) : errorOf(new StoreFailed({ error }))
  }

  private counted(facts: ReadonlyArray<NewFact>): Effect.Effect<void> {
    const end = facts.find((fact) => fact._tag === "Ended")
    return end?._tag === "Ended" ? Instruments.counted(this.options.held.record.agent, end.status) : Effect.void
  }
}

export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Checkpointer, never, Scope.Scope> {
  const checkpointer = new Checkpointer(options, yield* Clock.Clock)
  yield* checkpointer.begin()
  return checkpointer
})
