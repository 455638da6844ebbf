import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import { LogFenced, LogGap, LogTruncated } from "../../UpdateLogError.ts"

const utf8 = new TextEncoder()

/** A chunk in a log. Its body can be stored elsewhere. */
export interface Kept extends Omit<Chunk, "body"> {
  /** The size of the body, in bytes. */
  readonly bytes: number
}

/** The size of a text in bytes. */
export const bytesOf = (text: string): number => utf8.encode(text).length

/** Whether a chunk must be appended, or is already there. */
export type Verdict = "new" | "known"

type Place = Omit<Chunk, "body">

const endOf = ({ count, from }: Place): number => from + count

const isSame = (one: Place, other: Place): boolean =>
  one.from === other.from && one.count === other.count && one.epoch === other.epoch && one.ended === other.ended

/**
 * The log of one run: its chunks in order, and the epoch that may write. It is immutable: each change returns another log,
 * which shares the chunks. So a log that is not durable yet costs little, and can be dropped if the write fails.
 */
export class RunLog<A extends Kept> {
  readonly runId: RunId
  readonly epoch: number
  readonly bytes: number
  // Logs that were made from one another share this array. A log is the part of it from `start` to `end`.
  private readonly chunks: Array<A>
  private readonly start: number
  private readonly end: number

  private constructor(runId: RunId, epoch: number, bytes: number, chunks: Array<A>, start: number, end: number) {
    this.runId = runId
    this.epoch = epoch
    this.bytes = bytes
    this.chunks = chunks
    this.start = start
    this.end = end
  }

  /** A log without chunks. */
  static empty<A extends Kept>(runId: RunId, epoch: number): RunLog<A> {
    return new RunLog<A>(runId, epoch, 0, [], 0, 0)
  }

  get last(): A | undefined {
    return this.end > this.start ? this.chunks[this.end - 1] : undefined
  }

  get length(): number {
    return this.last === undefined ? 0 : endOf(this.last)
  }

  get first(): number {
    return this.end > this.start ? this.chunks[this.start]!.from : 0
  }

  get ended(): boolean {
    return this.last?.ended ?? false
  }

  all(): ReadonlyArray<A> {
    return this.chunks.slice(this.start, this.end)
  }

  /** The log after this epoch has opened it. */
  opened(epoch: number): Result.Result<RunLog<A>, LogFenced> {
    if (epoch < this.epoch) return Result.fail(this.fenced(this.epoch))
    return Result.succeed(epoch === this.epoch ? this : this.having(epoch))
  }

  /** Whether a chunk can be appended, or is already there. */
  judge(chunk: Place): Result.Result<Verdict, LogFenced | LogGap> {
    if (chunk.epoch < this.epoch) return Result.fail(this.fenced(this.epoch))
    const { last, length } = this
    if (chunk.count === 0 && last?.count === 0 && isSame(last, chunk)) return Result.succeed("known")
    if (chunk.from === length) return Result.succeed("new")
    const there = chunk.from > length ? undefined : this.holding(chunk.from)
    if (there !== undefined && there.epoch !== chunk.epoch) return Result.fail(this.fenced(there.epoch))
    return there !== undefined && isSame(there, chunk)
      ? Result.succeed("known")
      : Result.fail(new LogGap({ runId: this.runId, length }))
  }

  /** The log with one more chunk, which must begin at its end. */
  with(chunk: A): RunLog<A> {
    // Chunks behind the end belong to a log that was dropped.
    const chunks = this.chunks.length === this.end ? this.chunks : this.chunks.slice(0, this.end)
    chunks.push(chunk)
    const epoch = Math.max(this.epoch, chunk.epoch)
    return new RunLog(this.runId, epoch, this.bytes + chunk.bytes, chunks, this.start, this.end + 1)
  }

  /** At most `limit` chunks with updates, starting with the one that contains the update at an offset. */
  from(offset: number, limit: number): Result.Result<ReadonlyArray<A>, LogTruncated> {
    if (offset < this.first) return Result.fail(new LogTruncated({ runId: this.runId, first: this.first }))
    const found: Array<A> = []
    for (let at = this.indexOf(offset); at < this.end && found.length < limit; at++) {
      const chunk = this.chunks[at]!
      if (chunk.count > 0) found.push(chunk)
    }
    return Result.succeed(found)
  }

  /** The log without the chunks before an offset, and those chunks. */
  truncated(before: number): readonly [RunLog<A>, ReadonlyArray<A>] {
    const newest = this.chunks.findLastIndex(({ count }, i) => i < this.end && count > 0)
    let start = this.start
    while (start < newest && endOf(this.chunks[start]!) <= before) start++
    if (start === this.start) return [this, []]
    const gone = this.chunks.slice(this.start, start)
    const bytes = gone.reduce((left, chunk) => left - chunk.bytes, this.bytes)
    // Dropping chunks from memory copies the others, so it is not done each time.
    const rest = start * 8 > this.end ? this.chunks.slice(start, this.end) : undefined
    return [
      rest === undefined
        ? new RunLog(this.runId, this.epoch, bytes, this.chunks, start, this.end)
        : new RunLog(this.runId, this.epoch, bytes, rest, 0, rest.length),
      gone
    ]
  }

  private having(epoch: number): RunLog<A> {
    return new RunLog(this.runId, epoch, this.bytes, this.chunks, this.start, this.end)
  }

  private holding(offset: number): A | undefined {
    const at = this.indexOf(offset)
    const chunk = at < this.end ? this.chunks[at] : undefined
    return chunk !== undefined && chunk.from <= offset ? chunk : undefined
  }

  /** The index of the first chunk that ends after an offset. */
  private indexOf(offset: number): number {
    let low = this.start
    let high = this.end
    while (low < high) {
      const middle = (low + high) >> 1
      if (endOf(this.chunks[middle]!) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  private fenced(epoch: number): LogFenced {
    return new LogFenced({ runId: this.runId, epoch })
  }
}
