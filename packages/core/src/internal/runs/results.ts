import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { AgentError } from "../../AgentError.ts"
import type { AgentResponse } from "../../AgentResponse.ts"
import { TokenCodec } from "../../ContinuationToken.ts"
import { isOver, RunStatus } from "../../Run.ts"
import { RunPolicy } from "../../RunPolicy.ts"
import type { RunRecord } from "../../RunRecord.ts"
import type { RunFilter, TokenStore } from "../../TokenStore.ts"
import { UpdateLog } from "../../UpdateLog.ts"
import type { Logged } from "../logged/reading.ts"
import { typedLog } from "../ports/typedLog.ts"
import { plainCodec } from "../token/minted.ts"
import { responseFrom } from "../watch/logResponse.ts"
import { list } from "./find.ts"

const ended = RunStatus.literals.filter(isOver)

/** How many logs are read at the same time. */
const atOnce = 8

/** The responses of the runs that a filter selects and that have ended, from the update log. */
export const results = ({
  status = ended,
  ...filter
}: Omit<RunFilter, "cursor" | "limit">): Stream.Stream<
  { readonly record: RunRecord; readonly response: Option.Option<AgentResponse> },
  AgentError,
  TokenStore | UpdateLog
> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const log = (yield* typedLog) ?? (yield* UpdateLog)
      const policy = yield* RunPolicy
      const sealed = (yield* TokenCodec) !== plainCodec
      return list({ ...filter, status: status.filter(isOver) }).pipe(
        Stream.mapEffect(
          (record) => {
            const { agent, runId } = record
            const errorOf = (reason: AgentError["reason"]) => new AgentError({ runId, agent, reason })
            const logged: Logged = { log, runId, agent, policy, sealed, errorOf }
            const response =
              record.logged === true
                ? responseFrom({ agent: { name: agent }, policy, runId }, record, logged)
                : Effect.undefined
            return Effect.map(response, (found) => ({ record, response: Option.fromUndefinedOr(found) }))
          },
          { concurrency: atOnce }
        )
      )
    })
  )
