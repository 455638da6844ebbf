import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Step } from "../../RunEngine.ts"
import type { FactOf, NewFact } from "../../RunRecord.ts"
import type { RunState } from "../../RunState.ts"
import { sendCancel } from "../run/cancelResponse.ts"
import type { OpenRun } from "../run/openRun.ts"
import { Signal } from "../primitives/signal.ts"
import type { HeldLease } from "./lease.ts"
import type * as Observe from "./observe.ts"

interface Options {
  readonly run: OpenRun
  readonly held: HeldLease
  /** See `RunEngine.Context`: contains a response while its cancel is being sent. */
  readonly underWay: Set<string>
  readonly nextOf: (state: RunState) => Step
  readonly observe: (fact: NewFact) => Effect.Effect<void, Observe.ObserveError>
}

/**
 * The cancels of a held run that are being sent. Each has a fiber of its own, which ends with the scope, or once the
 * provider has accepted the cancel.
 */
export class Cancels {
  /** Fires when a cancel was recorded of a response that only this process can stop. */
  readonly stopped = new Signal<void>()
  private readonly options: Options
  private readonly fork: (cancel: Effect.Effect<void>) => Fiber.Fiber<void>
  private fibers: ReadonlyArray<Fiber.Fiber<void>> = []

  constructor(options: Options, fork: (cancel: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.options = options
    this.fork = fork
  }

  /** Ends when no cancel is being sent. */
  ended(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.fibers.length === 0 ? Effect.void : Effect.flatMap(Fiber.awaitAll(this.fibers), () => this.ended())
    )
  }

  /** Interrupts the cancels that are being sent. */
  close(): Effect.Effect<void> {
    return Fiber.interruptAll(this.fibers)
  }

  /** Sends the recorded cancels, in fibers beside the run. */
  send(): void {
    const { held, nextOf, underWay } = this.options
    const state = held.journal.state()
    const unsent: Array<FactOf<"Accepted">> = []
    for (let step = nextOf(state); step._tag === "CancelResponse"; step = nextOf(state)) {
      underWay.add(step.response.responseId)
      unsent.push(step.response)
    }
    // A cancel that is answered at once must not be found again by this loop.
    for (const response of unsent) {
      const isOwn = state.turns.some(({ winner }) => winner?.responseId === response.responseId)
      // A foreground response ends with the connection that opened it.
      if (isOwn && !held.record.background) this.stopped.fire()
      else this.begin(response)
    }
  }

  private begin(response: FactOf<"Accepted">): void {
    const fiber = this.fork(this.cancel(response))
    this.fibers = [...this.fibers, fiber]
    fiber.addObserver(() => {
      this.fibers = this.fibers.filter((other) => other !== fiber)
    })
  }

  private cancel(response: FactOf<"Accepted">): Effect.Effect<void> {
    const { held, observe, run, underWay } = this.options
    return sendCancel(run, response, { by: held.lease.owner }).pipe(
      Effect.flatMap((facts) => Effect.forEach(facts, observe, { discard: true })),
      Effect.ensuring(Effect.sync(() => void underWay.delete(response.responseId))),
      Effect.ignore
    )
  }
}

export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Cancels, never, Scope.Scope> {
  const cancels = new Cancels(options, Effect.runForkWith(yield* Effect.context<never>()))
  yield* Effect.addFinalizer(() => cancels.close())
  return cancels
})
