import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { AgentError } from "../../AgentError.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import type { TokenStore } from "../../TokenStore.ts"
import * as Hint from "../hold/hint.ts"
import { Trouble } from "../telemetry/trouble.ts"
import { decodeRunId } from "../run/openRun.ts"
import { typedStore } from "../ports/typedStore.ts"
import { readFrom } from "./find.ts"

// A hint is followed at once. As hints may be lost, and most changes send none, the record is also read now and then.
const net = "1 second"

const every = Schedule.spaced(net)

const hasEnded = (record: RunRecord): boolean => RunState.fold(record).ended !== undefined

/** Waits until a condition holds for the record of a run. */
export const wait = Effect.fn("Runs.wait")(function* (
  runId: string,
  until: (record: RunRecord) => boolean = hasEnded
): Effect.fn.Return<RunRecord, AgentError, TokenStore> {
  const store = yield* typedStore
  const id = yield* decodeRunId(runId)
  const trouble = new Trouble({ runId: id })
  const look = Effect.tapError(readFrom(store, id), ({ isRetryable, message }) =>
    isRetryable ? trouble.began("a run that is waited for cannot be read; this is tried again", message) : Effect.void
  )
  return yield* Effect.scoped(
    Effect.gen(function* () {
      // Begins before the first read, so that no hint is missed between the two.
      const hint = yield* Hint.hear(store, id)
      while (true) {
        const record = yield* Effect.retry(look, { schedule: every, while: ({ isRetryable }) => isRetryable })
        yield* trouble.ended()
        if (until(record)) return record
        yield* hint(Effect.sleep(net), undefined)
      }
    })
  )
})
