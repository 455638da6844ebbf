import * as Effect from "effect/Effect"
import type { Fact, NewFact } from "../../RunRecord.ts"
import type { Gone } from "../../TokenStore.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import type { OpenRun } from "../run/openRun.ts"
import { persistently } from "./lease.ts"
import { Trouble } from "../telemetry/trouble.ts"

/** The errors of `observe`. */
export type ObserveError = Gone | TokenStoreError

/**
 * Records an observation without a lease, and repeats that while the store cannot be reached, until the caller interrupts
 * it. Returns the facts from number `seen` on.
 */
export const record = (
  { agent, runId, store }: Pick<OpenRun, "agent" | "runId" | "store">,
  fact: NewFact,
  seen: number
): Effect.Effect<ReadonlyArray<Fact>, ObserveError> =>
  Effect.suspend(() => {
    const trouble = new Trouble({ runId, agent: agent.name })
    return store.record(runId, fact, seen).pipe(
      Effect.tapError((error) =>
        error.isRetryable
          ? trouble.began("a fact about a run could not be recorded; this is tried again", error.message)
          : Effect.void
      ),
      Effect.retry({ while: (error) => error.isRetryable, schedule: persistently }),
      Effect.tap(() => trouble.ended())
    )
  })
