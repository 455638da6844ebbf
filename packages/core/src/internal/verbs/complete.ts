import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AgentError } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { ResponseEnded } from "../../Followed.ts"
import * as RunState from "../../RunState.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { advance } from "../advance/advance.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { LeaseOptions, RunInput, StreamOptions } from "../../RunInput.ts"
import * as NewRun from "./newRun.ts"
import { Output } from "../logged/output.ts"
import * as OpenRun from "../run/openRun.ts"
import { respond } from "../watch/respond.ts"
import { resultOf } from "./result.ts"

/** Starts a run, or continues the one that `runId` names, follows it to its end, and returns its response. */
export const complete = Effect.fn("Agent.run")(function* (
  agent: Agent,
  input: RunInput & LeaseOptions & Pick<StreamOptions, "onInterrupt"> & { readonly background?: boolean }
): Effect.fn.Return<AgentResponse, AgentError, BackgroundModel | TokenStore> {
  const run = yield* NewRun.create(agent, input)
  let ended: ResponseEnded | undefined
  const isFromStart = run.from === undefined && run.record.position.offset === 0
  const output = new Output()
  yield* Stream.runForEach(Stream.unwrap(advance(run, { ...input, onEnd: (end) => void (ended = end) })), (update) =>
    Effect.sync(() => output.add(update))
  )
  const snapshot = ended?.snapshot
  if (ended === undefined || snapshot === undefined || !(ended.shows || isFromStart)) return yield* resultOf(run)
  const record = yield* OpenRun.readAgain(run)
  // Some servers show no output at the end: then the updates that were delivered here count.
  const shown = ended.shows ? snapshot : { ...snapshot, content: output.content() }
  return respond(run, record, RunState.fold(record), shown)
})
