// A token store of your own: a driver that keeps rows in a KeyValueStore, which exists for files, browsers and SQL.
// TokenStore.fromDriver knows what the rows mean. 07-own-store.test.ts runs the whole contract on it. Its limits:
//
// - One process at a time: a KeyValueStore has no step that reads and writes at once, and a second process would write over
//   the first. Two layers in one process are fine.
// - Each search reads all runs, also the one with each run that is created or claimed: fit for hundreds of runs.
// - What is written is as safe as the KeyValueStore makes it: the one over files may leave half a row after a crash.
// - Leases end by the time of the day: if it is set back, they last longer.
import { RunIndex, RunKernel, TokenStore, TokenStoreError } from "@effect-baton/core"
import { Clock, Effect, Layer, Option, Result, Schema, Semaphore } from "effect"
import { Base64Url } from "effect/encoding"
import { KeyValueStore } from "effect/persistence"

// One step after the other, and each to its end: for one process that makes them atomic.
const alone = Semaphore.makeUnsafe(1)

const step = <A>(
  operation: string,
  effect: Effect.Effect<A, KeyValueStore.KeyValueStoreError | Schema.SchemaError>
): Effect.Effect<A, TokenStoreError.TokenStoreError> =>
  Effect.mapError(alone.withPermit(Effect.uninterruptible(effect)), (cause) => {
    const kind = cause._tag === "SchemaError" ? "corrupt" : "unavailable"
    return new TokenStoreError.TokenStoreError({ operation, kind, description: cause.message, cause })
  })

// Short enough for the name of a file, whatever the id is.
const keyOf = (id: string): string => `run:${Base64Url.encode(id)}`

const make = Effect.fnUntraced(function* (options: TokenStore.RetentionOptions) {
  const values = yield* KeyValueStore.KeyValueStore
  const rows = KeyValueStore.toSchemaStore(values, RunKernel.Row)
  const counters = KeyValueStore.toSchemaStore(values, Schema.Finite)
  const now = Effect.map(Clock.currentTimeMillis, RunKernel.momentOf)

  // A row that cannot be read is in nobody's way.
  const readable = (key: string) => Effect.catchTag(rows.get(key), "SchemaError", () => Effect.succeedNone)
  const everyRow = Effect.gen(function* () {
    const keys = (yield* values.keys).filter((key) => key.startsWith("run:"))
    const found = yield* Effect.forEach(keys, readable, { concurrency: 16 })
    return RunIndex.of(found.flatMap(Option.toArray))
  })

  const ask = <A>(question: (index: RunIndex.RunIndex, at: RunKernel.Moment) => A) =>
    step("find", Effect.zipWith(everyRow, now, question))

  // From the clock too, so that fences and incarnations go on rising after the place was emptied.
  const draw = Effect.gen(function* () {
    const last = Option.getOrElse(yield* counters.get("fence"), () => 0)
    const next = Math.max(last + 1, yield* Clock.currentTimeMillis)
    return yield* Effect.as(counters.set("fence", next), next)
  })

  const driver: TokenStore.Driver = {
    modify: (operation, id, change) =>
      Effect.gen(function* () {
        const before = Option.getOrUndefined(yield* rows.get(keyOf(id)))
        const answer = change(before, yield* now)
        const after = Result.isSuccess(answer) ? answer.success.row : before
        if (after === undefined) yield* rows.remove(keyOf(id))
        else if (after !== before) yield* rows.set(keyOf(id), after)
        return Result.map(answer, ({ value }) => value)
      }).pipe((changing) => Effect.flatMap(step(operation, changing), (answer) => Effect.fromResult(answer))),
    read: (id) => step("read", Effect.map(rows.get(keyOf(id)), Option.getOrUndefined)),
    find: (query) => ask((index, at) => index.find(query, at)),
    count: (agent) => ask((index) => index.count(agent)),
    draw: step("draw", draw),
    now
  }
  return TokenStore.fromDriver(driver, options)
})

/** A token store over the `KeyValueStore` that is provided to it. */
export const storeOf = (options: TokenStore.RetentionOptions) => Layer.effect(TokenStore.TokenStore, make(options))

/** One that keeps runs for 30 days. */
export const layer = storeOf({})
