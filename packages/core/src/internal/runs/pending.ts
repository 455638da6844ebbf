import * as Effect from "effect/Effect"
import type { AgentError } from "../../AgentError.ts"
import type { PendingCall } from "../../AgentResponse.ts"
import * as RunState from "../../RunState.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { pendingOf } from "../watch/respond.ts"
import { get } from "./find.ts"

/** The tool calls of a run that have no result yet. */
export const pending = (runId: string): Effect.Effect<ReadonlyArray<PendingCall>, AgentError, TokenStore> =>
  Effect.map(get(runId), (record) => pendingOf(record.runId, RunState.fold(record)))
