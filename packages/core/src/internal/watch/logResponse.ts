import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AgentError } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"
import type { RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import { Output } from "../logged/output.ts"
import { entryOf, type Logged, pageSize, read } from "../logged/reading.ts"
import { respond, type Told } from "./respond.ts"

/** The response of a run that has ended, from its log; undefined if the log does not have all of it. */
export const responseFrom = Effect.fnUntraced(function* (
  run: Told,
  record: RunRecord,
  logged: Logged
): Effect.fn.Return<AgentResponse | undefined, AgentError> {
  const state = RunState.fold(record)
  const output = new Output()
  let finish: Extract<AgentUpdate["part"], { readonly type: "finish" }> | undefined
  let responseId: string | undefined
  let offset = 0
  while (true) {
    const page = yield* read(logged, offset, pageSize).pipe(
      Effect.catchTag(["LogNotFound", "LogTruncated"], () => Effect.undefined)
    )
    if (page === undefined || !page.ended) return undefined
    for (const chunk of page.chunks) {
      const { from, updates } = yield* entryOf(logged, chunk)
      for (const update of updates) {
        output.add(update)
        if (update.responseId !== responseId) finish = undefined
        responseId = update.responseId
        if (update.part?.type === "finish") finish = update.part
      }
      offset = from + updates.length
    }
    if (offset >= page.length) break
  }
  const response = respond(run, record, state, { content: output.content() })
  const told = Option.fromUndefinedOr(finish)
  return {
    ...response,
    usage: Option.orElse(response.usage, () => Option.map(told, ({ usage }) => usage)),
    finishReason: Option.map(told, ({ reason }) => reason)
  }
})
