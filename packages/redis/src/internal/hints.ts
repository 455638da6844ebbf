import { Run, type TokenStore } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Redis from "effect/persistence/Redis"

/** Subscribes again after this long if the connection was lost for good. */
const again = Duration.seconds(1)

/**
 * The hints of a namespace, over one subscription for all who listen: it begins with the first, and stays until the scope
 * ends, as a subscription takes a connection.
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
  // Told once, until there is something to hear again.
  let isTold = false
  let isHeard = false
  const listen = Effect.gen(function* () {
    const messages = yield* subscribe(channel)
    const tell = (found: ReadonlyArray<Redis.RedisMessage>) =>
      PubSub.publishAll(
        hints,
        found.map(({ message }) => parse(message, shards)).filter((hint) => hint !== undefined)
      )
    // Fails if there is no subscription.
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
        "baton: hints of the store cannot be heard, and work is found by looking for it",
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
      // Otherwise they come once there is something to hear, so that none is lost between.
      return isHeard ? Stream.concat(Stream.fromIterable(missed), news) : news
    }).pipe(Effect.tap(() => begin))
  )
})

const isRunId = Schema.is(Run.RunId)

/** `work`, the number of the shard, milliseconds and the agent; or `run`, its id and who wrote something; a line each. */
const parse = (message: string, shards: ReadonlyArray<string>): TokenStore.Wakeup | undefined => {
  const [what, first = "", second = "", ...rest] = message.split("\n")
  const last = rest.join("\n")
  if (what === "run")
    return isRunId(first) ? { _tag: "Run", runId: first, ...(second === "" ? {} : { by: second }) } : undefined
  const shard = shards[Number(first)]
  if (what !== "work" || shard === undefined) return undefined
  return { _tag: "Work", shard, agent: last, after: Duration.millis(Number(second) || 0) }
}
