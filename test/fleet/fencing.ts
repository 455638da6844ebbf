import type { Operation } from "./history.ts"

/**
 * What in a history of leases and commits breaks the fencing law. Two operations are in order where one was answered
 * before the other was sent; where they overlap, either order is allowed.
 */
export const violations = (history: ReadonlyArray<Operation>): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const [runId, operations] of Map.groupBy(history, ({ runId }) => runId)) {
    const done = operations.filter((operation): operation is Done => operation.done === true)
    const grants = done.filter(({ what }) => what === "acquire")
    const commits = done.filter(({ what }) => what === "commit")
    const complain = (what: string) => void found.push(`${runId}: ${what}`)

    for (const grant of grants) {
      for (const later of grants) {
        if (grant === later || later.begin < grant.end || later.owner === grant.owner) continue
        if (later.fence <= grant.fence) complain(`fence ${later.fence} was given after ${grant.fence}`)
      }
      for (const commit of commits) {
        if (commit.fence < grant.fence && commit.begin > grant.end) {
          complain(`a commit under ${commit.fence} succeeded after ${grant.fence} was given to ${grant.worker}`)
        }
      }
    }
    // By the order in which they must have been applied: each fence's own, and then the next.
    const ordered = commits.toSorted((a, b) => a.fence - b.fence || a.begin - b.begin)
    let before: Done | undefined
    for (const commit of ordered) {
      if (before !== undefined && before.end < commit.begin) {
        if (before.fence !== commit.fence && commit.ordinal! <= before.ordinal!) {
          complain(`ordinal ${commit.ordinal} under ${commit.fence} after ${before.ordinal} under ${before.fence}`)
        }
        if (commit.ordinal! > before.ordinal! && at(commit) < at(before)) {
          complain(`position ${at(commit)} under ${commit.fence} after ${at(before)} under ${before.fence}`)
        }
      }
      before = commit
    }
  }
  return found
}

type Done = Operation & { readonly end: number; readonly fence: number }

const at = ({ position }: Operation): number => position ?? Number.POSITIVE_INFINITY
