import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type AgentError, RunExpired } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import * as ContinuationToken from "../../ContinuationToken.ts"
import * as RunState from "../../RunState.ts"
import * as Backoff from "../primitives/backoff.ts"
import type { Followed, ResponseEnded, Source } from "../../Followed.ts"
import type { Pulled } from "../follow/follower.ts"
import * as Following from "../follow/makePull.ts"
import * as Hint from "../hold/hint.ts"
import { learnInTime } from "./learn.ts"
import { errorOf, now, type OpenRun, readAgain } from "../run/openRun.ts"
import * as ResponseEnd from "../run/responseEnd.ts"
import { reasonOf } from "../run/runReason.ts"
import { Signal } from "../primitives/signal.ts"
import { stuck } from "../run/stuck.ts"
import * as Telemetry from "../telemetry/telemetry.ts"
import { type Batch, type Meaning, meant, nextTurn, sourceOf, type Updates } from "../run/turnEnd.ts"
import { updatesAfter } from "../tools/told.ts"
import { glance } from "./lookAtRun.ts"

/** Reads a run from its start or a token by an attachment of its own. It waits for each response to be opened. */
export const makePull = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<Updates, never, Scope.Scope> {
  const { agent, model, policy, runId } = run
  const scope = yield* Scope.Scope
  const fail = errorOf(run)
  const pace = new Backoff.Backoff(policy.pollEvery)
  const telemetry = yield* Telemetry.make({ model, policy, agent: agent.name, counts: () => false })
  let record = run.record
  let position = run.from ?? ContinuationToken.start(agent.name, runId, RunState.fold(record).incarnation)
  let current: { readonly pull: Pulled; readonly scope: Scope.Closeable } | undefined
  let over: AgentError["reason"] | "well" | undefined
  let hint: Hint.Hint | undefined

  const meaningOf = Effect.fnUntraced(function* (ended: ResponseEnded): Effect.fn.Return<Meaning, AgentError> {
    const { turn } = position
    const { responseId = "" } = run.known
    if (ResponseEnd.isForgotten(RunState.fold(record), turn, ended)) {
      return yield* fail(new RunExpired({ responseId }))
    }
    // A response that a viewer does not find has not ended for that: the viewer may use another API key.
    if (ended.status !== "expired" && ended.calls !== undefined) {
      yield* learnInTime(run, record, [ResponseEnd.make({ turn, responseId }, ended, run)])
    }
    record = yield* readAgain(run).pipe(Effect.catch(() => Effect.succeed(record)))
    const state = RunState.fold(record)
    const end = state.turns[turn]?.end
    const goesOn =
      state.turns[turn + 1]?.winner !== undefined ||
      (end?.status === "completed" && end.calls.some(({ external }) => !external))
    if (goesOn) return { _tag: "GoesOn", from: nextTurn(ended.position) }
    const status = state.ended?.status ?? ended.status
    over =
      reasonOf(run.agent, {
        turns: state.turns,
        ended: state.ended ?? { status, ...(ended.error === undefined ? {} : { error: ended.error }) }
      }) ?? "well"
    return { _tag: "Over", status }
  })

  const delivered = (batch: readonly [Followed, ...Array<Followed>]): Updates => {
    const ended = batch.at(-1)!
    if (ended._tag !== "ResponseEnded") return Effect.succeed(batch as Batch)
    const { turn } = position
    return Effect.flatMap(meaningOf(ended), (meaning): Updates => {
      position = meaning._tag === "GoesOn" ? meaning.from : nextTurn(ended.position)
      const updates = batch.slice(0, -1) as ReadonlyArray<AgentUpdate>
      return Effect.andThen(
        finished,
        updates.length === 0 ? next : Effect.succeed(meant(updates, meaning, record, turn))
      )
    })
  }

  const follow = Effect.fnUntraced(function* (source: Source) {
    const child = yield* Scope.fork(scope)
    const engine = { lost: new Signal<AgentError>(), stopped: new Signal<void>(), telemetry }
    const pull = yield* Following.makePull(run, source, position, engine).pipe(Scope.provide(child))
    current = { pull, scope: child }
  })

  const finished = Effect.suspend(() => {
    const done = current
    current = undefined
    return done === undefined ? Effect.void : Scope.close(done.scope, Exit.void)
  })

  const next: Updates = Effect.suspend(() => {
    if (current !== undefined) return Effect.flatMap(current.pull, delivered)
    if (over === "well") return Cause.done()
    return over === undefined ? step : Effect.fail(fail(over))
  })

  const refreshed = Effect.map(readAgain(run), (latest) => {
    record = latest
  })

  const step: Updates = Effect.suspend((): Updates => {
    const state = RunState.fold(record)
    const { end, winner } = state.turns[position.turn] ?? {}
    const [results, after] = updatesAfter(run, record, state, position)
    position = after
    if (Arr.isReadonlyArrayNonEmpty(results)) return Effect.succeed(results)
    if (!record.background && winner !== undefined && end === undefined && record.lease === null) {
      // The look records that no process keeps the response alive.
      return Effect.andThen(Effect.andThen(glance(run), refreshed), next)
    }
    if (winner !== undefined && (record.background || end?.status !== "cancelled")) {
      run.known.responseId = winner.responseId
      return Effect.andThen(follow(sourceOf(run, winner, record.background)), next)
    }
    if (state.ended !== undefined) {
      over = reasonOf(run.agent, state) ?? "well"
      return next
    }
    return Effect.andThen(later, next)
  })

  /** Reads the run again after a while, or after a hint; fails if no worker will open its next response. */
  const later = Effect.gen(function* () {
    const time = yield* now
    const why = stuck(run, record, time)
    if (why !== undefined) return yield* fail(why)
    hint ??= yield* Scope.provide(Hint.hear(run.store, runId), scope)
    yield* hint(pace.wait(undefined), true)
    yield* refreshed
  })

  return next
})
