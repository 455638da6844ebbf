import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Step } from "../../RunEngine.ts"
import type { FactOf, NewFact } from "../../RunRecord.ts"
import type { RunState } from "../../RunState.ts"
import { sendCancel } from "../cancelResponse.ts"
import type { OpenRun } from "../openRun.ts"
import { Signal } from "../signal.ts"
import type { HeldLease } from "./lease.ts"
import type * as Observe from "./observe.ts"

/** The cancels of a held run that are being sent. */
export interface Cancels {
  /** Sends those that are recorded, beside what the run does otherwise. */
  readonly send: () => void
  /** Ends when none is being sent. */
  readonly ended: Effect.Effect<void>
  /** Fires when the run must stop here: a cancel was recorded of a response that only this process can stop. */
  readonly stopped: Signal<void>
}

/** Each cancel has a fiber of its own, which ends when the provider took it, or with the scope. */
export const make = Effect.fnUntraced(function* (options: {
  readonly run: OpenRun
  readonly held: HeldLease
  /** What this process is busy with: while a cancel is being sent, its response is. */
  readonly underWay: Set<string>
  readonly nextOf: (state: RunState) => Step
  readonly observe: (fact: NewFact) => Effect.Effect<void, Observe.ObserveError>
}): Effect.fn.Return<Cancels, never, Scope.Scope> {
  const { nextOf, observe, run, underWay } = options
  const { journal, lease, record } = options.held
  const stopped = new Signal<void>()
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const fibers = new Set<Fiber.Fiber<void>>()
  yield* Effect.addFinalizer(() => Fiber.interruptAll(fibers))
  const ended: Effect.Effect<void> = Effect.suspend(() =>
    fibers.size === 0 ? Effect.void : Effect.andThen(Fiber.awaitAll([...fibers]), ended)
  )
  const cancelOf = (response: FactOf<"Accepted">) =>
    sendCancel(run, response, { by: lease.owner }).pipe(
      Effect.flatMap((facts) => Effect.forEach(facts, observe, { discard: true })),
      Effect.ensuring(Effect.sync(() => void underWay.delete(response.responseId))),
      Effect.ignore
    )
  return {
    send: () => {
      const state = journal.state()
      const unsent: Array<FactOf<"Accepted">> = []
      for (let step = nextOf(state); step._tag === "CancelResponse"; step = nextOf(state)) {
        underWay.add(step.response.responseId)
        unsent.push(step.response)
      }
      // A cancel that is answered at once must not be found again while they are looked for.
      for (const response of unsent) {
        const isOwn = state.turns.some(({ winner }) => winner?.responseId === response.responseId)
        // A foreground response ends with the connection of whoever opened it.
        if (isOwn && !record.background) stopped.fire()
        else {
          const fiber = fork(cancelOf(response))
          fibers.add(fiber)
          fiber.addObserver(() => void fibers.delete(fiber))
        }
      }
    },
    ended,
    stopped
  }
})
