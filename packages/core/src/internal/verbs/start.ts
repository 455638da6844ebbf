import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type AgentError, InvalidInput, RunNotOpened, Unconfirmed } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import * as ContinuationToken from "../../ContinuationToken.ts"
import * as RunState from "../../RunState.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { hold } from "../advance/advance.ts"
import { endLogged } from "../advance/finishLog.ts"
import { requestOf } from "../advance/turnRequest.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { RunInput } from "../../RunInput.ts"
import { endedBy, type HeldRun } from "../hold/heldRun.ts"
import { create } from "./newRun.ts"
import { checkVersion, errorOf, type OpenRun, unableOf } from "../run/openRun.ts"
import * as Opening from "../advance/opening.ts"
import { reasonOf } from "../run/runReason.ts"
import * as Telemetry from "../telemetry/telemetry.ts"
import { glance } from "../watch/lookAtRun.ts"
import { respond } from "../watch/respond.ts"

/** Opens a background run and releases it, so that any process can stream it. */
export const start = Effect.fn("Agent.start")(function* (
  agent: Agent,
  input: RunInput
): Effect.fn.Return<AgentResponse, AgentError, BackgroundModel | TokenStore> {
  const run = yield* create(agent, { ...input, background: true })
  yield* checkVersion(run)
  const state = RunState.fold(run.record)
  if (state.ended !== undefined || state.turns[0]?.winner !== undefined) return (yield* glance(run)).response
  return yield* Effect.scoped(Effect.flatMap(hold(run), (held) => openAndLeave(run, held)))
})

/** Fails if the run is a foreground run: its response would end with this call's connection. */
export const leavable = (run: OpenRun): Effect.Effect<void, AgentError> => {
  const { background } = run.record
  const description =
    "A run in the foreground would end as soon as this call returns. Start another run with background: true."
  const why = background ? unableOf(run.model, background) : new InvalidInput({ description })
  return why === undefined ? Effect.void : Effect.fail(errorOf(run)(why))
}

/** Carries out the steps of a held run until the response of its turn is open. */
export const openAndLeave = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun
): Effect.fn.Return<AgentResponse, AgentError, Scope.Scope> {
  const { model, policy } = run
  const fail = errorOf(run)
  const scope = yield* Scope.Scope
  const patience = yield* Opening.patience(run, held)
  const telemetry = yield* Telemetry.make({ model, policy, agent: run.agent.name, counts: () => false })
  while (true) {
    held.sendCancels()
    const step = held.next()
    switch (step._tag) {
      case "End": {
        if (!(yield* endLogged(run, held))) yield* held.decide([endedBy(step)])
        const { ended } = held.state()
        const reason = ended === undefined ? undefined : reasonOf(run.agent, held.state())
        if (ended !== undefined && reason?._tag !== "RunCancelled" && reason !== undefined) return yield* fail(reason)
        continue
      }
      case "Open": {
        yield* leavable(run)
        const request = yield* requestOf(run, held, step.turn)
        if (request === undefined) return yield* fail(new RunNotOpened())
        const child = yield* Scope.fork(scope)
        const result = yield* Opening.open(run, held, step.turn, {
          request,
          // A stream that can be resumed can be watched live later, without this connection.
          streamed: model.capabilities.resume && model.demands(request.options).streamed,
          from: ContinuationToken.start(run.agent.name, run.runId, held.state().incarnation, { turn: step.turn }),
          telemetry
        }).pipe(Scope.provide(child))
        yield* Scope.close(child, Exit.void)
        if (result._tag === "Opened") {
          yield* patience.accepted
          return respond(run, held.record, held.state(), { status: result.opened.status, items: [] })
        }
        if (result._tag === "Moved" || !result.error.isRetryable) continue
        yield* patience.wait(result.error)
        continue
      }
      case "Wait":
        if (step.for === "unconfirmed") return yield* fail(new Unconfirmed({}))
        if (step.for === "input") return yield* fail(new RunNotOpened())
        return respond(run, held.record, held.state(), { items: [] })
      default:
        return respond(run, held.record, held.state(), { items: [] })
    }
  }
})
