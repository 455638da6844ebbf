import * as Result from "effect/Result"
import type * as Response from "effect/ai/Response"
import type { Limits } from "../../RunRecord.ts"
import type { RunState } from "../../RunState.ts"

// How much of its limits a run has used: a view of its state.

/** The cost of one response, in a unit of the application's choice. */
type Cost = (usage: Response.Usage) => number

interface Bounds {
  readonly limits?: Limits | undefined
  readonly cost?: Cost | undefined
}

/** How much is left of a limit; infinite without the limit. */
export const left = (state: RunState, { cost, limits }: Bounds, name: keyof Limits): number => {
  const own = limits?.[name]
  const raised = state.limits[name]
  if (own === undefined) return Number.POSITIVE_INFINITY
  return Math.max(own, raised ?? own) - used(state, name, cost)
}

const used = ({ turns }: RunState, name: keyof Limits, cost: Cost | undefined): number => {
  const usages = turns.flatMap(({ end }) => (end?.usage === undefined ? [] : [end.usage]))
  switch (name) {
    case "turns":
      return turns.filter(({ winner }) => winner !== undefined).length
    case "toolCalls":
      return turns.flatMap(({ calls }) => calls).filter(({ starts }) => starts > 0).length
    case "tokens":
      return sum(usages, ({ inputTokens, outputTokens }) => (inputTokens.total ?? 0) + (outputTokens.total ?? 0))
    case "cost":
      return cost === undefined ? 0 : costOf(usages, cost)
    case "time":
      return covered(busy(turns))
  }
}

const sum = <A>(all: ReadonlyArray<A>, of: (one: A) => number): number => all.reduce((total, one) => total + of(one), 0)

/** The sum of the costs. A cost that cannot be computed reaches each limit: nobody knows what was spent. */
const costOf = (usages: ReadonlyArray<Response.Usage>, cost: Cost): number => {
  const total = Result.getOrElse(
    Result.try(() => sum(usages, cost)),
    () => Number.NaN
  )
  return Number.isNaN(total) ? Number.POSITIVE_INFINITY : total
}

type Interval = readonly [from: number, to: number]

/** The intervals in which a response or a tool call was under way, of those that have ended. */
const busy = (turns: RunState["turns"]): ReadonlyArray<Interval> =>
  turns.flatMap(({ calls, end, winner }) => [
    ...(winner === undefined || end === undefined ? [] : [[winner.at, end.at] as const]),
    ...calls.flatMap(({ deferred, result, startedAt }): ReadonlyArray<Interval> => {
      const endedAt = deferred?.at ?? result?.at
      return startedAt === undefined || endedAt === undefined ? [] : [[startedAt, endedAt]]
    })
  ])

/** The length of a union of intervals. */
const covered = (intervals: ReadonlyArray<Interval>): number => {
  let total = 0
  let reached = Number.NEGATIVE_INFINITY
  for (const [from, to] of intervals.toSorted(([a], [b]) => a - b)) {
    total += Math.max(0, to - Math.max(from, reached))
    reached = Math.max(reached, to)
  }
  return total
}
