import { type Agent, type AgentError, Run, Runs, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Duration, Effect, Stream } from "effect"
import { analyst } from "./runs.ts"
import { quick } from "./workers.ts"

// Runs that are recorded with their input, and what becomes of that.

const { completed, pause, text } = ScriptedModel

export const script = [text("a"), pause("1 second"), text("b"), completed]
export const input = { input: "Hello", runId: "r" }
export const ref = { runId: "r" }

/** A worker that reads all that its runs say into `said`. */
export const worker = (said: Array<string> = [], agent: Agent.Agent = analyst) =>
  Runs.worker([agent], {
    ...quick,
    handle: ({ updates }) => Stream.runForEach(updates, (update) => Effect.sync(() => void said.push(update.text)))
  })

/** The reason of the failure. */
export const refusal = <A, R>(effect: Effect.Effect<A, AgentError.AgentError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason)

/** The input of a run as its store keeps it; it is nobody's then. */
export const keptOf = (runId: string) =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const {
      input: kept,
      lease,
      record
    } = yield* store.acquire(Run.RunId.make(runId), {
      owner: "test",
      ttl: Duration.seconds(1)
    })
    yield* store.release(lease, { seen: record.journal.length, due: Duration.infinity, attempt: "keep" })
    return kept
  })
