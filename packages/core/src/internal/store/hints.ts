import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Wakeup } from "../../StoreOperations.ts"

/** Hints for one listener, kept until they are pulled. It does not use Effect's Queue, which would enlarge every bundle. */
class Listener {
  private hints: Array<Wakeup>
  private wake: (() => void) | undefined

  constructor(first: ReadonlyArray<Wakeup>) {
    this.hints = [...first]
  }

  tell(hint: Wakeup): void {
    this.hints.push(hint)
    this.wake?.()
  }

  readonly pull: Pull.Pull<readonly [Wakeup, ...Array<Wakeup>]> = Effect.suspend(() => {
    const [first, ...rest] = this.hints
    this.hints = []
    return first === undefined ? Effect.flatMap(this.told, () => this.pull) : Effect.succeed([first, ...rest] as const)
  })

  private readonly told = Effect.callback<void>((resume) => {
    this.wake = () => resume(Effect.void)
    return Effect.sync(() => (this.wake = undefined))
  })
}

/** Hints within a process. */
export class Hints {
  private readonly listeners = new Set<Listener>()

  /** Sends a hint to all current listeners. */
  tell(hint: Wakeup): void {
    for (const listener of this.listeners) listener.tell(hint)
  }

  /** A stream of these hints, then of all hints that are sent from now on. */
  after(first: ReadonlyArray<Wakeup>): Stream.Stream<Wakeup> {
    const listening = Effect.acquireRelease(
      Effect.sync(() => {
        const listener = new Listener(first)
        this.listeners.add(listener)
        return listener
      }),
      (listener) => Effect.sync(() => this.listeners.delete(listener))
    )
    return Stream.scoped(Stream.fromPull(Effect.map(listening, ({ pull }) => pull)))
  }
}

/** A `Work` hint for every shard. */
export const workIn = (shards: ReadonlyArray<string>): ReadonlyArray<Wakeup> =>
  shards.map((shard) => ({ _tag: "Work", shard, after: Duration.zero }))
