import * as Struct from "effect/Struct"
import type { Fact, NewFact, RunRecord } from "../../RunRecord.ts"
import { keyOf } from "../record/factKey.ts"

/** The parts of a row, and of a moment, that these functions use. */
interface Row {
  readonly record: RunRecord
  readonly leaseEnd: bigint
  readonly input?: string
}
interface Moment {
  readonly millis: number
}

/** Changes fields of the record in a row. */
export const changed = (row: Row, change: Partial<RunRecord>, now: Moment): Row => ({
  ...row,
  record: { ...row.record, ...change, updatedAt: now.millis }
})

const stamped = (fact: NewFact, now: Moment): Fact => ({ ...fact, at: now.millis })

/** The facts whose keys are not in the journal. */
export const unknownTo = (journal: ReadonlyArray<Fact>, facts: ReadonlyArray<NewFact>): ReadonlyArray<NewFact> => {
  if (facts.length === 0) return facts
  const keys = new Set(journal.map(keyOf))
  return facts.filter((fact) => {
    const key = keyOf(fact)
    if (keys.has(key)) return false
    keys.add(key)
    return true
  })
}

/** Adds facts to a row. They can end the time for which the store keeps the input. */
export const grown = (row: Row, facts: ReadonlyArray<NewFact>, change: Partial<RunRecord>, now: Moment): Row => {
  const added = facts.map((fact) => stamped(fact, now))
  const next = changed(row, { ...change, journal: [...row.record.journal, ...added] }, now)
  return added.some((fact) => endsInput(row.record, fact)) ? withoutInput(next) : next
}

const endsInput = ({ input }: RunRecord, fact: Fact): boolean =>
  (input === "accepted" && fact._tag === "Accepted" && fact.turn === 0) ||
  (input !== undefined && fact._tag === "Ended" && (fact.status === "completed" || fact.status === "incomplete"))

const withoutInput = ({ leaseEnd, record }: Row): Row => ({ leaseEnd, record: Struct.omit(record, ["input"]) })
