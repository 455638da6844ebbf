import * as Effect from "effect/Effect"
import { type AgentError, Unconfirmed } from "../../AgentError.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import * as RunState from "../../RunState.ts"
import type { TokenStore } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { RunRef } from "../../RunInput.ts"
import { hold } from "../advance/advance.ts"
import { loggedOf, persistently } from "../logged/reading.ts"
import * as Backoff from "../primitives/backoff.ts"
import { errorOf, find, logOf, type OpenRun } from "../run/openRun.ts"

/** Options of `Agent.remove`. */
interface RemoveOptions {
  readonly provider?: "require" | "try" | "keep"
  readonly force?: boolean
}

/** Deletes a run, at the provider and in the store. */
export const remove = Effect.fn("Agent.remove")(function* (
  agent: Agent,
  ref: RunRef & RemoveOptions
): Effect.fn.Return<void, AgentError, BackgroundModel | TokenStore> {
  const run = yield* find(agent, ref)
  yield* Effect.scoped(forget(run, ref))
})

const forget = Effect.fnUntraced(function* (run: OpenRun, { force = false, provider = "require" }: RemoveOptions) {
  const held = yield* hold(run)
  const unknown = held.state().unresolved.length > 0
  if (unknown && !force) return yield* errorOf(run)(new Unconfirmed({}))
  const bought = provider === "keep" ? [] : RunState.responseIds({ journal: held.journal() })
  for (const responseId of bought) {
    const removed = run.model.remove(responseId).pipe(
      Effect.retry(Backoff.patiently(run.policy.requestRetry)),
      Effect.mapError((error) => errorOf(run)(error))
    )
    yield* provider === "require"
      ? removed
      : Effect.catch(removed, (error) =>
          Effect.annotateLogs(
            Effect.logWarning(
              "baton: the provider did not delete a response, which stays at the provider",
              error.message
            ),
            { runId: run.runId, agent: run.agent.name, responseId }
          )
        )
  }
  const log = force ? run.log : yield* logOf(run)
  if (log !== undefined && run.record.logged === true) {
    yield* persistently(loggedOf(run, log), "the log of a run could not be removed", log.remove(run.runId))
  }
  // A response that the provider deleted is no longer running.
  const isSafe = yield* held.forget({ force: force || provider === "require" })
  if (!isSafe) return yield* errorOf(run)(new Unconfirmed({}))
})
