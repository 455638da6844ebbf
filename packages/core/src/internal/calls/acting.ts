import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import type * as Scope from "effect/Scope"
import { type AgentError, ToolMissing } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { ContinuationToken } from "../../ContinuationToken.ts"
import { callName, type Start, type Step } from "../../RunEngine.ts"
import { isDone, isUndecided } from "../../RunState.ts"
import type { HeldRun, OwnFact } from "../hold/heldRun.ts"
import { errorOf, type OpenRun } from "../run/openRun.ts"
import * as Asking from "./asking.ts"
import { answers, type Found } from "../tools/handlers.ts"
import { interrupted } from "../tools/recorded.ts"
import { partOf, updateOf } from "../tools/told.ts"
import { ToolRunner } from "./toolRunner.ts"

type StepOf<Tag extends Step["_tag"]> = Extract<Step, { readonly _tag: Tag }>

/** Carries out the steps of `decide` that concern the tool calls of a turn. */
export class Acting {
  private readonly run: OpenRun
  private readonly held: HeldRun
  private readonly runner: ToolRunner
  /** What the policy said about calls: it is asked once, also if its answer could not be recorded at first. */
  private readonly said = new Map<string, OwnFact>()

  constructor(run: OpenRun, held: HeldRun, scope: Scope.Scope) {
    this.run = run
    this.held = held
    this.runner = new ToolRunner(run, held, scope)
  }

  /** Asks the policy about calls, and records its answers. */
  ask({ calls, turn }: StepOf<"AskPolicy">): Effect.Effect<void, AgentError> {
    const { held, run, said } = this
    const own = calls.filter(({ provider }) => provider !== true)
    const handlers = own.length === 0 ? Effect.succeed(run.handlers) : this.handlers(own.map(({ name }) => name))
    return Effect.flatMap(handlers, (found) =>
      Effect.forEach(calls, (call) => {
        const name = callName(turn, call.callId)
        const known = said.get(name)
        if (known !== undefined) return Effect.succeed(known)
        return Effect.tap(Asking.ask(run, found, turn, call), (fact) => Effect.sync(() => said.set(name, fact)))
      }).pipe(Effect.flatMap((facts) => held.decide(facts)))
    )
  }

  /** Records that calls start, and runs their handlers. */
  start({ starts, turn }: StepOf<"RunTools">): Effect.Effect<void, AgentError> {
    const { held, runner } = this
    // With a log, the run goes on beside its consumer until the end of the scope.
    if (runner.leaves) return Effect.never
    return Effect.gen({ self: this }, function* () {
      const found = yield* this.handlers(starts.map(({ call }) => call.name))
      const facts = starts.map(({ call, n }): OwnFact => ({ _tag: "ToolStarted", turn, callId: call.callId, n }))
      if ((yield* held.decide(facts)) === "moved") return
      if (runner.leaves) return yield* Effect.never
      const gone = held.gone()
      if (gone !== undefined) return yield* gone
      // The answer may have shown a cancel, a result, or that the call was deferred.
      const state = held.state()
      if (state.cancelled || state.ended !== undefined) return
      const latest = new Map(state.turns[turn]?.calls.map((call) => [call.callId, call]))
      const still = starts.flatMap(({ call, n }): ReadonlyArray<Start> => {
        const now = latest.get(call.callId)
        return now === undefined || isDone(now) || now.deferred !== undefined ? [] : [{ call: now, n }]
      })
      yield* runner.start(found, turn, still)
    })
  }

  /** Records that a call gets no result. */
  giveUp({ call, turn, why }: StepOf<"GiveUp">): Effect.Effect<void, AgentError> {
    const { callId } = call
    const reason =
      why === "expired" ? "Nobody gave the result of this call in time." : "The process that ran this call died."
    const fact: OwnFact = isUndecided(call)
      ? { _tag: "Rejected", turn, callId, reason: "expired" }
      : { _tag: "ToolEnded", turn, callId, ...interrupted(reason) }
    return Effect.asVoid(this.held.decide([fact]))
  }

  /** Waits until something about the calls of this process changes; interrupts them if the run was cancelled. */
  wait({ until }: StepOf<"Wait">): Effect.Effect<void, AgentError> {
    const { held, run, runner } = this
    if (runner.failed !== undefined) return Effect.fail(runner.failed)
    if (held.state().cancelled) return runner.interrupt
    const { version } = runner
    const seen = held.journal().length
    const moved = Effect.suspend(() => (held.journal().length === seen ? held.moved : Effect.void))
    const due =
      until === undefined
        ? Effect.never
        : Effect.sleep(Duration.millis(Math.max(0, until - run.clock.currentTimeMillisUnsafe())))
    return Effect.raceAllFirst([runner.changedSince(version), moved, due, held.untilLost])
  }

  /** Updates with preliminary results, which have no position of their own. */
  preliminary(position: ContinuationToken): ReadonlyArray<AgentUpdate> {
    const { held, run } = this
    return this.runner.take().map(({ call, encoded, turn }) => {
      const part = partOf(call, { result: encoded, isFailure: false }, true)
      return updateOf(run.runId, held.record, held.state(), { origin: "live", part, position, turn })
    })
  }

  /** The handlers, which must have all of these tools. Without one, the run is parked: it has not failed. */
  private handlers(names: ReadonlyArray<string>): Effect.Effect<Found, AgentError> {
    const { held, run } = this
    const { handlers } = run
    const missing = names.find((name) => handlers === undefined || !answers(run.agent, name))
    if (missing === undefined && handlers !== undefined) return Effect.succeed(handlers)
    const error = errorOf(run)(new ToolMissing({ tool: missing ?? "" }))
    held.leaveAs({ due: Duration.infinity, parked: error.reason.message })
    return Effect.fail(error)
  }
}
