import type { RunId } from "../Run.ts"
import type { RunRecord } from "../RunRecord.ts"

/** Which run opened a response. If several runs did, which adopting a response twice can do, it is the first of them. */
export interface ResponseIndex {
  readonly find: (responseId: string) => RunId | undefined
  /** Follows a run from one record to the next: undefined if it was not there before, or is not there any more. */
  readonly update: (id: RunId, before: RunRecord | undefined, after: RunRecord | undefined) => void
}

export const make = (): ResponseIndex => {
  const runs = new Map<string, ReadonlyArray<RunId>>()

  const add = (id: RunId, record: RunRecord, from: number) => {
    for (let index = from; index < record.journal.length; index++) {
      const fact = record.journal[index]
      if (fact?._tag !== "Accepted") continue
      runs.set(fact.responseId, [...(runs.get(fact.responseId) ?? []), id])
    }
  }
  const drop = (id: RunId, record: RunRecord) => {
    for (const fact of record.journal) {
      if (fact._tag !== "Accepted") continue
      const others = (runs.get(fact.responseId) ?? []).filter((other) => other !== id)
      if (others.length === 0) runs.delete(fact.responseId)
      else runs.set(fact.responseId, others)
    }
  }

  return {
    find: (responseId) => runs.get(responseId)?.[0],
    update: (id, before, after) => {
      // A journal only grows, unless the run was removed and created again.
      const isSame = before !== undefined && before.incarnation === after?.incarnation
      if (before !== undefined && !isSame) drop(id, before)
      if (after !== undefined) add(id, after, isSame ? before.journal.length : 0)
    }
  }
}
