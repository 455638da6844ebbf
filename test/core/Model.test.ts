// Guarantees 4, 6 to 10 and 14 at once: the real engine and a real store under random schedules. Workers die, stand still
// and are stolen from, answers are lost at every operation of the store and the provider, and somebody cancels. The calls
// of a run are answered by a handler, or later by somebody else, or once they are approved.
import {
  Agent,
  BackgroundModel,
  Run,
  RunPolicy,
  type RunRecord,
  RunState,
  Runs,
  TokenStore,
  ToolCall,
  ToolPolicy
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option, Schedule, Schema, Scope, Stream } from "effect"
import * as Chaos from "../support/chaos.ts"
import { law } from "../support/law.ts"
import { stores } from "../support/stores.ts"
import { elapse } from "../support/time.ts"
import { lookup, planner as agent, toolkit } from "../support/turns.ts"

const { call, completed, disconnect, pause, text } = ScriptedModel

const runId = Run.RunId.make("r")

const leaseTime = Duration.seconds(3)
const policyOf = (onUnconfirmed: "fail" | "restart") =>
  RunPolicy.layer({
    onUnconfirmed,
    leaseTime,
    closeTimeout: Duration.seconds(1),
    checkpointEvery: Duration.millis(100),
    requestRetry: Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 3 })),
    reconnect: Schedule.spaced("500 millis").pipe(Schedule.upTo({ times: 100 })),
    pollEvery: Schedule.spaced("1 second"),
    leaseRetry: Schedule.spaced("500 millis")
  })

const Plan = Schema.Struct({
  seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 })),
  /** What the first response asks for: answered by its handler, or later, or run once it was approved. */
  calls: Schema.Literals(["", "now", "later", "now later", "asked now"]),
  opens: Schema.Literals(["stream", "start", "run"]),
  onUnconfirmed: Schema.Literals(["fail", "restart"]),
  cancels: Schema.Boolean,
  thieves: Schema.Literals([0, 1, 4])
})

const wordsOf = (calls: string) => calls.split(" ").filter((word) => word !== "")

const scriptOf =
  (calls: string) =>
  (request: BackgroundModel.ModelRequest): ReadonlyArray<ScriptedModel.Step> => {
    const words = [text("a"), pause("2 seconds"), text("b"), disconnect, pause("3 seconds"), text("c")]
    const asked = request.previousResponseId === undefined ? wordsOf(calls) : []
    return [...words, ...asked.map((of) => call(lookup, { of })), completed]
  }

const ofParams = ({ params }: Pick<RunRecord.Call, "params">) => (params as { readonly of: string }).of

/** Answers calls and approves them, as somebody outside does. */
const answering = (store: TokenStore.TokenStore["Service"]) =>
  Effect.gen(function* () {
    const found = yield* store.read(runId)
    if (Option.isNone(found)) return
    const state = RunState.fold(found.value)
    for (const [turn, { calls }] of state.turns.entries()) {
      for (const one of calls) {
        const ofCall = { incarnation: state.incarnation, by: "outside", turn, callId: one.callId }
        if (RunState.isUndecided(one)) yield* store.record(runId, { _tag: "Approved", ...ofCall }, 0)
        if (ofParams(one) !== "later" || one.result !== undefined) continue
        yield* store.record(runId, { _tag: "ToolEnded", ...ofCall, result: { sold: 3 }, isFailure: false }, 0)
      }
    }
  }).pipe(Effect.ignore, Effect.andThen(Effect.sleep("2 seconds")), Effect.forever)

/** A store in which somebody often records a fact right before a decision, which must then be looked at again. */
const crowded = (inner: TokenStore.TokenStore["Service"], chaos: Chaos.Chaos): TokenStore.TokenStore["Service"] => {
  let turns = 100
  return {
    ...inner,
    commit: (lease, commit) => {
      const [fact] = commit.facts ?? []
      if (commit.guard !== true || fact === undefined || !chaos.on || chaos.next() > 0.3)
        return inner.commit(lease, commit)
      const { incarnation } = fact
      const raised = { _tag: "LimitsRaised", incarnation, by: "outside", limits: { turns: ++turns } } as const
      return Effect.andThen(Effect.ignore(inner.record(lease.runId, raised, 0)), inner.commit(lease, commit))
    }
  }
}

interface Handled {
  readonly name: string
  readonly call: RunState.CallState | undefined
}

/** The handler of `lookup` in a process; it notes what the store knows of each call that it gets. */
const handlersIn = (process: Chaos.Process, store: TokenStore.TokenStore["Service"], handled: Array<Handled>) =>
  Agent.toLayer(
    agent,
    toolkit.toLayer({
      [lookup]: Effect.fnUntraced(function* ({ of }) {
        const { attempt, callId, idempotencyKey, later, turn } = yield* ToolCall.ToolCall
        if (process.dead) return yield* Effect.never
        const known = Option.map(Option.flatten(yield* Effect.option(store.read(runId))), RunState.fold)
        const { turns } = Option.getOrElse(known, (): Pick<RunState.RunState, "turns"> => ({ turns: [] }))
        const found = turns[turn]?.calls.find((one) => one.callId === callId)
        handled.push({ name: `${idempotencyKey}#${attempt}`, call: found })
        if (of === "later") return yield* later()
        yield* Effect.sleep("1500 millis")
        return { sold: 7 }
      })
    }),
    { policy: ({ params }) => Effect.succeed(ofParams({ params }) === "asked" ? ToolPolicy.ask() : ToolPolicy.allow) }
  )

const play = Effect.fnUntraced(function* (plan: typeof Plan.Type) {
  const store = yield* TokenStore.TokenStore
  const model = yield* BackgroundModel.BackgroundModel
  const { ledger } = yield* ScriptedModel.ScriptedModel
  const next = Chaos.random(plan.seed)
  const chaos: Chaos.Chaos = { next, on: true, longest: 2.5 * Duration.toMillis(leaseTime) }
  const world = yield* Scope.make()
  let count = 0
  const calls: Array<Handled> = []

  const inProcess = (name: string) => {
    const process: Chaos.Process = { name, dead: false }
    const services = Layer.mergeAll(
      Chaos.layers(crowded(store, chaos), model, chaos, process),
      policyOf(plan.onUnconfirmed),
      handlersIn(process, store, calls)
    )
    return { process, services }
  }
  const worker = () => {
    const { process, services } = inProcess(`worker-${++count}`)
    const layer = Runs.worker([agent], {
      concurrency: 2,
      claimEvery: "500 millis",
      startJitter: "100 millis",
      maxAttempts: 1000,
      handle: ({ updates }) => Stream.runDrain(updates)
    })
    return Effect.as(Effect.provide(Layer.launch(layer), services).pipe(Effect.forkIn(world)), process)
  }

  const starter = inProcess("starter")
  const opened = {
    stream: Stream.runDrain(Agent.stream(agent, { input: "Hello", runId })),
    start: Agent.start(agent, { input: "Hello", runId }),
    run: Agent.run(agent, { input: "Hello", runId })
  }
  // A starter tries again, as a program does that is called again with the same run id.
  yield* Effect.asVoid(opened[plan.opens]).pipe(
    Effect.retry({ times: 3, schedule: Schedule.spaced("1 second") }),
    Effect.provide(starter.services),
    Effect.ignore,
    Effect.forkIn(world)
  )
  yield* Effect.forkIn(answering(store), world)
  if (plan.cancels) {
    const other = inProcess("canceller")
    yield* Effect.sleep(Math.ceil(next() * 20_000)).pipe(
      Effect.andThen(Agent.cancel(agent, { runId, wait: false })),
      Effect.provide(other.services),
      Effect.ignore,
      Effect.forkIn(world)
    )
  }
  // Others with the input, who do not wait for the one that holds the run.
  for (let i = 0; i < plan.thieves; i++) {
    const other = inProcess(`thief-${i}`)
    yield* Effect.sleep(Math.ceil(next() * 15_000)).pipe(
      Effect.andThen(Stream.runDrain(Agent.stream(agent, { input: "Hello", runId, ifLeased: "steal" }))),
      Effect.provide(other.services),
      Effect.ignore,
      Effect.forkIn(world)
    )
  }

  const processes = [starter.process, yield* worker(), yield* worker()]
  for (let i = 0; i < 8; i++) {
    yield* elapse(Math.ceil(next() * 4000), 250)
    const victim = processes[Math.floor(next() * processes.length)]!
    if (victim.dead || next() < 0.5) continue
    victim.dead = true
    processes.push(yield* worker())
  }
  // From here on nothing goes wrong, and one worker lives.
  chaos.on = false
  for (const process of processes) process.dead = true
  const last = yield* worker()
  yield* elapse(90_000, 250)

  const found = yield* store.read(runId)
  const record = Option.getOrUndefined(found)
  const entries = yield* ledger
  last.dead = true
  const closing = yield* Effect.forkChild(Scope.close(world, Exit.void))
  while (closing.pollUnsafe() === undefined) yield* elapse(250, 250)
  yield* Fiber.join(closing)
  return { record, entries, calls, retrieve: model.retrieve }
})

const oracle = Effect.fnUntraced(function* (plan: typeof Plan.Type, played: Effect.Success<ReturnType<typeof play>>) {
  const { calls, entries, record, retrieve } = played
  if (record === undefined) {
    assert.strictEqual(entries.filter(({ operation }) => operation === "create").length, 0, "bought without a record")
    return
  }
  const state = RunState.fold(record)
  const ends = record.journal.filter(({ _tag }) => _tag === "Ended")
  const bought = yield* Effect.forEach(
    Array.from({ length: 50 }, (_, i) => `resp_${i + 1}`),
    (responseId) =>
      retrieve(responseId).pipe(
        Effect.map(({ snapshot }) => [{ responseId, status: snapshot.status }]),
        Effect.catch(() => Effect.succeed([]))
      )
  ).pipe(Effect.map((found) => found.flat()))
  const known = new Set(RunState.responseIds(record))
  const winners = RunState.winners(state).map(({ responseId }) => responseId)
  const lost = bought.filter(({ responseId }) => !known.has(responseId))

  // Everything that was bought is findable: by name, or by a request that is known to be unanswered.
  assert.isAtMost(lost.length, state.unresolved.length, "a response was bought that nothing tells of")
  // Bought once: a second response of a turn is loose, and is stopped or over.
  for (const { responseId, status } of bought) {
    if (winners.includes(responseId) || !known.has(responseId)) continue
    const isStopped = entries.some((entry) => entry.operation === "cancel" && entry.responseId === responseId)
    assert.isTrue(isStopped || Run.isOver(status), `${responseId} is nobody's, and runs on`)
  }
  assert.deepStrictEqual(state.loose, [], "a loose response was left")
  // Each start of a call is recorded before its handler gets the call, and no other handler gets it.
  assert.strictEqual(new Set(calls.map(({ name }) => name)).size, calls.length, "a call was started twice at once")
  for (const { call: found, name } of calls) {
    assert.isAtLeast(found?.starts ?? 0, Number(name.split("#")[1]), "a handler got a call whose start is not recorded")
    assert.isTrue(found?.allowed !== undefined || found?.decision?._tag === "Approved", "nobody allowed it")
    if (found !== undefined && ofParams(found) === "asked") assert.isDefined(found.decision, "nobody approved it")
  }
  // The model is told the results that the journal has, whoever opens the next turn.
  const results = (state.turns[0]?.calls ?? []).map(({ callId, result }) => [callId, result?.result])
  for (const { operation, request } of entries) {
    if (operation !== "create" || request?.previousResponseId === undefined) continue
    const told = request.prompt.content
      .flatMap((message) => (message.role === "tool" ? message.content : []))
      .flatMap((part) => (part.type === "tool-result" ? [[part.id, part.result]] : []))
    assert.deepStrictEqual(told, results, "the model was told other results")
  }
  // The end is unique, and honest.
  assert.isAtMost(ends.length, 1)
  const isOpen = state.ended === undefined
  if (isOpen) {
    assert.isNotNull(record.parked, `the run stands still: ${JSON.stringify(record.journal)}`)
    assert.isNull(record.due, "a parked run is no work")
    return
  }
  const status = state.ended.status
  if (status === "completed") {
    const last = bought.find(({ responseId }) => responseId === winners.at(-1))
    assert.strictEqual(last?.status, "completed")
    assert.strictEqual(winners.length, plan.calls === "" ? 1 : 2)
  }
  if (status === "cancelled") {
    assert.isTrue(state.cancelled, "cancelled, though nobody asked for it")
    const running = bought.filter((response) => !Run.isOver(response.status))
    assert.isAtMost(running.length, state.ended.unresolved?.length ?? 0, "cancelled, though something runs")
  }
  if (!state.cancelled) assert.include(["completed", "failed"], status)
  // A cancel that was recorded reaches the provider, unless the response was over.
  if (state.cancelled) {
    for (const { end, winner } of state.turns) {
      if (winner === undefined) continue
      const isSent = entries.some((entry) => entry.operation === "cancel" && entry.responseId === winner.responseId)
      assert.isTrue(isSent || end !== undefined, `the cancel of ${winner.responseId} was never sent`)
    }
  }
  assert.isNull(record.due, "a run that is over is no work")
  if (record.handled) assert.isTrue(state.delivered, "a consumer was promised the run, and did not get it")
})

describe.each(stores)("the engine over the $name store", ({ layer, name }) => {
  law(
    "a run is bought once, findable, stopped, ended honestly, and never stands still",
    [Plan],
    ([plan]) =>
      Effect.gen(function* () {
        const played = yield* play(plan)
        yield* oracle(plan, played)
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(scriptOf(plan.calls)), layer)), Effect.scoped),
    { arbitrary: { runs: Number(process.env.MODEL_RUNS ?? (name === "memory" ? 60 : 10)) }, timeout: 600_000 }
  )
})
