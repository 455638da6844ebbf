import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"

/** The updates of one chunk of a log. */
export interface Entry {
  /** The number of updates before these. */
  readonly from: number
  readonly epoch: number
  readonly updates: ReadonlyArray<AgentUpdate>
  /** The length of the chunk that has them, in characters. */
  readonly length: number
}

// What every feed keeps, and how many bytes it keeps at most. Readers that are further behind read the log.
const leastEntries = 16
const mostBytes = 1024 * 1024

// What an update of a few letters takes in memory was measured: 213 bytes.
const bytesOf = ({ length, updates }: Entry): number => length + updates.length * 200

/** About how many bytes feeds may keep together, beyond what each of them keeps anyway. */
export class Allowance {
  left: number

  constructor(bytes: number) {
    this.left = bytes
  }
}

/** The end of a log as this process knows it, and its newest updates, for everybody here who reads the run. */
export class Feed {
  /** The number of updates in the log. */
  length: number
  /** Whether the newest chunk says that the run has ended. */
  ended: boolean
  /** How reading ends after the last update; undefined while more can follow. */
  exit: Exit.Exit<void, AgentError> | undefined
  private newest: Array<Entry> = []
  private size = 0
  /** The bytes that it keeps of the allowance. */
  private taken = 0
  /** What `from` made of the newest entries: many readers are late by the same number of them. */
  private readonly joined = new Map<Entry, Entry>()
  private next: Latch.Latch | undefined
  private readonly allowance: Allowance | undefined

  constructor(length: number, ended: boolean, allowance?: Allowance) {
    this.length = length
    this.ended = ended
    this.allowance = allowance
  }

  /**
   * Adds the updates of a chunk, which may be none. `follows` says whether what this feed keeps still stands before them.
   * That must be known before those of another epoch: the log may have lost it, and have other updates there.
   */
  push(entry: Entry, ended: boolean, follows: boolean): void {
    if (entry.from !== this.length || !follows) this.forget()
    this.length = entry.from + entry.updates.length
    this.ended = ended
    if (entry.updates.length > 0) {
      this.joined.clear()
      this.newest.push(entry)
      this.size += bytesOf(entry)
      this.trim()
    }
    this.tell()
  }

  /** The log is shorter than it was: its place lost a part of it. */
  shrink(length: number): void {
    this.forget()
    this.length = length
    this.tell()
  }

  /** Nothing follows. */
  finish(exit: Exit.Exit<void, AgentError>): void {
    this.exit ??= exit
    this.tell()
  }

  /** The epoch of the newest update, if this feed keeps it. */
  get epoch(): number | undefined {
    return this.newest.at(-1)?.epoch
  }

  /** The entry with the update after this offset; undefined if it is not one of the newest. */
  at(offset: number): Entry | undefined {
    const first = this.newest[0]
    if (first === undefined || offset < first.from || offset >= this.length) return undefined
    return this.newest.findLast(({ from }) => from <= offset)
  }

  /** An entry with all of its epoch that follow it: a reader that is late catches up with one step. */
  from(entry: Entry): Entry {
    if (entry === this.newest.at(-1)) return entry
    const known = this.joined.get(entry)
    if (known !== undefined) return known
    const some = this.newest.slice(this.newest.indexOf(entry)).filter(({ epoch }) => epoch === entry.epoch)
    const made = { ...entry, updates: some.flatMap(({ updates }) => updates) }
    this.joined.set(entry, made)
    return made
  }

  /** Ends at the next change. */
  get changed(): Effect.Effect<void> {
    return Effect.suspend(() => (this.next ??= Latch.makeUnsafe(false)).await)
  }

  /** Lets go of everything that it keeps. */
  forget(): void {
    this.newest = []
    this.joined.clear()
    this.size = 0
    this.take(0)
  }

  private trim(): void {
    while (this.newest.length > 1 && this.size > mostBytes) this.drop()
    while (this.newest.length > leastEntries && !this.take(this.size)) this.drop()
    if (this.newest.length <= leastEntries) this.take(0)
  }

  private drop(): void {
    this.size -= bytesOf(this.newest.shift()!)
  }

  /** Takes so many bytes of the allowance, in place of those that it has. Returns whether there are so many. */
  private take(bytes: number): boolean {
    const { allowance, taken } = this
    if (allowance === undefined) return bytes === 0
    if (bytes - taken > allowance.left) return false
    allowance.left -= bytes - taken
    this.taken = bytes
    return true
  }

  private tell(): void {
    const { next } = this
    // First, because a fiber that waits may go on at once, and wait for the next change.
    this.next = undefined
    next?.openUnsafe()
  }
}
