import * as Effect from "effect/Effect"

/** A signal that fires once. Listeners are called when it fires, or at once if it has fired. */
export class Signal<A> {
  private observers: Set<(value: A) => void> | undefined
  private fired: { readonly value: A } | undefined

  /** Fires. Only the first call counts. */
  fire(value: A): void {
    if (this.fired !== undefined) return
    this.fired = { value }
    const { observers } = this
    this.observers = undefined
    for (const observer of observers ?? []) observer(value)
  }

  /** Calls the listener once the signal fires. Returns a function that removes the listener. */
  on(observer: (value: A) => void): () => void {
    if (this.fired !== undefined) {
      observer(this.fired.value)
      return () => {}
    }
    const observers = (this.observers ??= new Set())
    observers.add(observer)
    return () => void observers.delete(observer)
  }

  /** Waits until the signal fires, then runs the effect. */
  whenFired<B, E, R>(next: (value: A) => Effect.Effect<B, E, R>): Effect.Effect<B, E, R> {
    return Effect.flatten(
      Effect.callback<Effect.Effect<B, E, R>>((resume) => {
        const off = this.on((value) => resume(Effect.succeed(next(value))))
        return Effect.sync(off)
      })
    )
  }
}
