import { UpdateLog } from "@effect-baton/core"
import { Effect, Latch, Layer, Option, Stream } from "effect"

type Service = UpdateLog.UpdateLog["Service"]
type Log = Layer.Layer<UpdateLog.UpdateLog>

// Update logs that break their contract, each in one way.

const changing = (change: (inner: Service) => Partial<Service>, log: Log = UpdateLog.layerMemory): Log =>
  Layer.effect(
    UpdateLog.UpdateLog,
    Effect.map(UpdateLog.UpdateLog, (inner) => ({ ...inner, ...change(inner) }))
  ).pipe(Layer.provide(log))

const appending = (change: (append: Service["append"], inner: Service) => Service["append"]) =>
  changing((inner) => ({ append: change(inner.append, inner) }))

/** The result of `open` with this epoch, or with a higher one that has opened the log. */
const standOf = (inner: Service, runId: Parameters<Service["open"]>[0], epoch: number) =>
  Effect.catchTag(inner.open(runId, epoch), "LogFenced", (fenced) => inner.open(runId, fenced.epoch))

/** A log that does not check epochs. */
export const unfenced = changing((inner) => ({
  open: (runId, epoch) => Effect.orDie(standOf(inner, runId, epoch)),
  append: (runId, chunk) =>
    Effect.catchTag(inner.append(runId, chunk), "LogFenced", ({ epoch }) => inner.append(runId, { ...chunk, epoch }))
}))

/** A log that forgets an epoch that appended nothing. */
export const fencedByChunks = changing((inner) => ({
  open: (runId, epoch) =>
    Effect.gen(function* () {
      const stand = yield* standOf(inner, runId, 0)
      return stand.last === undefined || stand.last.epoch <= epoch ? stand : yield* inner.open(runId, epoch)
    })
}))

/** A log that appends a chunk again that it already has. */
export const repeats = appending(
  (append, inner) => (runId, chunk) =>
    Effect.gen(function* () {
      const { length } = yield* inner.open(runId, chunk.epoch)
      return yield* append(runId, chunk.from < length ? { ...chunk, from: length } : chunk)
    })
)

/** A log that appends the same end again. */
export const repeatsEnds = appending((append) => {
  let times = 0
  // Between two other ends, the same end is a new one.
  return (runId, chunk) =>
    chunk.count > 0
      ? append(runId, chunk)
      : Effect.andThen(
          Effect.ignore(append(runId, { ...chunk, ended: !chunk.ended, body: `${times++}` })),
          append(runId, chunk)
        )
})

/** A log that reports a chunk as stored before it is. */
export const hasty = appending(
  (append, inner) => (runId, chunk) =>
    Effect.gen(function* () {
      const { bytes, length } = yield* inner.open(runId, chunk.epoch)
      if (chunk.from !== length || chunk.count === 0) return yield* append(runId, chunk)
      yield* Effect.forkDetach(Effect.andThen(Effect.yieldNow, append(runId, chunk)))
      return { length: length + chunk.count, bytes: bytes + new TextEncoder().encode(chunk.body).length }
    })
)

/** A log that does not store whether a run has ended. */
export const endless = appending((append) => (runId, chunk) => append(runId, { ...chunk, ended: false }))

/** A log whose truncation also removes the chunk that contains the offset. */
export const truncatesTooMuch = changing((inner) => ({
  truncate: (runId, before) =>
    Effect.gen(function* () {
      const page = yield* Effect.option(inner.read(runId, { from: before, limit: 1 }))
      const holding = Option.isSome(page) ? page.value.chunks[0] : undefined
      yield* inner.truncate(runId, holding === undefined ? before : holding.from + holding.count)
    })
}))

/** A log whose truncation does nothing. */
export const truncatesNothing = changing(() => ({ truncate: () => Effect.void }))

/** A log that appends a chunk after a gap at its end. */
export const gapless = appending(
  (append) => (runId, chunk) =>
    Effect.catchTag(append(runId, chunk), "LogGap", ({ length }) => append(runId, { ...chunk, from: length }))
)

/** A log that removes white space around a body. */
export const trims = appending((append) => (runId, chunk) => append(runId, { ...chunk, body: chunk.body.trim() }))

/** A log that counts characters instead of bytes. */
export const countsCharacters = changing((inner) => {
  const sizes = new Map<string, number>()
  return {
    append: (runId, chunk) =>
      Effect.map(inner.append(runId, chunk), ({ length }) => {
        const bytes = (sizes.get(runId) ?? 0) + chunk.body.length
        sizes.set(runId, bytes)
        return { length, bytes }
      })
  }
})

/** A log whose pages start after the chunk that contains the wanted update. */
export const skips = changing((inner) => ({
  read: (runId, options) =>
    Effect.map(inner.read(runId, options), (page) => ({
      ...page,
      chunks: page.chunks.filter(({ from }) => from >= options.from)
    }))
}))

/** A log that does not tell apart ids that differ in upper and lower case. */
export const caseless: Log = changing((inner) => {
  const same = (runId: Parameters<Service["open"]>[0]) => runId.toLowerCase() as typeof runId
  return {
    open: (runId, epoch) => inner.open(same(runId), epoch),
    append: (runId, chunk) => inner.append(same(runId), chunk),
    read: (runId, options) => inner.read(same(runId), options),
    changes: (runId) => inner.changes(same(runId)),
    truncate: (runId, before) => inner.truncate(same(runId), before),
    remove: (runId) => inner.remove(same(runId))
  }
})

/** A log that keeps its epoch when it is removed. */
export const remembers = (log: Log): Log =>
  changing((inner) => {
    const epochs = new Map<string, number>()
    return {
      open: (runId, epoch) =>
        Effect.flatMap(inner.open(runId, Math.max(epoch, epochs.get(runId) ?? 0)), (stand) =>
          Effect.as(
            Effect.sync(() => epochs.set(runId, Math.max(epoch, epochs.get(runId) ?? 0))),
            stand
          )
        )
    }
  }, log)

/** A log that is also kept by reads. */
export const keptByReaders = (log: Log): Log =>
  changing(
    (inner) => ({
      read: (runId, options) => Effect.tap(inner.read(runId, options), () => Effect.ignore(standOf(inner, runId, 0)))
    }),
    log
  )

/** A log that gives one hint for every chunk, also to listeners that do not take them. */
export const floods = changing((inner) => {
  const listeners = new Map<string, Set<{ told: number; readonly latch: Latch.Latch }>>()
  return {
    append: (runId, chunk) =>
      Effect.tap(inner.append(runId, chunk), () =>
        Effect.sync(() => {
          for (const listener of listeners.get(runId) ?? []) {
            listener.told++
            listener.latch.openUnsafe()
          }
        })
      ),
    changes: (runId) =>
      Stream.suspend(() => {
        const listener = { told: 1, latch: Latch.makeUnsafe(true) }
        listeners.set(runId, (listeners.get(runId) ?? new Set()).add(listener))
        return Stream.fromEffectRepeat(
          Effect.andThen(
            listener.latch.await,
            Effect.sync(() => {
              listener.told--
              if (listener.told === 0) listener.latch.closeUnsafe()
            })
          )
        )
      })
  }
})

/** A log that gives the hints of all runs to every listener. */
export const tellsAll = changing((inner) => {
  const everything = "everything" as Parameters<Service["open"]>[0]
  const tell = Effect.orDie(
    Effect.flatMap(inner.open(everything, 1), ({ length }) =>
      inner.append(everything, { from: length, count: 1, epoch: 1, ended: false, body: "" })
    )
  )
  return {
    append: (runId, chunk) => Effect.tap(inner.append(runId, chunk), () => tell),
    remove: (runId) => Effect.tap(inner.remove(runId), () => tell),
    changes: () => inner.changes(everything)
  }
})

/** A log that ends with its scope. */
export const undurable = Effect.succeed(UpdateLog.layerMemory)

/** A place that keeps chunks but no epochs. */
export const forgetful = Effect.sync(() => {
  const chunks: Array<readonly [Parameters<Service["append"]>[0], UpdateLog.Chunk]> = []
  return Layer.effect(
    UpdateLog.UpdateLog,
    Effect.gen(function* () {
      const inner = yield* UpdateLog.UpdateLog
      for (const [runId, chunk] of chunks) yield* Effect.ignore(inner.append(runId, chunk))
      return {
        ...inner,
        append: (runId, chunk) =>
          Effect.tap(inner.append(runId, chunk), () => Effect.sync(() => void chunks.push([runId, chunk])))
      } satisfies Service
    })
  ).pipe(Layer.provide(UpdateLog.layerMemory))
})
