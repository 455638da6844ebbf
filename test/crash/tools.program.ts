// A child for the crash tests of runs with tools: advances a run, runs its calls, and dies at the place it is told. What its
// handlers do, and what its consumer is given, is written down at once.
import { NodeRuntime } from "@effect/platform-node"
import {
  Agent,
  type AgentError,
  type AgentUpdate,
  BackgroundModel,
  RunPolicy,
  type RunRecord,
  TokenStore,
  ToolCall,
  UpdateLog
} from "@effect-baton/core"
import { Config, Duration, Effect, Exit, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { recordedLog, recordedStore } from "../logged/recording.ts"
import { reading, recorderIn, watching } from "../logged/reading.ts"
import { Model } from "./model.ts"
import {
  agent,
  input,
  isFailing,
  kept,
  type Note,
  notes,
  outcomes,
  reached,
  runId,
  saidOf,
  seen,
  toolkit,
  watched
} from "./tools.ts"

type Reach = (place: string) => Effect.Effect<void>

interface Settings {
  readonly directory: string
  readonly redis: string | undefined
  readonly logged: boolean
  readonly polled: boolean
  readonly life: string
  readonly reach: Reach
  /** Waits until the gate of this process is open, if it has one. */
  readonly open: Effect.Effect<void>
  /** Whether the result of turn 1 waits at the gate on its way to the store, in place of the handler. */
  readonly stalls: boolean
  /** Longer than a busy machine stands still, unless a test is about a lease that ends. */
  readonly leaseTime: Duration.Input
  /** Whoever follows on a process that is dead need not wait for its lease. */
  readonly ifLeased: "steal" | "wait"
  readonly closeTimeout: Duration.Input
}

const settings = Effect.gen(function* (): Effect.fn.Return<Settings, Config.ConfigError> {
  const directory = yield* Config.String("DIRECTORY")
  const life = yield* Config.String("LIFE")
  const place = yield* Config.String("DIE_AT").pipe(Config.withDefault(""))
  const gate = yield* Config.option(Config.String("GATE"))
  return {
    directory,
    life,
    redis: Option.getOrUndefined(yield* Config.option(Config.String("REDIS"))),
    logged: (yield* Config.String("LOG")) === "yes",
    polled: (yield* Config.String("POLLED")) === "yes",
    open: Option.match(gate, {
      onNone: () => Effect.void,
      onSome: (path) =>
        Effect.repeat(
          Effect.sync(() => existsSync(path)),
          { until: (isThere) => isThere, schedule: Schedule.spaced("5 millis") }
        )
    }),
    stalls: (yield* Config.String("STALLS").pipe(Config.withDefault("no"))) === "yes",
    ifLeased: (yield* Config.String("IF_LEASED").pipe(Config.withDefault("wait"))) === "steal" ? "steal" : "wait",
    leaseTime: Duration.millis(yield* Config.Int("LEASE_TIME").pipe(Config.withDefault(60_000))),
    closeTimeout: Duration.millis(yield* Config.Int("CLOSE_TIMEOUT").pipe(Config.withDefault(60_000))),
    reach: (at) =>
      Effect.suspend(() => {
        if (place === "everywhere") reached.add(directory, { place: at })
        if (at !== place) return Effect.void
        process.kill(process.pid, "SIGKILL")
        return Effect.never
      })
  }
})

/** The places around the facts of turns. `turnOf` says for which turn a request was announced last. */
const around = (inner: TokenStore.TokenStore["Service"], { directory, open, reach, stalls }: Settings) => {
  let opened = 0
  const stalled = Effect.andThen(
    Effect.sync(() => reached.add(directory, { place: "stalls" })),
    open
  )
  const passing = <A, E>(
    facts: ReadonlyArray<RunRecord.NewFact>,
    write: Effect.Effect<A, E>,
    isWritten: (value: A) => boolean
  ) => {
    const pass = (side: string) =>
      Effect.forEach(
        facts,
        (fact) => {
          if (fact._tag === "Requested") opened = fact.turn
          return "turn" in fact ? reach(`${fact.turn} fact ${fact._tag}:${side}`) : Effect.void
        },
        { discard: true }
      )
    const isStalled = stalls && facts.some((fact) => fact._tag === "ToolEnded" && fact.turn === 1)
    return Effect.andThen(
      Effect.andThen(pass("before"), isStalled ? stalled : Effect.void),
      Effect.tap(write, (value) => (isWritten(value) ? pass("after") : Effect.void))
    )
  }
  const store: TokenStore.TokenStore["Service"] = {
    ...inner,
    commit: (lease, commit) =>
      passing(commit.facts ?? [], inner.commit(lease, commit), ({ outcome }) => outcome === "written"),
    record: (id, fact, known) => passing([fact], inner.record(id, fact, known), () => true)
  }
  return { store, turnOf: () => opened }
}

/** The places around the requests that open turns. With `polled`, no response is opened as a stream. */
const opening = (
  inner: BackgroundModel.BackgroundModel["Service"],
  { polled, reach, turnOf }: { readonly polled: boolean; readonly reach: Reach; readonly turnOf: () => number }
): BackgroundModel.BackgroundModel["Service"] => {
  const at = (side: string) => Effect.suspend(() => reach(`${turnOf()} request:${side}`))
  return {
    ...inner,
    demands: (options) => ({ ...inner.demands(options), ...(polled ? { streamed: false } : {}) }),
    create: (request) => {
      let isFirst = true
      return Stream.unwrap(Effect.as(at("before"), inner.create(request))).pipe(
        Stream.tap(() => {
          if (!isFirst) return Effect.void
          isFirst = false
          return at("after")
        })
      )
    },
    submit: (request) =>
      Effect.andThen(
        at("before"),
        Effect.tap(inner.submit(request), () => at("after"))
      )
  }
}

/** The handler of all calls. In turn 1 it waits until its gate is open. */
const handler =
  ({ directory, life, open, reach, stalls }: Settings) =>
  ({ part, turn }: { readonly turn: number; readonly part: string }) =>
    Effect.gen(function* () {
      const { attempt, callId, idempotencyKey: key, turn: of } = yield* ToolCall.ToolCall
      const note = (did: Note["did"]) =>
        Effect.sync(() => notes.add(directory, { did, life, key, turn: of, callId, attempt }))
      const work = Effect.gen(function* () {
        yield* note("starts")
        yield* reach(`${turn} handler:before`)
        if (turn === 1 && !stalls) yield* open
        yield* Effect.sleep(part === "b" ? "30 millis" : "5 millis")
        yield* reach(`${turn} handler:in`)
        yield* Effect.sleep("5 millis")
        yield* note("ends")
        yield* reach(`${turn} handler:after`)
      }).pipe(Effect.onInterrupt(() => note("is interrupted")))
      yield* work
      const result = { said: saidOf(turn, part), by: `${life}.${attempt}` }
      return yield* isFailing(turn) ? Effect.fail(result) : Effect.succeed(result)
    })

/** Where the text of an update ends in the text of its response. */
const endOf = ({ continuationToken, text }: AgentUpdate.AgentUpdate): number | undefined =>
  text === ""
    ? undefined
    : Option.match(continuationToken, {
        onNone: () => undefined,
        onSome: ({ delivered }) =>
          delivered.open.findLast(([, , kind, count]) => kind === 0 && count >= text.length)?.[3]
      })

/** Writes down what the consumer is given, then reaches the places of items. */
const consumed =
  ({ directory, life, reach }: Settings) =>
  (update: AgentUpdate.AgentUpdate): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { part, responseId, text, turn } = update
      const end = endOf(update)
      const isResult = part?.type === "tool-result"
      seen.add(directory, {
        life,
        type: part?.type ?? "none",
        responseId,
        text,
        ...(end === undefined ? {} : { end }),
        ...(isResult ? { call: `${turn}:${part.id}`, result: part.result } : {})
      })
      if (isResult) return reach(`${turn} result item`)
      if (part?.type !== "tool-call") return Effect.void
      return reach(`${(part.params as { readonly turn: number }).turn} call item`)
    })

const isUnconfirmed = (exit: Exit.Exit<void, AgentError.AgentError>) =>
  Exit.isFailure(exit) && Option.getOrUndefined(Exit.findErrorOption(exit))?.reason._tag === "Unconfirmed"

const isRetryable = (exit: Exit.Exit<void, AgentError.AgentError>) =>
  Exit.isFailure(exit) && Option.getOrUndefined(Exit.findErrorOption(exit))?.isRetryable === true

const program = Effect.gen(function* () {
  const own = yield* settings
  const { directory, ifLeased, life, logged } = own
  const recorder = recorderIn(join(directory, `history-${life}`), life)
  const Dying = Layer.unwrap(
    Effect.gen(function* () {
      const { store, turnOf } = around(recordedStore(yield* TokenStore.TokenStore, recorder), own)
      const model = opening(yield* BackgroundModel.BackgroundModel, { ...own, turnOf })
      const log = yield* Effect.serviceOption(UpdateLog.UpdateLog)
      return Layer.mergeAll(
        Layer.succeed(TokenStore.TokenStore, store),
        Layer.succeed(BackgroundModel.BackgroundModel, model),
        Option.match(log, {
          onNone: () => Layer.empty,
          onSome: (inner) => Layer.succeed(UpdateLog.UpdateLog, recordedLog(inner, recorder))
        })
      )
    })
  ).pipe(Layer.provide(Layer.merge(kept(own), Model)))

  yield* Effect.gen(function* () {
    const viewer = yield* Effect.forkChild(logged ? watching(recorder, watched, runId, "viewer") : Effect.void)
    const updates = Stream.tap(Agent.stream(agent, { input, runId, ifLeased }), consumed(own))
    const once = logged
      ? Effect.flatMap(
          reading(recorder, runId, "consumer", updates, { owner: true, finished: Effect.sleep("2 millis") }),
          ({ exit }) => Effect.succeed(exit)
        )
      : Effect.exit(Stream.runForEach(updates, () => Effect.sleep("2 millis")))
    const again = (
      exit: Exit.Exit<void, AgentError.AgentError>
    ): Effect.Effect<typeof exit, AgentError.AgentError, Effect.Services<typeof once>> => {
      if (life === "dies" || Exit.isSuccess(exit)) return Effect.succeed(exit)
      // A lease may end under its holder on a busy machine.
      if (isRetryable(exit)) return Effect.flatMap(Effect.andThen(Effect.sleep("100 millis"), once), again)
      if (!isUnconfirmed(exit)) return Effect.succeed(exit)
      const retried = Agent.retry(agent, { runId, input, mayBuyTwice: true })
      return Effect.flatMap(Effect.andThen(retried, once), again)
    }
    const exit = yield* Effect.flatMap(once, again)
    yield* exit
    yield* Fiber.await(viewer)
    const { content, status, text } = yield* Agent.result(agent, { runId })
    const polled = yield* Agent.poll(agent, { runId })
    if (polled.text !== text || polled.status !== status) yield* Effect.die(new Error("poll says something else"))
    outcomes.add(directory, { status, text, content: content.map((part) => part.type) })
  }).pipe(Effect.provide(Layer.provideMerge(Agent.toLayer(agent, toolkit.toLayer({ look: handler(own) })), Dying)))
})

const Policy = Layer.unwrap(
  Effect.map(settings, ({ closeTimeout, leaseTime }) =>
    RunPolicy.layer({
      checkpointEvery: "50 millis",
      leaseTime,
      closeTimeout,
      logEvery: "30 millis",
      pollEvery: Schedule.spaced("30 millis"),
      leaseRetry: Schedule.spaced("50 millis")
    })
  )
)

// The parent wants to know that the signal has come.
process.on("SIGTERM", () => reached.add(process.env["DIRECTORY"] ?? "", { place: "SIGTERM" }))

program.pipe(Effect.provide(Policy), NodeRuntime.runMain)
