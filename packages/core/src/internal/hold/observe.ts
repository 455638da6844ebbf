import * as Effect from "effect/Effect"
import type { Fact, NewFact } from "../../RunRecord.ts"
import type { Gone } from "../../TokenStore.ts"
import type { TokenStoreError } from "../../TokenStoreError.ts"
import type { OpenRun } from "../run/openRun.ts"
import { persistently } from "./lease.ts"
import { Trouble } from "../telemetry/trouble.ts"

/** Why something that was seen could not be recorded. */
export type ObserveError = Gone | TokenStoreError

/**
 * Records something that was seen, without a lease, and keeps at it while the store is away: for as long as the caller
 * waits. Answers the facts from number `seen` on.
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
          ? trouble.began("what was seen of a run could not be recorded, and this is tried again", error.message)
          : Effect.void
      ),
      Effect.retry({ while: (error) => error.isRetryable, schedule: persistently }),
      Effect.tap(() => trouble.ended())
    )
  })
