import { Effect, Stream } from "effect"
import type { AgentError } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { ResponseEnded } from "../../Followed.ts"
import * as RunState from "../../RunState.ts"
import { advance } from "../advance.ts"
import type { LeaseOptions, StreamOptions } from "../agent.ts"
import { Output } from "../output.ts"
import { type OpenRun, readAgain } from "../openRun.ts"
import { respond } from "./look.ts"
import { result } from "./result.ts"

/** Follows a run to its end, and answers the whole of it. */
export const complete = Effect.fnUntraced(function* (
  run: OpenRun,
  options: LeaseOptions & Pick<StreamOptions, "onInterrupt">
): Effect.fn.Return<AgentResponse, AgentError> {
  let ended: ResponseEnded | undefined
  const isFromStart = run.from === undefined && run.record.position.offset === 0
  const output = new Output()
  yield* Stream.runForEach(Stream.unwrap(advance(run, { ...options, onEnd: (end) => void (ended = end) })), (update) =>
    Effect.sync(() => output.add(update))
  )
  const snapshot = ended?.snapshot
  if (ended === undefined || snapshot === undefined || !(ended.shows || isFromStart)) return yield* result(run)
  const record = yield* readAgain(run)
  const response = respond(run, record, RunState.fold(record), snapshot)
  if (ended.shows) return response
  // Some servers show no output at the end: what was delivered here counts then.
  const content = output.content()
  return { ...response, content, text: content.map((part) => (part.type === "text" ? part.text : "")).join("") }
})
