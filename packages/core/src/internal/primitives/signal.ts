import * as Effect from "effect/Effect"

/** Something that happens once. Who waits for it is called when it does, or at once if it did. */
export class Signal<A> {
  private observers: Set<(value: A) => void> | undefined
  private fired: { readonly value: A } | undefined

  /** Only the first time counts. */
  fire(value: A): void {
    if (this.fired !== undefined) return
    this.fired = { value }
    const { observers } = this
    this.observers = undefined
    for (const observer of observers ?? []) observer(value)
  }

  /** Calls once it happens, until this is taken back. */
  on(observer: (value: A) => void): () => void {
    if (this.fired !== undefined) {
      observer(this.fired.value)
      return () => {}
    }
    const observers = (this.observers ??= new Set())
    observers.add(observer)
    return () => void observers.delete(observer)
  }

  /** Waits for it, and goes on like this then. */
  whenFired<B, E, R>(next: (value: A) => Effect.Effect<B, E, R>): Effect.Effect<B, E, R> {
    return Effect.flatten(
      Effect.callback<Effect.Effect<B, E, R>>((resume) => {
        const off = this.on((value) => resume(Effect.succeed(next(value))))
        return Effect.sync(off)
      })
    )
  }
}
