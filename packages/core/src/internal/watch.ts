import { Cause, Effect, Exit, Scope, Stream } from "effect"
import { type AgentError, RunExpired } from "../AgentError.ts"
import type { AgentUpdate } from "../AgentUpdate.ts"
import * as ContinuationToken from "../ContinuationToken.ts"
import * as RunState from "../RunState.ts"
import * as Backoff from "./backoff.ts"
import type { Ending } from "./cursor.ts"
import * as Follow from "./follow.ts"
import { learnInTime } from "./learn.ts"
import { errorOf, now, type OpenRun, readAgain } from "./openRun.ts"
import * as ResponseEnd from "./responseEnd.ts"
import { reasonOf } from "./runReason.ts"
import { stuck } from "./stuck.ts"
import * as Telemetry from "./telemetry.ts"
import { glance } from "./verbs/look.ts"

/** Reads a run along from its start or a token: without a lease, and waiting for each response to be opened. */
export const watch = Effect.fnUntraced(function* (
  run: OpenRun
): Effect.fn.Return<Stream.Stream<AgentUpdate, AgentError>> {
  return Stream.scoped(Stream.fromPull(makePull(run)))
})

const makePull = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<Follow.Updates, never, Scope.Scope> {
  const { agent, model, policy, runId } = run
  const scope = yield* Scope.Scope
  const fail = errorOf(run)
  const pace = yield* Backoff.make(policy.pollEvery)
  const telemetry = yield* Telemetry.make({ model, policy, agent: agent.name, counts: () => false })
  let record = run.record
  let position = run.from ?? ContinuationToken.start(agent.name, runId, RunState.fold(record).incarnation)
  let current: { readonly pull: Follow.Updates; readonly scope: Scope.Closeable } | undefined
  let over: AgentError["reason"] | "well" | undefined

  const ended = (turn: number, responseId: string) =>
    Effect.fnUntraced(function* (ending: Ending): Effect.fn.Return<Follow.Meaning, AgentError> {
      if (ResponseEnd.isForgotten(RunState.fold(record), turn, ending)) {
        return yield* fail(new RunExpired({ responseId }))
      }
      // One answer of the provider to a viewer, who may have another key, is not the end of a run.
      if (ending.status !== "expired") {
        yield* learnInTime(run, record, [ResponseEnd.make({ turn, responseId }, ending, run.isExternal)])
      }
      record = yield* readAgain(run).pipe(Effect.catch(() => Effect.succeed(record)))
      const state = RunState.fold(record)
      const end = state.turns[turn]?.end
      const goesOn =
        state.turns[turn + 1]?.winner !== undefined ||
        (state.ended === undefined && end !== undefined && end.calls.some(({ external }) => !external))
      if (goesOn) {
        return { _tag: "GoesOn", from: ContinuationToken.start(agent.name, runId, position.incarnation, turn + 1) }
      }
      const status = state.ended?.status ?? ending.status
      over =
        reasonOf({
          turns: state.turns,
          ended: state.ended ?? { status, ...(ending.error === undefined ? {} : { error: ending.error }) }
        }) ?? "well"
      return { _tag: "Over", status }
    })

  const follow = Effect.fnUntraced(function* (turn: number, responseId: string, streamed: boolean) {
    const child = yield* Scope.fork(scope)
    const pull = yield* Follow.makePull({
      run,
      background: record.background,
      source: { responseId, streamed },
      from: position,
      ended: ended(turn, responseId),
      lost: Effect.never,
      stopped: Effect.never,
      cancel: Effect.void,
      telemetry,
      retried: false
    }).pipe(Scope.provide(child))
    current = { pull, scope: child }
  })

  const finished = Effect.gen(function* () {
    const done = current
    current = undefined
    if (done !== undefined) yield* Scope.close(done.scope, Exit.void)
    position = ContinuationToken.start(agent.name, runId, position.incarnation, position.turn + 1)
  })

  const next: Follow.Updates = Effect.suspend(() => {
    if (current !== undefined) {
      return Effect.catchCause(current.pull, (cause): Follow.Updates => {
        const isDone = cause.reasons.some((reason) => reason._tag === "Fail" && Cause.isDone(reason.error))
        return isDone ? Effect.andThen(finished, next) : Effect.failCause(cause)
      })
    }
    if (over === "well") return Cause.done()
    return over === undefined ? step : Effect.fail(fail(over))
  })

  const refreshed = Effect.map(readAgain(run), (latest) => {
    record = latest
  })

  const step: Follow.Updates = Effect.suspend((): Follow.Updates => {
    const state = RunState.fold(record)
    const { end, winner } = state.turns[position.turn] ?? {}
    if (!record.background && winner !== undefined && end === undefined && record.lease === null) {
      // The look records that nobody keeps the response alive.
      return Effect.andThen(Effect.andThen(glance(run), refreshed), next)
    }
    if (winner !== undefined && (record.background || end?.status !== "cancelled")) {
      run.known.responseId = winner.responseId
      return Effect.andThen(follow(position.turn, winner.responseId, winner.streamed), next)
    }
    if (state.ended !== undefined) {
      over = reasonOf(state) ?? "well"
      return next
    }
    return Effect.andThen(later, next)
  })

  /** Looks again after a while, unless nothing will come. */
  const later = Effect.gen(function* () {
    const time = yield* now
    const why = stuck(run, record, time)
    if (why !== undefined) return yield* fail(why)
    yield* pace.wait(undefined)
    yield* refreshed
  })

  return next
})
