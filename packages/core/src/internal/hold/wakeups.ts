import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import type { RunId } from "../../Run.ts"
import type { TokenStore, Wakeup } from "../../TokenStore.ts"
import { Trouble } from "../telemetry/trouble.ts"

type Store = TokenStore["Service"]
type Work = Extract<Wakeup, { _tag: "Work" }>
type Context = Context.Context<never>

/** The pause before the hints are read again after a failure. */
const again = Duration.seconds(1)

/** The hints of a store, read once for all listeners, as long as there is one. */
export class Wakeups {
  private readonly store: Store
  private readonly runs = new Map<RunId, Set<(by: string | undefined) => void>>()
  private readonly workers = new Set<(work: Work) => void>()
  private readonly context: Context
  private listening: Fiber.Fiber<void> | undefined

  constructor(store: Store, context: Context) {
    this.store = store
    this.context = context
  }

  /**
   * Calls the listener at each hint for a run, with the name of the writer if it is known. Returns a function that removes
   * it.
   */
  onRun(id: RunId, listener: (by: string | undefined) => void): () => void {
    const listeners = this.runs.get(id) ?? new Set()
    this.runs.set(id, listeners.add(listener))
    this.listen()
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.runs.get(id) === listeners) this.runs.delete(id)
      this.rest()
    }
  }

  /** Calls the listener when runs may be due. Returns a function that removes it. */
  onWork(listener: (work: Work) => void): () => void {
    this.workers.add(listener)
    this.listen()
    return () => {
      this.workers.delete(listener)
      this.rest()
    }
  }

  private listen(): void {
    if (this.listening !== undefined) return
    const trouble = new Trouble({})
    const hear = Stream.runForEach(this.store.wakeups, (hint) =>
      Effect.suspend(() => {
        this.told(hint)
        return trouble.ended()
      })
    ).pipe(
      Effect.catch((error) =>
        trouble.began(
          "the hints of the store cannot be read; this is tried again, and workers find runs without hints meanwhile",
          error.message
        )
      ),
      Effect.andThen(Effect.sleep(again)),
      Effect.forever
    )
    this.listening = Effect.runForkWith(this.context)(hear)
  }

  private rest(): void {
    if (this.runs.size > 0 || this.workers.size > 0) return
    this.listening?.interruptUnsafe()
    this.listening = undefined
  }

  private told(hint: Wakeup): void {
    if (hint._tag === "Work") {
      for (const listener of this.workers) listener(hint)
    } else {
      for (const listener of this.runs.get(hint.runId) ?? []) listener(hint.by)
    }
  }
}

const known = new WeakMap<Store, Wakeups>()

/** The shared hints of this store. */
export const of = (store: Store): Effect.Effect<Wakeups> =>
  Effect.map(Effect.all([Clock.Clock, Logger.CurrentLoggers]), ([clock, loggers]) => {
    const found = known.get(store)
    if (found !== undefined) return found
    // With few services only: the first listener must not lend its services to all others.
    const made = new Wakeups(store, Context.make(Clock.Clock, clock).pipe(Context.add(Logger.CurrentLoggers, loggers)))
    known.set(store, made)
    return made
  })
