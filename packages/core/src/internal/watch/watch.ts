import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import { logOf, type OpenRun } from "../run/openRun.ts"
import type { Updates } from "../run/turnEnd.ts"
import * as Attached from "./attached.ts"
import * as WatchLog from "./watchLog.ts"
import * as WatchShared from "./watchShared.ts"

/** Streams a run from its start, a token or an offset, without a lease. */
export const watch = Effect.fnUntraced(function* (
  run: OpenRun
): Effect.fn.Return<Stream.Stream<AgentUpdate, AgentError>, AgentError> {
  const log = yield* logOf(run)
  const made: Effect.Effect<Updates, AgentError, Scope.Scope> =
    log !== undefined
      ? WatchLog.makePull(run, log)
      : run.from === undefined
        ? WatchShared.makePull(run)
        : Attached.makePull(run)
  // Like `Stream.scoped`, which would provide the scope again for each pull.
  return Stream.fromChannel(Channel.fromTransformBracket((_, __, scope) => Scope.provide(made, scope)))
})
