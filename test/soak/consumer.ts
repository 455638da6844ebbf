import {
  Agent,
  type AgentError,
  type AgentUpdate,
  BackgroundModel,
  ContinuationToken,
  Run,
  RunState,
  TokenStore,
  UpdateLog
} from "@effect-baton/core"
import { Cause, Data, Duration, Effect, Exit, Option, Schedule, Stream } from "effect"
import { closeSync, existsSync, openSync, renameSync, writeSync } from "node:fs"
import type { Unsaid } from "./layers.ts"
import { encode, type Line, readLines, type Try } from "./line.ts"
import { type Plan, promptOf } from "./plan.ts"
import { chance } from "./random.ts"

type Services = BackgroundModel.BackgroundModel | TokenStore.TokenStore | UpdateLog.UpdateLog

/** The consumer of a run fails before it kept an update. */
class ConsumerFailed extends Data.TaggedError("ConsumerFailed")<{}> {}

/** Where a worker keeps what its consumers got: runs that are over are moved from one place to the other. */
export interface Places {
  readonly open: (runId: string) => string
  readonly done: (runId: string) => string
}

/** The run's text so far ends here, as the position says: its message is the one lane that is open in a text. */
const endOf = (update: AgentUpdate.AgentUpdate): number | undefined =>
  update.text === ""
    ? undefined
    : Option.match(update.continuationToken, {
        onNone: () => undefined,
        onSome: ({ delivered }) => delivered.open.findLast(([, , , count]) => count >= update.text.length)?.[3]
      })

/** Brings one run to its end, with as many consumers one after the other, and side by side, as that takes. */
export const consume = Effect.fnUntraced(function* (options: {
  readonly runId: string
  readonly plan: Plan
  readonly seed: string
  readonly life: number
  /** How many runs have rivals, and how many of these take the run from its holder. */
  readonly rivals: number
  readonly steals: number
  readonly places: Places
  readonly injected: (kind: string) => void
  readonly unsaid: Unsaid
}) {
  const { injected, life, places, plan, runId, seed, unsaid } = options
  const agent = Agent.make("soaker", {
    background: true,
    log: plan.logged,
    options: { metadata: { sandbox_trouble: JSON.stringify(plan.troubles) } }
  })
  const path = places.open(runId)
  const before = existsSync(path) ? readLines(path) : []
  const file = yield* Effect.acquireRelease(
    Effect.sync(() => openSync(path, "a")),
    (opened) => Effect.sync(() => closeSync(opened))
  )
  const keep = (line: Line) => void writeSync(file, `${encode(line)}\n`)
  const tokens = before.flatMap((line) => (line.did === "stop" && line.token !== undefined ? [line.token] : []))
  const run = {
    over: before.some(({ did }) => did === "end"),
    known: before.some(({ did }) => did === "update"),
    attempts: 0
  }

  const statusOf = (error: AgentError.AgentError): string | undefined => {
    switch (error.reason._tag) {
      case "RunFailed":
        return "failed"
      case "RunCancelled":
        return "cancelled"
      case "RunExpired":
        return "expired"
      case "Unconfirmed":
        return "unconfirmed"
      default:
        return error.isRetryable ? undefined : `${error.reason._tag}: ${error.message}`
    }
  }

  /** Keeps what the log has, if it can be read now. */
  const lookAtLog = (attempt: string, offset: number) =>
    UpdateLog.UpdateLog.use((log) => log.read(Run.RunId.make(runId), { from: offset, limit: 1 })).pipe(
      Effect.map(({ length }) => keep({ did: "look", attempt, offset, length })),
      Effect.catchTag("LogNotFound", () => Effect.sync(() => keep({ did: "look", attempt, offset, length: 0 }))),
      Effect.ignore
    )

  const record = TokenStore.TokenStore.use((store) => store.read(Run.RunId.make(runId)))

  /** The status of a run that is finished, as the store has it. */
  const recorded = record.pipe(
    Effect.retry(again),
    Effect.map(
      Option.match({
        onNone: () => "no record",
        onSome: (found) => RunState.statusOf(RunState.fold(found), found.position)
      })
    ),
    Effect.orElseSucceed(() => "no record")
  )

  // A run that waits for it in vain would never end: as long as the store is away, it is asked for again.
  const cancel = Agent.cancel(agent, { runId, wait: false }).pipe(
    Effect.retry({ ...again, while: ({ isRetryable, reason }) => isRetryable || reason._tag === "RunNotFound" }),
    Effect.tap(() => Effect.sync(() => injected(`cancelled ${plan.cancel}`))),
    Effect.ignore
  )

  /** Asks for the end of a run whose response is over, before anybody here knows of that. */
  let isTooLate = plan.cancel !== "late"
  const cancelTooLate = Effect.gen(function* () {
    const model = yield* BackgroundModel.BackgroundModel
    const { value } = yield* Effect.filterOrFail(record, Option.isSome)
    const [winner] = RunState.winners(RunState.fold(value))
    if (winner === undefined) return
    yield* Effect.repeat(model.retrieve(winner.responseId), {
      until: ({ snapshot }) => Run.isOver(snapshot.status),
      schedule: Schedule.spaced("100 millis")
    })
    yield* cancel
    isTooLate = true
  }).pipe(Effect.ignore)

  /** One consumer: until it is cut, or fails, or the run is over. */
  const attempt = Effect.fnUntraced(function* (by: Try["by"], rival: boolean) {
    const id = `${life}.${++run.attempts}${rival ? "r" : ""}`
    const of = chance(seed, runId, id)
    // Who reads an unlogged run may go on for a moment after it was taken.
    const isThief = rival && plan.logged && chance(seed, runId, id, "steals").hits(options.steals)
    const token = by === "early token" ? tokens[of.between(0, tokens.length - 1)] : tokens.at(-1)
    const updates =
      by === "input"
        ? Agent.stream(agent, { runId, input: promptOf(plan) })
        : by === "id" || token === undefined
          ? Agent.resume(agent, { runId, ...(isThief ? { ifLeased: "steal" } : {}) })
          : Agent.resume(agent, { continuationToken: token })
    const most = of.hits(0.4) ? of.between(1, 80) : Infinity
    const failsAt = of.hits(0.15) ? of.between(1, 80) : Infinity
    const timeLimit = of.hits(0.15) ? of.between(100, 4000) : undefined
    if (isThief) injected("stolen")
    const looks = chance(seed, runId, id, "looks")
    let taken = 0
    let last: AgentUpdate.AgentUpdate | undefined
    // A lease that was over when its holder left takes what was acknowledged last with it, and is not given back.
    const written = (how: string) =>
      unsaid.unwritten.has(runId) || unsaid.unleft.has(runId) ? `${how}, not written` : how
    if (!rival) keep({ did: "try", attempt: id, by })

    const reading = Stream.take(updates, most).pipe(
      Stream.runForEach((update): Effect.Effect<void, ConsumerFailed, Services> => {
        if (++taken === failsAt) return Effect.fail(new ConsumerFailed())
        last = update
        run.known = true
        const end = endOf(update)
        keep({
          did: "update",
          attempt: id,
          at: performance.timeOrigin + performance.now(),
          origin: update.origin,
          ...(update.sequenceNumber === undefined ? {} : { sequence: update.sequenceNumber }),
          skip: Option.match(update.continuationToken, { onNone: () => 0, onSome: ({ skip }) => skip }),
          offset: Option.match(update.continuationToken, { onNone: () => null, onSome: ({ offset }) => offset }),
          ...Option.match(update.continuationToken, {
            onNone: () => ({}),
            onSome: ({ epoch }) => (epoch === undefined ? {} : { epoch })
          }),
          text: update.text,
          ...(end === undefined ? {} : { end }),
          last: Option.isNone(update.continuationToken)
        })
        if (!isTooLate && !rival && taken > 2) return cancelTooLate
        if (plan.logged && looks.hits(0.05)) {
          return lookAtLog(id, Option.getOrThrow(update.continuationToken).offset)
        }
        return of.hits(0.02) ? Effect.sleep(Duration.millis(of.between(10, 400))) : Effect.void
      })
    )
    const exit = yield* Effect.exit(
      timeLimit === undefined ? reading : Effect.timeoutOrElse(reading, limited(timeLimit))
    ).pipe(Effect.onInterrupt(() => Effect.sync(() => keep({ did: "stop", attempt: id, how: written("interrupted") }))))

    const finished = (status: string) => {
      run.over = true
      keep({
        did: "end",
        attempt: id,
        status,
        ...(unsaid.unwritten.has(runId) ? { unwritten: true } : {}),
        ...(unsaid.unleft.has(runId) ? { unleft: true } : {})
      })
    }
    if (Exit.isSuccess(exit)) {
      const isLast = last !== undefined && taken < most && plan.logged && Run.isOver(last.status)
      if (last !== undefined && (isLast || Option.isNone(last.continuationToken))) return finished(last.status)
      if (taken < most) return finished(last === undefined ? yield* recorded : `ended as ${last.status}`)
      injected("cut by take")
      const latest = Option.getOrThrow(last!.continuationToken)
      const text = yield* ContinuationToken.encode(latest)
      tokens.push(text)
      return keep({ did: "stop", attempt: id, how: written("cut"), token: text })
    }
    const failure = Cause.findErrorOption(exit.cause)
    if (Option.isNone(failure)) return finished(`defect: ${Cause.pretty(exit.cause)}`)
    const error = failure.value
    if (error._tag === "ConsumerFailed") {
      injected("consumer failed")
      return keep({ did: "stop", attempt: id, how: written("failed") })
    }
    if (error._tag === "Limit") {
      injected("interruption")
      return keep({ did: "stop", attempt: id, how: written("interrupted") })
    }
    const status = statusOf(error)
    if (status !== undefined) return rival && status === "unconfirmed" ? undefined : finished(status)
    if (error.reason._tag === "LeaseLost") injected("lease lost")
    if (rival && error.reason._tag === "RunLeased") return injected("rival turned away")
    return keep({ did: "stop", attempt: id, how: written(whyOf(error)) })
  })

  /** Somebody who asks for the end of the run, and is gone before the provider heard of it: its holder must see to that. */
  const cancelAndDie = Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const { incarnation, journal } = yield* Effect.flatMap(record, Effect.fromOption)
    const state = RunState.fold({ incarnation, journal })
    if (state.cancelled || state.ended !== undefined) return
    const fact = { _tag: "CancelRequested", incarnation: state.incarnation, by: "soak" } as const
    yield* store.record(Run.RunId.make(runId), fact, journal.length)
    injected("cancel recorded only")
  }).pipe(Effect.retry(again), Effect.ignore)

  /** Most cancels come while a response runs. What was asked for in an earlier life is not asked for again. */
  const cancelOnce = Effect.gen(function* () {
    const of = chance(seed, runId, life, "cancel")
    if (of.hits(0.8)) {
      yield* Effect.repeat(Effect.retry(record, again), {
        until: (found) => Option.isSome(found) && RunState.winners(RunState.fold(found.value)).length > 0,
        schedule: Schedule.spaced("100 millis")
      })
    }
    yield* Effect.sleep(Duration.millis(of.between(0, 1500)))
    const known = yield* Effect.retry(record, again)
    if (Option.isSome(known) && RunState.fold(known.value).cancelled) return injected("cancel left to the next")
    yield* of.hits(0.5) ? cancelAndDie : cancel
  }).pipe(Effect.ignore)

  const rivals = chance(seed, runId, life, "rivals").hits(options.rivals)
    ? Effect.forever(
        Effect.andThen(
          Effect.sleep("300 millis"),
          Effect.suspend(() => (run.over || !run.known ? Effect.void : attempt("id", true)))
        )
      )
    : Effect.never
  const impatient = plan.cancel === "early" ? cancelOnce : Effect.void

  const whole = Effect.gen(function* () {
    const of = chance(seed, runId, life)
    while (!run.over) {
      const by = !run.known || of.hits(0.2) ? "input" : of.hits(0.6) ? "id" : of.hits(0.7) ? "token" : "early token"
      const possible = tokens.length > 0 || by === "input" ? by : "id"
      if (possible === "token" || possible === "early token") injected(`resumed by ${possible}`)
      yield* attempt(possible, false)
      if (!run.over) yield* Effect.sleep(Duration.millis(of.between(10, 400)))
    }
    if (plan.cancel === "late") yield* cancel
  })
  if (!run.over) {
    yield* Effect.raceFirst(whole, Effect.andThen(Effect.all([rivals, impatient], { concurrency: 2 }), Effect.never))
  }
  yield* Effect.sync(() => renameSync(path, places.done(runId)))
}, Effect.scoped)

/** The reason of an error, and what is special about it. */
const whyOf = ({ reason }: AgentError.AgentError): string =>
  reason._tag === "LogFailed"
    ? `LogFailed ${reason.error.kind}`
    : reason._tag === "TokenInvalid"
      ? `TokenInvalid ${reason.kind}`
      : reason._tag

/** While the store is away. */
const again = { schedule: Schedule.spaced("300 millis"), times: 60 }

class Limit extends Data.TaggedError("Limit")<{}> {}

const limited = (millis: number) => ({ duration: Duration.millis(millis), orElse: () => new Limit() })
