/** Runs that do nothing but commit their positions, and how often they can. */
import { ContinuationToken, Run, TokenStore } from "@effect-baton/core"
import { Duration, Effect, Option } from "effect"
import { now } from "./clock.ts"

/** How many commit at once. */
export const manyLanes: ReadonlyArray<string> = Array.from({ length: 64 }, (_, i) => String(i))

/** A run of its own, and its commits by the store: `numbers` counts them, whoever sends them. */
export const laneOf = Effect.fnUntraced(function* (name: string) {
  const store = yield* TokenStore.TokenStore
  const runId = Run.RunId.make(name)
  yield* store.create({ runId, agent: "bench", background: true, session: {} })
  const { lease, record } = yield* store.acquire(runId, { owner: "bench", ttl: Duration.minutes(5) })
  const start = ContinuationToken.start("bench", runId, record.incarnation)
  let ordinal = 1_000_001
  const numbers = { last: () => ordinal, next: () => ++ordinal }
  const commit = (): Effect.Effect<unknown, unknown> =>
    store.commit(lease, {
      seen: 0,
      position: { ordinal: ++ordinal, token: { ...start, sequenceNumber: ordinal } }
    })
  const written = Effect.map(store.read(runId), (found) => Option.getOrThrow(found).ordinal === ordinal)
  return { commit, numbers, written }
})

/** How often per second something is done: it is done again while `goesOn` says so, and counted by `count`. */
export type Work = (goesOn: () => boolean, count: () => void) => Promise<unknown>

const perSecond = async (milliseconds: number, work: Work): Promise<number> => {
  let done = 0
  const begin = now()
  const end = begin + milliseconds
  await work(
    () => now() < end,
    () => void done++
  )
  return done / ((now() - begin) / 1000)
}

/** Loops at once, each of which does an effect again and again. */
export const byEffect =
  (
    run: (effect: Effect.Effect<void, unknown>) => Promise<void>,
    effects: ReadonlyArray<() => Effect.Effect<unknown, unknown>>
  ): Work =>
  (goesOn, count) =>
    run(
      Effect.forEach(effects, (body) => Effect.whileLoop({ while: goesOn, body, step: count }), {
        concurrency: "unbounded",
        discard: true
      })
    )

/** Loops at once, each of which waits for a promise again and again. */
export const byPromise =
  (promises: ReadonlyArray<() => Promise<unknown>>): Work =>
  (goesOn, count) =>
    Promise.all(
      promises.map(async (send) => {
        for (; goesOn(); count()) await send()
      })
    )

/** Prints how often per second it is done by all at once, and by one alone. */
export const measure = async (milliseconds: number, workOf: (atOnce: number) => Work, check: () => Promise<void>) => {
  const measured = async (atOnce: number, time: number) => {
    const rate = await perSecond(time, workOf(atOnce))
    // Fast and wrong is no figure.
    await check()
    return rate
  }
  await measured(manyLanes.length, milliseconds / 2)
  const many = await measured(manyLanes.length, milliseconds)
  await measured(1, milliseconds / 2)
  console.log(JSON.stringify({ many, serial: await measured(1, milliseconds) }))
}
