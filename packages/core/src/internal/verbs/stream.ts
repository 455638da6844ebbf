import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type AgentError, LeaseLost } from "../../AgentError.ts"
import type { AgentUpdate, Delivery } from "../../AgentUpdate.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { advance, advanceManually } from "../advance/advance.ts"
import type { AdvanceOptions } from "../advance/advanceOptions.ts"
import type { HeldRun } from "../hold/heldRun.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { RunInput, RunRef, StreamOptions, WatchRef } from "../../RunInput.ts"
import * as RunState from "../../RunState.ts"
import * as NewRun from "./newRun.ts"
import * as OpenRun from "../run/openRun.ts"
import { watch as readAlong } from "../watch/watch.ts"

type Requirements = BackgroundModel | TokenStore

const advancing = (
  run: OpenRun.OpenRun,
  options: StreamOptions & AdvanceOptions
): Effect.Effect<Stream.Stream<AgentUpdate | Delivery, AgentError>, AgentError, Scope.Scope> =>
  options.acknowledge === "manual" ? advanceManually(run, options) : advance(run, options)

/** A log that lost updates is written again under another lease, in another epoch. */
const isLost = ({ reason }: AgentError): boolean => reason._tag === "LogFailed" && reason.error.kind === "lost"

/** Advances a run. If its log lost updates, takes the run again: the consumer then gets again what was lost. */
const persistently = (
  run: OpenRun.OpenRun,
  options: StreamOptions
): Stream.Stream<AgentUpdate | Delivery, AgentError> => {
  let before: HeldRun | undefined
  const overtaken = Effect.fail(OpenRun.errorOf(run)(new LeaseLost({ runId: run.runId })))
  // Others may have acknowledged updates meanwhile that this consumer did not get: they would be missing in its stream.
  const onHeld = (held: HeldRun) => {
    const isBehind = before !== undefined && held.position().offset > before.position().offset
    before = held
    return isBehind ? overtaken : Effect.void
  }
  const once = Effect.gen(function* () {
    const isAgain = before !== undefined
    const known = isAgain ? { ...run, record: yield* OpenRun.readAgain(run) } : run
    if (isAgain && RunState.fold(known.record).delivered) return yield* overtaken
    return yield* advancing(known, { ...options, onHeld })
  })
  return Stream.retry(Stream.unwrap(once), ($) =>
    $(Schedule.spaced("100 millis")).pipe(Schedule.while(({ input }) => isLost(input)))
  )
}

/** Starts a run, or continues the one that `runId` names, and streams its updates. */
export const stream = (
  agent: Agent,
  input: RunInput & StreamOptions & { readonly background?: boolean }
): Stream.Stream<AgentUpdate | Delivery, AgentError, Requirements> =>
  Stream.unwrap(Effect.map(NewRun.create(agent, input), (run) => persistently(run, input)))

/** Streams the updates of an existing run from its position. */
export const resume = (
  agent: Agent,
  ref: RunRef & StreamOptions
): Stream.Stream<AgentUpdate | Delivery, AgentError, Requirements> =>
  Stream.unwrap(
    OpenRun.find(agent, ref).pipe(
      Effect.tap(OpenRun.checkModel),
      Effect.map((run) => persistently(run, ref))
    )
  )

/** Streams the updates of a run without its lease. */
export const watch = (agent: Agent, ref: WatchRef): Stream.Stream<AgentUpdate, AgentError, Requirements> =>
  Stream.unwrap(Effect.flatMap(OpenRun.find(agent, ref), readAlong))
