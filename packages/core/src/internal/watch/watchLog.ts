import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AgentError } from "../../AgentError.ts"
import type { UpdateLog } from "../../UpdateLog.ts"
import type { Feed } from "../logged/feed.ts"
import { LogPull } from "../logged/logPull.ts"
import { type Logged, loggedOf, type Place, verify } from "../logged/reading.ts"
import * as Shared from "../primitives/shared.ts"
import type { OpenRun } from "../run/openRun.ts"
import type { Updates } from "../run/turnEnd.ts"
import * as Tail from "./tail.ts"

const tailOf = Shared.make<UpdateLog["Service"], { readonly run: OpenRun; readonly logged: Logged }, Feed, AgentError>(
  ({ logged, run }) => Tail.make(run, logged),
  (feed) => feed.exit !== undefined
)

/** Reads the log of a run from its start or a place. All viewers of a run in this process share one reader of its end. */
export const makePull = Effect.fnUntraced(function* (
  run: OpenRun,
  log: UpdateLog["Service"]
): Effect.fn.Return<Updates, AgentError, Scope.Scope> {
  const logged = loggedOf(run, log)
  const place: Place = run.from ?? { offset: 0 }
  const feed = yield* tailOf(log, run.runId, { run, logged })
  // Viewers of the newest updates need not read the log: this process has them.
  const isKnown = place.epoch !== undefined && feed.at(place.offset - 1)?.epoch === place.epoch
  if (!isKnown) yield* verify(logged, place)
  return new LogPull(logged, feed, place).pull
})
