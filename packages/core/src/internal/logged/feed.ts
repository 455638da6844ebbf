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
}

// Readers that are further behind read the log. A run whose updates come slowly holds no more than its last second.
const mostEntries = 16
const mostUpdates = 4096

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
  /** What `from` made of the newest entries: many readers are late by the same number of them. */
  private readonly joined = new Map<Entry, Entry>()
  private next: Latch.Latch | undefined

  constructor(length: number, ended: boolean) {
    this.length = length
    this.ended = ended
  }

  /** Adds the updates of a chunk, which may be none. */
  push(entry: Entry, ended: boolean): void {
    // Other updates may stand before those of another epoch than when this process read them.
    if (entry.from !== this.length || this.newest.at(-1)?.epoch !== entry.epoch) this.forget()
    this.length = entry.from + entry.updates.length
    this.ended = ended
    if (entry.updates.length > 0) {
      this.joined.clear()
      this.newest.push(entry)
      this.size += entry.updates.length
      while (this.newest.length > (this.size > mostUpdates ? 1 : mostEntries)) {
        this.size -= this.newest.shift()!.updates.length
      }
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

  /** The entry with the update after this offset; undefined if it is not one of the newest. */
  at(offset: number): Entry | undefined {
    const first = this.newest[0]
    if (first === undefined || offset < first.from || offset >= this.length) return undefined
    return this.newest.findLast(({ from }) => from <= offset)
  }

  /** An entry with all that follow it: a reader that is late catches up with one step, however many it missed. */
  from(entry: Entry): Entry {
    const at = this.newest.indexOf(entry)
    if (at === -1 || at === this.newest.length - 1) return entry
    const known = this.joined.get(entry)
    if (known !== undefined) return known
    const made = { ...entry, updates: this.newest.slice(at).flatMap(({ updates }) => updates) }
    this.joined.set(entry, made)
    return made
  }

  /** Ends at the next change. */
  get changed(): Effect.Effect<void> {
    return Effect.suspend(() => (this.next ??= Latch.makeUnsafe(false)).await)
  }

  private forget(): void {
    this.newest = []
    this.joined.clear()
    this.size = 0
  }

  private tell(): void {
    const { next } = this
    // First, because a fiber that waits may go on at once, and wait for the next change.
    this.next = undefined
    next?.openUnsafe()
  }
}
