import { AgentError, StoreFailed } from "@effect-baton/core/AgentError"
import type { RunStatus } from "@effect-baton/core/Run"
import type { RunRecord } from "@effect-baton/core/RunRecord"
import { type Page, TokenStore } from "@effect-baton/core/TokenStore"
import * as Effect from "effect/Effect"
import { InvalidRequest } from "../RunProblem.ts"
import type * as Wire from "../RunWire.ts"
import { infoOf, mayRead, type Served } from "./known.ts"
import { refuseRead } from "./problems.ts"

interface Query {
  readonly agent?: string
  readonly status?: ReadonlyArray<RunStatus>
  readonly label?: ReadonlyArray<string>
  readonly cursor?: string
  readonly limit?: number
}

const pageSize = 100

/** How many runs are looked at for one answer at most. */
const looked = 10_000

const tooMany = "There are too many other runs before the next one of yours. Name an agent, or a status."

/**
 * Lists the runs that the caller may read.
 *
 * A cursor of the store names the last run of its page. The caller gets only cursors that name a run of the caller: the last
 * page is read again for that, and ends there.
 */
export const list = Effect.fnUntraced(function* (served: Served, query: Query) {
  const store = yield* TokenStore
  const { agent, limit = 50, status } = query
  const labels = yield* Effect.forEach(query.label ?? [], labelOf)
  if (agent !== undefined && !served.agents.has(agent)) {
    return yield* new InvalidRequest({ detail: "This service has no such agent." })
  }
  const read = (cursor: string | undefined, size: number) =>
    Effect.catch(
      store.list({
        limit: size,
        ...(agent === undefined ? {} : { agent }),
        ...(status === undefined ? {} : { status }),
        ...(cursor === undefined ? {} : { cursor })
      }),
      (error) => refuseRead(new AgentError({ reason: new StoreFailed({ error }) }))
    )

  const runs: Array<Wire.RunInfo> = []
  let cursor = query.cursor
  let last: { readonly cursor: string | undefined; readonly size: number } | undefined
  for (let seen = 0; seen < looked && runs.length < limit;) {
    const page: Page<RunRecord> = yield* read(cursor, pageSize)
    seen += pageSize
    for (const [i, record] of page.items.entries()) {
      if (!labels.every(([name, value]) => record.labels?.[name] === value)) continue
      if (!(yield* mayRead(served, record))) continue
      runs.push(infoOf(served, record))
      last = { cursor, size: i + 1 }
      if (runs.length === limit) break
    }
    if (page.cursor === undefined && runs.length < limit) return { runs }
    cursor = page.cursor
  }
  if (last === undefined) return yield* new InvalidRequest({ detail: tooMany })
  const { cursor: next } = yield* read(last.cursor, last.size)
  return { runs, ...(next === undefined ? {} : { cursor: next }) }
})

const labelOf = (text: string) => {
  const at = text.indexOf("=")
  return at < 1
    ? Effect.fail(new InvalidRequest({ detail: "A label is given as name=value." }))
    : Effect.succeed([text.slice(0, at), text.slice(at + 1)] as const)
}
