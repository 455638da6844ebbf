/** The state of a shard: when to look there, and under which name. */
interface Shard {
  readonly name: string
  /** The time of the next look, in milliseconds. */
  at: number
  /** The time of the last look. */
  looked: number
  /** The owner of a claim that is not answered yet. */
  owner: string | undefined
}

/** The timetable of a worker: when it looks for runs in which shard of a store. */
export class Timetable {
  private readonly shards: ReadonlyMap<string, Shard>
  private readonly now: () => number
  private roundAt: number

  constructor(names: ReadonlyArray<string>, now: () => number) {
    this.now = now
    this.roundAt = now()
    this.shards = new Map(
      names.map((name, i) => [name, { name, at: Number.POSITIVE_INFINITY, looked: i - names.length, owner: undefined }])
    )
  }

  of(name: string): Shard {
    return this.shards.get(name)!
  }

  /** The shards with a claim that was not answered. */
  unanswered(): ReadonlyArray<Shard> {
    return Array.from(this.shards.values()).filter(({ owner }) => owner !== undefined)
  }

  /** Takes in a hint: a run may be due in this shard after this many milliseconds. */
  hint(name: string, after: number): void {
    const shard = this.shards.get(name)
    if (shard !== undefined) this.due(shard, after)
  }

  /** Sets the time of the next look at a shard, in milliseconds from now. */
  due(shard: Shard, after: number | undefined): void {
    if (after !== undefined) shard.at = Math.min(shard.at, this.now() + after)
  }

  /** A look at a shard begins: it replaces all that was known of the shard. */
  looks(name: string): Shard {
    const shard = this.of(name)
    shard.at = Number.POSITIVE_INFINITY
    shard.looked = this.now()
    return shard
  }

  /** Sets the time of the next look without a hint, in milliseconds from now, at the next shard in turn. */
  round(after: number): void {
    this.roundAt = this.now() + after
  }

  /** The shard to look at next, the milliseconds until then, and whether it is a look without a hint. */
  next(): { readonly name: string; readonly wait: number; readonly isRound: boolean } | undefined {
    let soonest: Shard | undefined
    let oldest: Shard | undefined
    for (const shard of this.shards.values()) {
      if (soonest === undefined || shard.at < soonest.at) soonest = shard
      if (oldest === undefined || shard.looked < oldest.looked) oldest = shard
    }
    if (soonest === undefined || oldest === undefined) return undefined
    const isRound = this.roundAt < soonest.at
    const shard = isRound ? oldest : soonest
    return { name: shard.name, wait: (isRound ? this.roundAt : shard.at) - this.now(), isRound }
  }
}
