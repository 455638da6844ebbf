/** When to look at a shard, and under which name. */
interface Shard {
  readonly name: string
  /** When to look at it next, in milliseconds. */
  at: number
  /** When it was looked at last. */
  looked: number
  /** Who asked for runs and has no answer yet. */
  owner: string | undefined
}

/** When a worker looks at which shard of a store. */
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

  /** Shards that were asked for runs and did not answer. */
  unanswered(): ReadonlyArray<Shard> {
    return Array.from(this.shards.values()).filter(({ owner }) => owner !== undefined)
  }

  /** There may be work in a shard in so many milliseconds. */
  hint(name: string, after: number): void {
    const shard = this.shards.get(name)
    if (shard !== undefined) this.due(shard, after)
  }

  /** A shard is looked at in so many milliseconds at the latest. */
  due(shard: Shard, after: number | undefined): void {
    if (after !== undefined) shard.at = Math.min(shard.at, this.now() + after)
  }

  /** A shard is being looked at: what was known of it counts no more. */
  looks(name: string): Shard {
    const shard = this.of(name)
    shard.at = Number.POSITIVE_INFINITY
    shard.looked = this.now()
    return shard
  }

  /** The next turn of the round comes in so many milliseconds. */
  round(after: number): void {
    this.roundAt = this.now() + after
  }

  /** Which shard to look at next, in how many milliseconds, and whether it is its turn of the round. */
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
