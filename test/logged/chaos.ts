import { BackgroundModel, type TokenStore, UpdateLog, UpdateLogError } from "@effect-baton/core"
import { Context, Effect, Layer, Stream } from "effect"
import * as Chaos from "../support/chaos.ts"
import type { Event } from "./history.ts"
import { recordedLog, recordedStore, type Recorder } from "./recording.ts"

// Processes over one store, one log and one provider in memory, which are written down exactly as they take effect, and
// disturbed between there and each process.

type Log = UpdateLog.UpdateLog["Service"]
type Store = TokenStore.TokenStore["Service"]

const away = (operation: string) =>
  new UpdateLogError.UpdateLogError({ operation, kind: "unavailable", description: "chaos" })

/** A log as one process sees it: operations fail, stand still, or lose their answers, and hints are lost. */
const logOf = (inner: Log, chaos: Chaos.Chaos, process: Chaos.Process): Log => {
  const answered = Effect.suspend(() => (process.dead ? Effect.never : Effect.void))
  const through = <A, E>(
    operation: string,
    effect: Effect.Effect<A, E>
  ): Effect.Effect<A, E | UpdateLogError.UpdateLogError> =>
    Effect.suspend((): Effect.Effect<A, E | UpdateLogError.UpdateLogError> => {
      if (process.dead) return Effect.never
      if (!chaos.on) return effect
      const roll = chaos.next()
      const standing = Effect.andThen(Effect.sleep(Math.ceil(chaos.next() * chaos.longest)), answered)
      if (roll < 0.06) return Effect.fail(away(operation))
      if (roll < 0.14) return Effect.andThen(effect, Effect.fail(away(operation)))
      if (roll < 0.18) return Effect.andThen(standing, effect)
      if (roll < 0.22) return Effect.tap(effect, () => standing)
      return effect
    }).pipe(Effect.tap(() => answered))
  return {
    open: (runId, epoch) => through("open", inner.open(runId, epoch)),
    append: (runId, chunk) => through("append", inner.append(runId, chunk)),
    read: (runId, options) => through("read", inner.read(runId, options)),
    changes: (runId) =>
      inner.changes(runId).pipe(Stream.filter(() => !process.dead && !(chaos.on && chaos.next() < 0.3))),
    truncate: (runId, before) => through("truncate", inner.truncate(runId, before)),
    remove: (runId) => through("remove", inner.remove(runId))
  }
}

/** A log in memory whose place can lose what was written last, as a server does that fails over. */
export const losable = Effect.gen(function* () {
  const fresh = Effect.map(Layer.build(Layer.fresh(UpdateLog.layerMemory)), (context) =>
    Context.get(context, UpdateLog.UpdateLog)
  )
  let inner = yield* fresh
  let done: Array<(log: Log) => Effect.Effect<unknown, unknown>> = []
  const noted = <A, E>(operation: (log: Log) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => Effect.tap(operation(inner), () => Effect.sync(() => void done.push(operation))))
  const log: Log = {
    open: (runId, epoch) => noted((at) => at.open(runId, epoch)),
    append: (runId, chunk) => noted((at) => at.append(runId, chunk)),
    read: (runId, options) => Effect.suspend(() => inner.read(runId, options)),
    changes: (runId) => Stream.suspend(() => inner.changes(runId)),
    truncate: (runId, before) => noted((at) => at.truncate(runId, before)),
    remove: (runId) => noted((at) => at.remove(runId))
  }
  /** Loses the last operations. */
  const lose = Effect.fnUntraced(function* (count: number) {
    const other = yield* fresh
    done = done.slice(0, Math.max(0, done.length - count))
    for (const operation of done) yield* Effect.ignore(operation(other))
    inner = other
  })
  return { log, lose }
})

/** Changes of a store and a log. */
export interface Faults {
  readonly log?: (log: Log) => Log
  readonly store?: (store: Store) => Store
}

/** What all processes share. */
export interface Shared {
  readonly store: Store
  readonly model: BackgroundModel.BackgroundModel["Service"]
  readonly log: Log
  readonly chaos: Chaos.Chaos
  readonly history: Array<Event>
  /** Changes what the store and the log are to a process, before that is written down. */
  readonly faults?: Faults | undefined
}

let steps = 0

/** A process over what is shared, and what writes down its history. */
export const makeProcess = (shared: Shared, name: string) => {
  const process: Chaos.Process = { name, dead: false }
  const recorder: Recorder = {
    worker: name,
    now: () => ++steps,
    write: (event) => {
      if (!process.dead) shared.history.push(event)
    }
  }
  const { chaos, faults = {}, log, model, store } = shared
  const same = <A>(inner: A) => inner
  const ownLog = (faults.log ?? same)(recordedLog(log, recorder))
  const ownStore = (faults.store ?? same)(recordedStore(store, recorder))
  // A request that opens a response is answered: what happens to runs that are unconfirmed is tested elsewhere.
  const opening = Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (inner) => ({
      ...inner,
      create: (request: BackgroundModel.ModelRequest) =>
        Stream.suspend(() => (process.dead ? Stream.never : model.create(request)))
    }))
  )
  const services = Layer.mergeAll(
    Chaos.layers(ownStore, model, chaos, process).pipe((layer) => Layer.provideMerge(opening, layer)),
    Layer.succeed(UpdateLog.UpdateLog, logOf(ownLog, chaos, process))
  )
  return { process, recorder, services }
}
