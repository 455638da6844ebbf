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

/** Subscribes again after this long if the connection was lost for good. */
const again = Duration.seconds(1)

/** Hints that logs grew: of this process at once, and of the others over one subscription. */
export interface LogHints {
  /** What tells this process's hints from those of others, so that it does not hear its own again. */
  readonly by: string
  /** Tells those of this process that listen. */
  readonly tell: (runId: Run.RunId) => void
  readonly of: (runId: Run.RunId) => Stream.Stream<void, UpdateLogError.UpdateLogError>
}

/** The subscription begins with the first that listens, and stays until the scope ends, as it takes a connection. */
export const make = Effect.fnUntraced(function* (
  channel: string,
  subscribe: Redis.Redis["Service"]["subscribe"]
): Effect.fn.Return<LogHints, never, Scope.Scope> {
  const scope = yield* Scope.Scope
  const by = (yield* Random.next).toString(36).slice(2)
  const listeners = new Map<string, Set<Latch.Latch>>()
  let isClosed = false
  // Whether there is a subscription, or it was refused. Until then nobody is given the first hint, as others could be lost.
  let isSettled = false

  // Hints that a listener has not pulled yet become one.
  const tell = (runId: string): void => {
    for (const latch of listeners.get(runId) ?? []) latch.openUnsafe()
  }
  const tellAll = Effect.sync(() => {
    isSettled = true
    for (const runId of listeners.keys()) tell(runId)
  })
  /** The run, and who wrote, on a line each. */
  const hear = ({ message }: Redis.RedisMessage): void => {
    const [runId = "", writer] = message.split("\n")
    if (writer !== by) tell(runId)
  }

  // Told once, until there is something to hear again.
  let isTold = false
  const listen = Effect.gen(function* () {
    const messages = yield* subscribe(channel)
    // Fails if there is no subscription.
    const first = yield* Queue.clear(messages)
    isTold = false
    // What was told before was not heard.
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
          "baton: hints of the update log cannot be heard, and readers find new updates by looking for them",
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
