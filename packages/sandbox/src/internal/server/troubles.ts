import type { Operation, Trouble, TroubleOf } from "../../SandboxTrouble.ts"

interface Entry {
  readonly trouble: Trouble
  struck: number
}

/**
 * The troubles of a server, a response or a request, and how many times each
 * struck.
 */
export class TroubleSet {
  entries: ReadonlyArray<Entry>

  constructor(troubles: ReadonlyArray<Trouble> = []) {
    this.entries = troubles.map((trouble) => ({ trouble, struck: 0 }))
  }

  add(troubles: ReadonlyArray<Trouble>): void {
    this.entries = [...this.entries, ...troubles.map((trouble) => ({ trouble, struck: 0 }))]
  }
}

/** A trouble that is due. `strike` returns whether its `times` still allow it. */
export interface Armed<Tag extends Trouble["_tag"]> {
  readonly trouble: TroubleOf<Tag>
  readonly strike: () => boolean
}

const spent = (entry: Entry): boolean => entry.trouble.times !== undefined && entry.struck >= entry.trouble.times

/**
 * The troubles that apply to one request: first its own, then those of its
 * response, then those of the server.
 */
export class Troubles {
  readonly operation: Operation
  readonly counts: Map<string, number>
  readonly sets: Array<TroubleSet>

  constructor(operation: Operation, counts: Map<string, number>, sets: ReadonlyArray<TroubleSet>) {
    this.operation = operation
    this.counts = counts
    this.sets = [...sets]
  }

  /** Adds the troubles of the response, after those of the request and before those of the server. */
  include(set: TroubleSet): void {
    this.sets.splice(this.sets.length - 1, 0, set)
  }

  /** Finds a trouble without a strike, because its moment may never come. */
  arm<Tag extends Trouble["_tag"]>(tag: Tag): Armed<Tag> | undefined {
    for (const set of this.sets) {
      for (const entry of set.entries) {
        const { trouble } = entry
        if (trouble._tag !== tag || spent(entry) || (trouble.on !== undefined && trouble.on !== this.operation)) {
          continue
        }
        return {
          trouble: trouble as TroubleOf<Tag>,
          strike: () => {
            // Another connection may have used the last strike meanwhile.
            if (spent(entry)) return false
            entry.struck++
            this.counts.set(tag, (this.counts.get(tag) ?? 0) + 1)
            return true
          }
        }
      }
    }
    return undefined
  }

  /** Finds a trouble and strikes at once. */
  strike<Tag extends Trouble["_tag"]>(tag: Tag): TroubleOf<Tag> | undefined {
    const armed = this.arm(tag)
    return armed !== undefined && armed.strike() ? armed.trouble : undefined
  }
}
