import { Run, type TokenStore } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Redis from "effect/persistence/Redis"

/** How long to wait before subscribing again after the subscription failed. */
const again = Duration.seconds(1)

/**
 * The hints of a namespace. All listeners share one subscription, because a subscription takes a connection. It starts with
 * the first listener and stays until the scope ends.
 */
export const heard = Effect.fnUntraced(function* (options: {
  readonly channel: string
  readonly shards: ReadonlyArray<string>
  readonly subscribe: Redis.Redis["Service"]["subscribe"]
}) {
  const { channel, shards, subscribe } = options
  const scope = yield* Scope.Scope
  const hints = yield* PubSub.unbounded<TokenStore.Wakeup>()
  const missed = shards.map((shard): TokenStore.Wakeup => ({ _tag: "Work", shard, after: Duration.zero }))
  // The warning is logged once until the subscription works again.
  let isTold = false
  let isHeard = false
  const listen = Effect.gen(function* () {
    const messages = yield* subscribe(channel)
    const tell = (found: ReadonlyArray<Redis.RedisMessage>) =>
      PubSub.publishAll(
        hints,
        found.map(({ message }) => parse(message, shards)).filter((hint) => hint !== undefined)
      )
    // This fails if the subscription failed.
    const first = yield* Queue.clear(messages)
    isTold = false
    isHeard = true
    yield* PubSub.publishAll(hints, missed)
    yield* tell(first)
    while (true) yield* tell(yield* Queue.takeAll(messages))
  }).pipe(
    Effect.scoped,
    Effect.ensuring(Effect.sync(() => (isHeard = false))),
    Effect.catch((error) => {
      if (isTold) return Effect.void
      isTold = true
      return Effect.logWarning(
        "baton: the subscription to hints in Redis failed. Until it works again, workers find work by polling.",
        error.message
      )
    }),
    Effect.andThen(Effect.sleep(again)),
    Effect.forever
  )
  const begin = yield* Effect.cached(Effect.forkIn(listen, scope))
  return Stream.unwrap(
    Effect.map(PubSub.subscribe(hints), (subscription) => {
      const news = Stream.fromSubscription(subscription)
      // Without a subscription `missed` is published once there is one, so that no hint in between is lost.
      return isHeard ? Stream.concat(Stream.fromIterable(missed), news) : news
    }).pipe(Effect.tap(() => begin))
  )
})

const isRunId = Schema.is(Run.RunId)

/** Lines of a message: `work`, the shard's number, milliseconds, the agent; or `run`, the run's id, the writer's name. */
const parse = (message: string, shards: ReadonlyArray<string>): TokenStore.Wakeup | undefined => {
  const [what, first = "", second = "", ...rest] = message.split("\n")
  const last = rest.join("\n")
  if (what === "run")
    return isRunId(first) ? { _tag: "Run", runId: first, ...(second === "" ? {} : { by: second }) } : undefined
  const shard = shards[Number(first)]
  if (what !== "work" || shard === undefined) return undefined
  return { _tag: "Work", shard, agent: last, after: Duration.millis(Number(second) || 0) }
}
