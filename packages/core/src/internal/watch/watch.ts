import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import { logOf, type OpenRun } from "../run/openRun.ts"
import * as Attached from "./attached.ts"
import * as WatchLog from "./watchLog.ts"
import * as WatchShared from "./watchShared.ts"

/** Streams a run from its start, a token or an offset, without a lease. */
export const watch = Effect.fnUntraced(function* (
  run: OpenRun
): Effect.fn.Return<Stream.Stream<AgentUpdate, AgentError>, AgentError> {
  const log = yield* logOf(run)
  return Stream.scoped(
    Stream.fromPull(
      log !== undefined
        ? WatchLog.makePull(run, log)
        : run.from === undefined
          ? WatchShared.makePull(run)
          : Attached.makePull(run)
    )
  )
})
