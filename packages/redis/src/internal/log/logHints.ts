import type { Run, UpdateLogError } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Redis from "effect/persistence/Redis"
import * as LogFailure from "./logFailure.ts"

/** How long to wait before subscribing again after the subscription failed. */
const again = Duration.seconds(1)

/** Hints that logs grew: those of this layer at once, and those of others over one subscription. */
export interface LogHints {
  /** Names this layer in the hints that it publishes, so that it can ignore them. It has given them already. */
  readonly by: string
  /** Gives a hint to the listeners of this layer. */
  readonly tell: (runId: Run.RunId) => void
  readonly of: (runId: Run.RunId) => Stream.Stream<void, UpdateLogError.UpdateLogError>
}

/** The subscription starts with the first listener and stays until the scope ends, because it takes a connection. */
export const make = Effect.fnUntraced(function* (
  channel: string,
  subscribe: Redis.Redis["Service"]["subscribe"]
): Effect.fn.Return<LogHints, never, Scope.Scope> {
  const scope = yield* Scope.Scope
  const by = (yield* Random.next).toString(36).slice(2)
  const listeners = new Map<string, Set<Latch.Latch>>()
  let isClosed = false
  // Whether there is a subscription, or it failed. The first hint waits for that, so that no hint after it is lost.
  let isSettled = false

  // Several hints that a listener has not pulled yet become one.
  const tell = (runId: string): void => {
    for (const latch of listeners.get(runId) ?? []) latch.openUnsafe()
  }
  const tellAll = Effect.sync(() => {
    isSettled = true
    for (const runId of listeners.keys()) tell(runId)
  })
  /** Lines of a message: the id of the run, and the name of the layer that wrote. */
  const hear = ({ message }: Redis.RedisMessage): void => {
    const [runId = "", writer] = message.split("\n")
    if (writer !== by) tell(runId)
  }

  // The warning is logged once until the subscription works again.
  let isTold = false
  const listen = Effect.gen(function* () {
    const messages = yield* subscribe(channel)
    // This fails if the subscription failed.
    const first = yield* Queue.clear(messages)
    isTold = false
    // Hints before the subscription were lost.
    yield* tellAll
    first.forEach(hear)
    while (true) (yield* Queue.takeAll(messages)).forEach(hear)
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => {
      if (isTold) return Effect.void
      isTold = true
      return Effect.andThen(
        tellAll,
        Effect.logWarning(
          "baton: the subscription to hints of the update log in Redis failed. " +
            "Until it works again, readers find updates by polling.",
          error.message
        )
      )
    }),
    Effect.andThen(Effect.sleep(again)),
    Effect.forever
  )
  const begin = yield* Effect.cached(Effect.forkIn(listen, scope))
  yield* Scope.addFinalizer(
    scope,
    Effect.suspend(() => {
      isClosed = true
      return tellAll
    })
  )

  const listening = (runId: Run.RunId) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const latch = Latch.makeUnsafe(isSettled)
        const all = listeners.get(runId) ?? new Set()
        listeners.set(runId, all.add(latch))
        return latch
      }),
      (latch) =>
        Effect.sync(() => {
          const all = listeners.get(runId)
          all?.delete(latch)
          if (all?.size === 0) listeners.delete(runId)
        })
    ).pipe(Effect.tap(() => (isClosed ? Effect.void : begin)))

  return {
    by,
    tell,
    of: (runId) =>
      Stream.scoped(
        Stream.fromPull(
          Effect.map(listening(runId), (latch) =>
            Effect.flatMap(Effect.andThen(latch.await, latch.close), () =>
              isClosed ? Effect.fail(LogFailure.closed("changes")) : Effect.succeed([undefined] as const)
            )
          )
        )
      )
  }
})
