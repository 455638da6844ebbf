import { BackgroundModel, Run, RunPolicy, type RunRecord, TokenStore } from "@effect-baton/core"
import { Context, Duration, Effect, Latch, Option, Scope, Stream } from "effect"
import { AiError } from "effect/ai"
import { assert } from "@effect/vitest"
import { aiError, type Model } from "./models.ts"
import { stateOf } from "./runs.ts"
import { passed, storeAway } from "./stores.ts"
import { elapse } from "./time.ts"

// Schedules: several processes over one store and one provider, each of which can be made to stand still between two
// steps, to lose an answer, or to die.

type Store = TokenStore.TokenStore["Service"]
type Provided = TokenStore.TokenStore | BackgroundModel.BackgroundModel

/**
 * An operation of a process: of the store, with the fact that it writes if it writes one, or of the provider. "fact" is any
 * operation that writes this fact.
 */
export type Operation =
  | keyof Store
  | `${"commit" | "conclude" | "record" | "fact"} ${RunRecord.NewFact["_tag"]}`
  | `model.${"cancel" | "create" | "resume" | "retrieve"}`

/** Where a process stands still: an operation under way. */
interface Stop {
  /** The process has come here. */
  readonly reached: Effect<void>
  /** Lets the process go on. */
  readonly goOn: Effect<void>
}
type Effect<A, E = never> = Effect.Effect<A, E>

/** What becomes of the next operation of a kind. */
type Happening = "stands still before it" | "stands still after it" | "is made twice"

interface Rule {
  readonly operation: Operation
  readonly happening: Happening | "passes"
  /** Whether the answer is lost. */
  readonly lost: boolean
  readonly refusal: AiError.AiError | undefined
  readonly reached: Latch.Latch
  readonly goOn: Latch.Latch
}

/** One process. */
export interface Process {
  /** Runs a program in this process. */
  readonly run: <A, E, R>(program: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Provided>>
  /** Makes the next operation of this kind stand still, before or after it is done. Its answer may be lost then. */
  readonly stop: (
    operation: Operation,
    where: "before" | "after",
    options?: { readonly lost?: boolean; readonly refusal?: AiError.AiError }
  ) => Stop
  /** Makes the next operation of this kind, and loses the answer. */
  readonly lose: (operation: Operation) => void
  /** Makes the next operation of this kind twice, as a client does that got no answer: it stands still in between. */
  readonly twice: (operation: Operation) => Stop
  /** Holds the renewals of leases back: after `leaseTime` others may take what this process holds. */
  readonly stall: Effect<void>
  /** Nothing that the process does has an effect any more. */
  readonly die: Effect<void>
}

/** The lease time of every process. */
export const leaseTime = Duration.seconds(30)

const unanswered = new BackgroundModel.CreateUnconfirmed({
  error: aiError(new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "scripted:" }))
})

/** Lets time pass until something is so, which must be within half an hour. */
export const until = <E, R>(what: string, isSo: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    for (let waited = 0; waited < 1_800_000; waited += 100) {
      if (yield* isSo) return
      yield* elapse(100, 100)
    }
    assert.fail(`this did not happen: ${what}`)
  })

/** A process over the store and the provider of the context. */
export const makeProcess = Effect.fnUntraced(function* (name: string, changes: Partial<RunPolicy.RunPolicy> = {}) {
  const store = yield* TokenStore.TokenStore
  const model = yield* BackgroundModel.BackgroundModel
  let rules: ReadonlyArray<Rule> = []
  let isDead = false
  let isStalled = false

  const add = (
    operation: Operation,
    happening: Rule["happening"],
    more: Partial<Pick<Rule, "lost" | "refusal">> = {}
  ) => {
    const [reached, goOn] = [Latch.makeUnsafe(false), Latch.makeUnsafe(false)]
    rules = [...rules, { operation, happening, lost: false, refusal: undefined, ...more, reached, goOn }]
    return {
      reached: until(
        `${happening}: ${operation}`,
        Effect.sync(() => reached.isOpen())
      ),
      goOn: goOn.open
    }
  }
  const take = (operations: ReadonlyArray<string>): Rule | undefined => {
    const rule = rules.find(({ operation }) => operations.includes(operation))
    rules = rules.filter((other) => other !== rule)
    return rule
  }
  const alive = <A>(value: A): Effect<A> => Effect.suspend(() => (isDead ? Effect.never : Effect.succeed(value)))
  const still = ({ goOn, reached }: Rule) =>
    Effect.andThen(
      Effect.andThen(reached.open, goOn.await),
      Effect.suspend(() => alive(undefined))
    )

  const step = <A, E, F>(
    operations: ReadonlyArray<string>,
    effect: Effect<A, E>,
    { lost, refused }: { readonly lost: F; readonly refused?: (error: AiError.AiError) => F }
  ): Effect<A, E | F> =>
    Effect.suspend((): Effect<A, E | F> => {
      if (isDead) return Effect.never
      const rule = take(operations)
      if (rule === undefined) return Effect.flatMap(effect, alive)
      // What was sent is done, whoever waits for it.
      const made = Effect.exit(Effect.uninterruptible(effect))
      const answered = Effect.flatMap(made, (exit): Effect<A, E | F> => (rule.lost ? Effect.fail(lost) : exit))
      switch (rule.happening) {
        case "passes":
          return answered
        case "stands still before it":
          return Effect.andThen(
            still(rule),
            rule.refusal === undefined || refused === undefined ? answered : Effect.fail(refused(rule.refusal))
          )
        case "stands still after it":
          return Effect.flatMap(made, (exit) =>
            Effect.andThen(still(rule), (): Effect<A, E | F> => (rule.lost ? Effect.fail(lost) : exit))
          )
        case "is made twice":
          return Effect.andThen(made, Effect.andThen(still(rule), answered))
      }
    })
  const stored = passed(store, (operation, effect, facts = []) =>
    step([operation, ...facts.flatMap(({ _tag }) => [`${operation} ${_tag}`, `fact ${_tag}`] as const)], effect, {
      lost: storeAway(operation)
    })
  )
  const ownStore = TokenStore.TokenStore.of({
    ...stored,
    renew: (lease, ttl, seen) => (isStalled ? Effect.never : stored.renew(lease, ttl, seen)),
    wakeups: Stream.filter(store.wakeups, () => !isDead)
  })

  const opened = (request: BackgroundModel.ModelRequest) =>
    Effect.gen(function* () {
      // The request is sent when the first event is pulled.
      const scope = yield* Scope.Scope
      const first = Effect.gen(function* () {
        const pull = yield* Scope.provide(Stream.toPull(model.create(request)), scope)
        return { pull, events: yield* Effect.catchTag(pull, "Done", () => Effect.never) }
      })
      const { events, pull } = yield* step(["model.create"], first, {
        lost: unanswered,
        refused: (error): AiError.AiError | BackgroundModel.CreateUnconfirmed => error
      })
      return Stream.concat(Stream.fromArray(events), Stream.fromPull(Effect.succeed(pull)))
    })
  const asked = <A, E>(operation: "cancel" | "resume" | "retrieve", effect: Effect<A, E>): Effect<A, E> =>
    Effect.catchTag(
      step([`model.${operation}`], effect, { lost: unanswered }),
      "CreateUnconfirmed",
      () => Effect.never
    ) as Effect<A, E>

  const ownModel: Model = {
    ...model,
    create: (request) => Stream.unwrap(opened(request)),
    submit: (request) => Effect.suspend(() => (isDead ? Effect.never : model.submit(request))),
    resume: (responseId, options) => Stream.unwrap(asked("resume", Effect.succeed(model.resume(responseId, options)))),
    retrieve: (responseId) => asked("retrieve", model.retrieve(responseId)),
    cancel: (responseId) => asked("cancel", model.cancel(responseId)),
    remove: (responseId) => Effect.suspend(() => (isDead ? Effect.never : model.remove(responseId)))
  }
  const context = Context.make(TokenStore.TokenStore, ownStore).pipe(
    Context.add(BackgroundModel.BackgroundModel, ownModel),
    Context.add(RunPolicy.RunPolicy, { ...RunPolicy.defaults, workerName: name, leaseTime, ...changes })
  )

  return {
    run: (program) => Effect.provideContext(program, context) as never,
    stop: (operation, where, options) =>
      add(operation, where === "before" ? "stands still before it" : "stands still after it", options),
    lose: (operation) => void add(operation, "passes", { lost: true }),
    twice: (operation) => add(operation, "is made twice"),
    stall: Effect.sync(() => {
      isStalled = true
    }),
    die: Effect.sync(() => {
      isDead = true
    })
  } satisfies Process as Process
})

/** Lets the leases of processes that stall, or are dead, end. */
export const leasesEnd: Effect<void> = elapse(Duration.toMillis(leaseTime) + 1000, 1000)

/** The journal of a run, from the beginning. */
export const journalOf = Effect.fnUntraced(function* (runId: string) {
  const store = yield* TokenStore.TokenStore
  const record = yield* Effect.orDie(store.read(Run.RunId.make(runId)))
  return Option.match(record, { onNone: () => [], onSome: ({ journal }) => journal })
})

/** Records a fact, as somebody does who then dies. */
export const note = Effect.fnUntraced(function* (runId: string, fact: Omit<RunRecord.NewFact, "by" | "incarnation">) {
  const store = yield* TokenStore.TokenStore
  const { incarnation } = yield* stateOf(runId)
  yield* Effect.orDie(
    store.record(Run.RunId.make(runId), { incarnation, by: "others", ...fact } as RunRecord.NewFact, 0)
  )
})

/** Where a response stands at the provider; `gone` if it was deleted. */
export const atProvider = Effect.fnUntraced(function* (responseId: string) {
  const model = yield* BackgroundModel.BackgroundModel
  return yield* model.retrieve(responseId).pipe(
    Effect.map(({ snapshot }): Run.RunStatus | "gone" => snapshot.status),
    Effect.catchTag("ResponseGone", () => Effect.succeed("gone" as const)),
    Effect.orDie
  )
})
