import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { ScriptItem } from "../../ResponseScript.ts"
import type { LedgerResponse } from "../../SandboxLedger.ts"
import type { CreateRequest } from "./createRequest.ts"
import { type Json, jsonsOf } from "./json.ts"
import { cancelled, type Timeline } from "./timeline.ts"
import type { TroubleSet } from "./troubles.ts"

// A response that is not in the background is made as its reader reads it: if
// the reader leaves early, the work must stop early too.
const foregroundWindow = 4096

/** One stored response: its timeline, and how many of its events were made. */
export class Run {
  readonly id: string
  readonly request: CreateRequest
  /** The items before this response: those of its request, and those before them. */
  readonly context: ReadonlyArray<Json>
  readonly script: ReadonlyArray<ScriptItem>
  readonly createdAt: number
  readonly troubles: TroubleSet
  timeline: Timeline
  produced = 0
  delivered = 0
  finishedAt: number | undefined
  fiber: Fiber.Fiber<void> | undefined
  deleted = false
  resumes = 0
  retrieves = 0
  cancels = 0
  private readonly waiters = new Set<() => void>()

  constructor(fields: {
    readonly id: string
    readonly request: CreateRequest
    readonly context: ReadonlyArray<Json>
    readonly script: ReadonlyArray<ScriptItem>
    readonly createdAt: number
    readonly troubles: TroubleSet
    readonly timeline: (run: Run) => Timeline
  }) {
    this.id = fields.id
    this.request = fields.request
    this.context = fields.context
    this.script = fields.script
    this.createdAt = fields.createdAt
    this.troubles = fields.troubles
    this.timeline = fields.timeline(this)
  }

  get over(): boolean {
    return this.produced >= this.timeline.length
  }

  get status(): string {
    return this.timeline.status(this.produced)
  }

  /** The items that the response has so far. */
  get output(): ReadonlyArray<Json> {
    return jsonsOf(this.snapshot()["output"])
  }

  snapshot(): { readonly [key: string]: unknown } {
    return this.timeline.snapshot(this.produced)
  }

  /** Marks events as made. `now` is in milliseconds. */
  advance(to: number, now: number): void {
    this.produced = Math.min(to, this.timeline.length)
    if (this.over) this.finishedAt = now
    this.notify()
  }

  /** Ends the response at its current event. */
  cancel(now: number, withEvent: boolean): void {
    if (this.over) return
    this.timeline = cancelled(this.timeline, this.produced, withEvent)
    this.advance(this.timeline.length, now)
    this.fiber?.interruptUnsafe()
  }

  notify(): void {
    const waiting = [...this.waiters]
    this.waiters.clear()
    for (const wake of waiting) wake()
  }

  /** Waits until the condition holds. It is checked at every change. */
  until(condition: () => boolean): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const look = () => {
        if (condition()) resume(Effect.void)
        else this.waiters.add(look)
      }
      look()
      return Effect.sync(() => this.waiters.delete(look))
    })
  }

  get ledger(): LedgerResponse {
    return {
      id: this.id,
      model: this.request.model,
      background: this.request.background,
      stream: this.request.stream,
      metadata: this.request.metadata,
      createdAt: this.createdAt,
      status: this.status,
      eventsProduced: this.produced,
      outputText: this.timeline.outputText(this.produced),
      resumes: this.resumes,
      retrieves: this.retrieves,
      cancels: this.cancels,
      deleted: this.deleted
    }
  }
}

/** How fast a response is made. Both times are in milliseconds. */
export interface Tempo {
  readonly queue: number
  readonly pace: () => number
}

/** Makes the events of a response one after the other, to its end. */
export const produce = Effect.fnUntraced(function* (run: Run, tempo: Tempo) {
  const clock = yield* Clock.Clock
  if (run.timeline.queued > 0) run.advance(run.timeline.queued, clock.currentTimeMillisUnsafe())
  if (tempo.queue === Number.POSITIVE_INFINITY) return yield* Effect.never
  if (tempo.queue > 0) yield* Effect.sleep(tempo.queue)
  const window = run.request.stream && !run.request.background ? foregroundWindow : Number.POSITIVE_INFINITY
  let due = clock.currentTimeMillisUnsafe()
  while (!run.over) {
    if (run.produced >= run.delivered + window) {
      yield* run.until(() => run.over || run.produced < run.delivered + window)
      continue
    }
    const pace = tempo.pace()
    const now = clock.currentTimeMillisUnsafe()
    if (pace <= 0) {
      run.advance(run.produced + 2048, now)
      due = now
      yield* Effect.yieldNow
      continue
    }
    // The due time of each delta comes from the clock, not from the number of
    // sleeps, so that paces shorter than a timer's resolution hold on average.
    let next = run.produced
    while (next < run.timeline.length) {
      if (run.timeline.paced(next)) {
        if (due + pace > now) break
        due += pace
      }
      next++
    }
    if (next > run.produced) run.advance(next, now)
    if (!run.over) yield* Effect.sleep(Math.max(1, due + pace - now))
  }
})
