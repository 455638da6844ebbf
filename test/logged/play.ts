import {
  Agent,
  type AgentError,
  type AgentUpdate,
  BackgroundModel,
  Run,
  RunPolicy,
  RunState,
  Runs,
  TokenStore,
  UpdateLog
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Cause, Data, Duration, Effect, Exit, Fiber, Layer, Option, Random, Schedule, Scope, Stream } from "effect"
import * as Chaos from "../support/chaos.ts"
import { elapse } from "../support/time.ts"
import { answering, lookup, ownCalls, planner } from "../support/turns.ts"
import { type Faults, losable, makeProcess, type Shared } from "./chaos.ts"
import type { Event } from "./history.ts"
import { merged, Reader, type Recorder } from "./recording.ts"

const { call, completed, disconnect, failed, pause, text } = ScriptedModel

const runId = Run.RunId.make("r")
const leaseTime = Duration.seconds(3)

const Policy = RunPolicy.layer({
  leaseTime,
  closeTimeout: Duration.seconds(1),
  checkpointEvery: Duration.millis(100),
  requestRetry: Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 3 })),
  reconnect: Schedule.spaced("500 millis").pipe(Schedule.upTo({ times: 100 })),
  pollEvery: Schedule.spaced("1 second"),
  leaseRetry: Schedule.spaced("500 millis")
})

export interface Plan {
  readonly seed: number
  readonly turns: 1 | 2
  readonly fails: boolean
  readonly cancels: boolean
  readonly thieves: number
  readonly viewers: number
  readonly losses: number
}

/** What the provider says in a run of so many turns, whose updates come one by one and many at once. */
const scriptOf =
  ({ fails, turns }: Pick<Plan, "fails" | "turns">) =>
  (request: BackgroundModel.ModelRequest): ReadonlyArray<ScriptedModel.Step> => {
    const isFirst = request.previousResponseId === undefined
    const word = (n: number) => `${isFirst ? "a" : "b"}${n} `
    const words = Array.from({ length: 24 }, (_, i) => [
      text(i % 5 === 0 ? [word(i), word(i + 0.5)] : word(i)),
      ...(i % 3 === 0 ? [pause(i % 2 === 0 ? "1500 millis" : "30 millis")] : i % 3 === 1 ? [pause("200 millis")] : []),
      ...(i === 11 ? [disconnect] : [])
    ]).flat()
    if (turns === 2 && isFirst) return [...words, call(lookup, { of: "sales" }), completed]
    return [...words, fails ? failed("chaos") : completed]
  }

class Tired extends Data.TaggedError("Tired")<{}> {}

const endings = new Set(["RunFailed", "RunCancelled", "RunExpired"])

/** How a reader stopped, as the rules tell it. */
const howOf = (exit: Exit.Exit<void, AgentError.AgentError | Tired>, isWhole: boolean) => {
  if (Exit.isSuccess(exit)) return isWhole ? "ended" : "left"
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error?._tag !== "AgentError") return "left"
  const { reason } = error
  if (reason._tag === "TokenInvalid" && reason.kind === "rewritten") return "rewritten"
  return endings.has(reason._tag) ? "ended" : "left"
}

const isLastOf = (update: AgentUpdate.AgentUpdate | undefined) => update === undefined || Run.isOver(update.status)

export type Place = (log: Shared["log"]) => Shared["log"]

const playing = Effect.fnUntraced(function* (plan: Plan, faults: Faults | undefined, place: Place | undefined) {
  const store = yield* TokenStore.TokenStore
  const model = yield* BackgroundModel.BackgroundModel
  const { log: kept, lose } = yield* losable
  const log = place === undefined ? kept : place(kept)
  const next = Chaos.random(plan.seed)
  const chaos: Chaos.Chaos = { next, on: true, longest: 2.5 * Duration.toMillis(leaseTime) }
  const history: Array<Event> = []
  const shared: Shared = { store, model, log, chaos, history, faults }
  const world = yield* Scope.make()
  let count = 0

  const inProcess = (kind: string) => {
    const made = makeProcess(shared, `${kind}-${++count}`)
    const services = Layer.mergeAll(made.services, Policy).pipe(Layer.provideMerge(ownCalls))
    return { ...made, services }
  }
  let readers = 0
  /** Reads updates, some times with pauses, and some times not to their end. */
  const reading = <E extends AgentError.AgentError, R>(
    recorder: Recorder,
    name: string,
    updates: Stream.Stream<AgentUpdate.AgentUpdate, E, R>,
    {
      owner,
      offset,
      patient = false
    }: { readonly owner: boolean; readonly offset?: number; readonly patient?: boolean }
  ) =>
    Effect.suspend(() => {
      const reader = new Reader(recorder, runId, `${name} ${++readers}`, owner)
      let last: AgentUpdate.AgentUpdate | undefined
      let taken = 0
      const tired = chaos.on && !patient && next() < 0.3 ? Math.ceil(next() * 30) : Infinity
      reader.joins(offset)
      return Stream.runForEach(updates, (update) =>
        Effect.suspend((): Effect.Effect<void, Tired> => {
          reader.sees(update)
          last = update
          if (++taken >= tired) return new Tired()
          return chaos.on && next() < 0.1 ? Effect.sleep(Math.ceil(next() * 1500)) : Effect.void
        })
      ).pipe(
        Effect.exit,
        Effect.tap((exit) => Effect.sync(() => reader.stops(howOf(exit, isLastOf(last) && (taken > 0 || !owner))))),
        Effect.map((exit) => ({ exit, reader }))
      )
    })

  const worker = () => {
    const { process, recorder, services } = inProcess("worker")
    const layer = Runs.worker([planner], {
      concurrency: 2,
      claimEvery: "500 millis",
      startJitter: "100 millis",
      maxAttempts: 1000,
      retry: Schedule.spaced("300 millis"),
      handle: ({ updates }) => Effect.flatMap(reading(recorder, "handle", updates, { owner: true }), ({ exit }) => exit)
    })
    return Effect.as(Effect.provide(Layer.launch(layer), services).pipe(Effect.forkIn(world)), process)
  }

  /** A consumer that acknowledges by hand, out of order. */
  const manual = (recorder: Recorder, ifLeased: "steal" | "wait") =>
    Effect.suspend(() => {
      const reader = new Reader(recorder, runId, `manual ${++readers}`, true)
      let held: Array<Effect.Effect<void, AgentError.AgentError>> = []
      reader.joins()
      const some = Effect.suspend(() => {
        const now = held.toSorted(() => next() - 0.5)
        held = []
        return Effect.forEach(now, (acknowledge) => acknowledge, { discard: true })
      })
      return Stream.runForEach(
        Agent.resume(planner, { runId, ifLeased, acknowledge: "manual" }),
        ({ acknowledge, update }) =>
          Effect.suspend(() => {
            reader.sees(update)
            held.push(acknowledge)
            return held.length > 8 ? some : Effect.void
          })
      ).pipe(
        Effect.andThen(some),
        Effect.exit,
        Effect.tap((exit) => Effect.sync(() => reader.stops(howOf(exit, false))))
      )
    })

  /** Somebody who watches, and comes again after failures: at its last update, or at the start if that was lost. */
  const viewer = (name: string) => {
    const { process, recorder, services } = inProcess(name)
    const watched = Effect.gen(function* () {
      yield* Effect.sleep(Math.ceil(next() * 15_000))
      let from = { offset: 0 } as { readonly offset: number; readonly epoch?: number }
      for (;;) {
        const updates = Agent.watch(planner, { runId, ...from })
        const options = { owner: false, offset: from.offset, patient: next() < 0.5 }
        const { exit, reader } = yield* reading(recorder, name, updates, options)
        const how = howOf(exit, true)
        if (how === "ended") return
        from = how === "rewritten" ? { offset: 0 } : (reader.place ?? from)
        yield* Effect.sleep("400 millis")
      }
    })
    return Effect.as(Effect.provide(watched, services).pipe(Effect.forkIn(world)), process)
  }

  // With its input in the store, whoever takes the run can open it.
  yield* Agent.enqueue(planner, { input: "Hello", runId }).pipe(
    Effect.provide(Layer.merge(Layer.succeed(TokenStore.TokenStore, store), Layer.succeed(UpdateLog.UpdateLog, log))),
    Effect.orDie
  )
  const starter = inProcess("starter")
  yield* reading(starter.recorder, "starter", Agent.stream(planner, { input: "Hello", runId }), { owner: true }).pipe(
    Effect.flatMap(({ exit }) => exit),
    Effect.retry({ times: 3, schedule: Schedule.spaced("1 second") }),
    Effect.provide(starter.services),
    Effect.ignore,
    Effect.forkIn(world)
  )
  if (plan.cancels) {
    const other = inProcess("canceller")
    yield* Effect.sleep(Math.ceil(next() * 20_000)).pipe(
      Effect.andThen(Agent.cancel(planner, { runId, wait: false })),
      Effect.provide(other.services),
      Effect.ignore,
      Effect.forkIn(world)
    )
  }
  for (let i = 0; i < plan.thieves; i++) {
    const { recorder, services } = inProcess("thief")
    const ifLeased = next() < 0.7 ? "steal" : "wait"
    const stolen =
      next() < 0.5
        ? Effect.asVoid(manual(recorder, ifLeased))
        : Effect.asVoid(reading(recorder, "thief", Agent.resume(planner, { runId, ifLeased }), { owner: true }))
    yield* Effect.sleep(Math.ceil(next() * 15_000)).pipe(
      Effect.andThen(stolen),
      Effect.provide(services),
      Effect.forkIn(world)
    )
  }
  const watching = yield* Effect.forEach(
    Array.from({ length: plan.viewers }, (_, i) => `viewer ${i}`),
    viewer
  )

  const processes = [starter.process, yield* worker(), yield* worker()]
  let losses = plan.losses
  for (let i = 0; i < 8; i++) {
    yield* elapse(Math.ceil(next() * 4000), 250)
    if (losses > 0 && next() < 0.4) {
      losses--
      yield* lose(Math.ceil(next() * 4))
      history.push({ what: "lost", runId, worker: "log", at: -1, length: 0 })
    }
    const victim = processes[Math.floor(next() * processes.length)]!
    if (victim.dead || next() < 0.5) continue
    victim.dead = true
    processes.push(yield* worker())
  }
  // From here on nothing goes wrong, and one worker lives.
  chaos.on = false
  for (const process of processes) process.dead = true
  const last = yield* worker()
  const late = yield* viewer("late viewer")
  yield* elapse(60_000, 250)

  const record = Option.getOrUndefined(yield* store.read(runId))
  last.dead = true
  late.dead = true
  for (const process of watching) process.dead = true
  const closing = yield* Effect.forkChild(Scope.close(world, Exit.void))
  while (closing.pollUnsafe() === undefined) yield* elapse(250, 250)
  yield* Fiber.join(closing)
  return { record, history: merged(history) }
})

/** Plays one schedule, and answers its history. `place` changes the log for all processes, below what is written down. */
export const play = (plan: Plan, faults?: Faults, place?: Place) =>
  Random.withSeed(playing(plan, faults, place), `${plan.seed}`)

/** What the provider said of a run that has ended well. */
export const saidIn = (plan: Plan): string =>
  [{ previousResponseId: undefined }, { previousResponseId: "before" }]
    .slice(0, plan.turns)
    .flatMap((request) => scriptOf(plan)(request as BackgroundModel.ModelRequest))
    .flatMap((step) => (step._tag === "Text" ? step.deltas : []))
    .join("")

/** The store and the provider of a plan. */
export const services = (plan: Plan) =>
  Layer.merge(ScriptedModel.layer(scriptOf(plan)), answering(TokenStore.layerMemory))

export const stateOf = (record: Parameters<typeof RunState.fold>[0]) => RunState.fold(record)
