import type { Fact, NewFact, RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"

/** The journal of a run as far as this process has seen it: always a prefix of the journal in the store. */
export class Journal {
  readonly incarnation: number
  private known: ReadonlyArray<Fact>
  private folded: RunState.RunState | undefined

  constructor({ incarnation, journal }: Pick<RunRecord, "incarnation" | "journal">) {
    this.incarnation = incarnation
    this.known = journal
  }

  get facts(): ReadonlyArray<Fact> {
    return this.known
  }

  /** The number of known facts. */
  get seen(): number {
    return this.known.length
  }

  /** Adds the facts that a store returned for `seen`. Returns whether there were new ones. */
  merge(seen: number, facts: ReadonlyArray<Fact>): boolean {
    if (seen + facts.length <= this.known.length) return false
    this.known = [...this.known.slice(0, seen), ...facts]
    this.folded = undefined
    return true
  }

  state(): RunState.RunState {
    return (this.folded ??= RunState.fold({ incarnation: this.incarnation, journal: this.known }))
  }

  /** The state of the run with these facts added. */
  stateWith(facts: ReadonlyArray<NewFact>): RunState.RunState {
    if (facts.length === 0) return this.state()
    const added = facts.map((fact): Fact => ({ ...fact, at: 0 }))
    return RunState.fold({ incarnation: this.incarnation, journal: [...this.known, ...added] })
  }
}
