import type { Operation } from "./history.ts"
import type { Line } from "./line.ts"

/**
 * What in a history of leases and commits breaks the fencing law. Two operations are in order if one was answered before
 * the other was sent; if they overlap, either order is allowed.
 */
export const violations = (history: ReadonlyArray<Operation>): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const [runId, operations] of Map.groupBy(history, (operation) => operation.runId)) {
    const done = operations.filter((operation): operation is Done => operation.done === true)
    const grants = done.filter(({ what }) => what === "acquire")
    const commits = done.filter(({ what }) => what === "commit")
    const complain = (what: string) => void found.push(`${runId}: ${what}`)

    for (const grant of grants) {
      for (const later of grants) {
        if (grant === later || later.begin < grant.end || later.owner === grant.owner) continue
        if (later.fence <= grant.fence) complain(`fence ${later.fence} was given after ${grant.fence}`)
      }
      // One that came to nothing, as others had recorded something, says as well that its lease was in force.
      for (const commit of commits) {
        if (commit.fence < grant.fence && commit.begin > grant.end) {
          complain(`a commit under ${commit.fence} succeeded after ${grant.fence} was given to ${grant.worker}`)
        }
      }
    }
    // By the order in which they must have been applied: each fence's own, and then the next.
    const ordered = commits
      .filter((commit): commit is Moving => commit.outcome === "written" && commit.ordinal !== undefined)
      .toSorted((a, b) => a.fence - b.fence || a.begin - b.begin)
    let before: Moving | undefined
    for (const commit of ordered) {
      if (before !== undefined && before.end < commit.begin) {
        if (before.fence !== commit.fence && commit.ordinal <= before.ordinal) {
          complain(`ordinal ${commit.ordinal} under ${commit.fence} after ${before.ordinal} under ${before.fence}`)
        }
        if (commit.ordinal > before.ordinal && commit.position < before.position) {
          complain(`position ${commit.position} under ${commit.fence} after ${before.position} under ${before.fence}`)
        }
      }
      before = commit
    }
    // The consumer is done with a run once, and nothing is written of it after that.
    for (const last of commits.filter(({ facts, outcome }) => outcome === "written" && facts?.includes("Delivered"))) {
      for (const commit of commits) {
        if (commit.begin <= last.end || commit.outcome !== "written") continue
        if (commit.fence !== last.fence)
          complain(`a commit under ${commit.fence} after ${last.fence} had delivered all`)
      }
    }
  }
  return found
}

/** How much of an event is delivered with so many of its updates; all of it with the last one, which has no skip. */
const shareOf = (skip = 0): number => (skip === 0 ? 0.5 : skip / (2 * skip + 2))

/** What was delivered though a position at or beyond it had been written before its worker took the run. */
export const repeated = (
  history: ReadonlyArray<Operation>,
  runId: string,
  lines: ReadonlyArray<Line>
): ReadonlyArray<string> => {
  const done = history.filter((operation): operation is Done => operation.runId === runId && operation.done === true)
  const grants = done.filter(({ what }) => what === "acquire").toSorted((a, b) => a.fence - b.fence)
  const written = done.filter(
    (commit): commit is Moving => commit.outcome === "written" && commit.ordinal !== undefined
  )
  return lines.flatMap(({ at, position, worker }) => {
    const grant = grants.findLast((one) => one.worker === worker && one.end <= at)
    if (grant === undefined) return [`${runId}: ${worker} delivered ${position}, and never had the run`]
    const reached = written
      .filter(({ end, fence }) => fence < grant.fence && end < grant.begin)
      .map((commit) => commit.position + shareOf(commit.skip))
      .reduce((a, b) => Math.max(a, b), -1)
    const [sequence = 0, skip = 0] = position.split(".").map(Number)
    return sequence + shareOf(skip) <= reached
      ? [`${runId}: ${worker} delivered ${position} under ${grant.fence}, and ${reached} was written before`]
      : []
  })
}

type Done = Operation & { readonly end: number; readonly fence: number }
type Moving = Done & { readonly ordinal: number; readonly position: number }
