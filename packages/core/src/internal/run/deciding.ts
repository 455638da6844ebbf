import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { ModelRequest } from "../../BackgroundModel.ts"
import * as RunEngine from "../../RunEngine.ts"
import type { Limits, RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { optionsOf } from "../tools/handlers.ts"
import type { RunPolicy } from "../../RunPolicy.ts"

// What `decide` must know beside the state of a run.

/** The parts of a run on which its next step depends. Without a clock, nothing is too late. */
export interface Deciding {
  readonly agent: Omit<Agent, "name">
  readonly policy: Pick<RunPolicy, "onUnconfirmed">
  readonly request?: ModelRequest
  readonly clock?: Clock.Clock
}

/** The limits of an agent's runs, in the units of records. */
export const limitsOf = ({ limits }: Pick<Agent, "limits">): Limits | undefined => {
  if (limits?.time === undefined) return limits as Limits | undefined
  return { ...limits, time: Duration.toMillis(Duration.fromInputUnsafe(limits.time)) }
}

/** The context in which `decide` chooses the next step of a run. */
export const contextOf = (
  { agent, clock, policy, request }: Deciding,
  { background, handled, input }: Pick<RunRecord, "background" | "handled" | "input">
): RunEngine.Context => ({
  onUnconfirmed: policy.onUnconfirmed,
  hasInput: request !== undefined || input !== undefined,
  handled,
  background,
  ...(clock === undefined ? {} : { now: clock.currentTimeMillisUnsafe() }),
  ...(agent.toolConcurrency === undefined ? {} : { atOnce: agent.toolConcurrency }),
  onCut: ({ name }) => optionsOf(agent, name).onCut ?? "again",
  limits: limitsOf(agent),
  cost: agent.cost
})

/** The same for the worker that takes the run next: it has the input only if the store keeps it. */
export const contextOfNext = (
  { agent, clock, policy }: Deciding,
  record: Pick<RunRecord, "background" | "handled" | "input">
): RunEngine.Context => contextOf({ agent, policy, ...(clock === undefined ? {} : { clock }) }, record)

/** When a run is due again after its release, or why it is parked. */
export const restOf = (
  run: Deciding,
  record: Pick<RunRecord, "background" | "handled" | "incarnation" | "input" | "journal">
): { readonly due: Duration.Duration; readonly parked?: string } => {
  const context = contextOfNext(run, record)
  const step = RunEngine.decide(RunState.fold(record), context)
  if (step._tag === "Over") return { due: Duration.infinity }
  if (step._tag !== "Wait") return { due: Duration.zero }
  switch (step.for) {
    case "unconfirmed":
      return {
        due: Duration.infinity,
        parked:
          "A request to the provider was sent but never answered. Open the run again with Agent.retry, or use Runs.discard."
      }
    case "input":
      return {
        due: Duration.infinity,
        parked:
          "The run was recorded, but never opened at the provider. Start it again with its input, or use Runs.discard."
      }
    default: {
      const { now = 0 } = context
      return { due: step.until === undefined ? Duration.infinity : Duration.millis(Math.max(0, step.until - now)) }
    }
  }
}
