import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import { LogFenced, LogGap, LogTruncated } from "../../UpdateLogError.ts"

const utf8 = new TextEncoder()

/** A chunk as a log knows it: its body may lie elsewhere. */
export interface Kept extends Omit<Chunk, "body"> {
  /** How large its body is, in bytes. */
  readonly bytes: number
}

/** How many bytes the body of a chunk takes. */
export const bytesOf = (chunk: Chunk): number => utf8.encode(chunk.body).length

/** What becomes of a chunk that is to be appended. */
export type Verdict = { readonly _tag: "New" } | { readonly _tag: "Known" }

const added: Verdict = { _tag: "New" }
const known: Verdict = { _tag: "Known" }

const endOf = ({ count, from }: Omit<Chunk, "body">): number => from + count

/** The log of one run: its chunks in order, and which epoch may write. */
export class RunLog<A extends Kept> {
  epoch: number
  private readonly runId: RunId
  private chunks: Array<A> = []
  bytes = 0

  constructor(runId: RunId, epoch: number) {
    this.runId = runId
    this.epoch = epoch
  }

  get last(): A | undefined {
    return this.chunks.at(-1)
  }

  get length(): number {
    return this.last === undefined ? 0 : endOf(this.last)
  }

  get first(): number {
    return this.chunks[0]?.from ?? 0
  }

  get ended(): boolean {
    return this.last?.ended ?? false
  }

  all(): ReadonlyArray<A> {
    return this.chunks
  }

  /** Lets this epoch write. */
  open(epoch: number): Result.Result<void, LogFenced> {
    if (epoch < this.epoch) return Result.fail(this.fenced(this.epoch))
    this.epoch = epoch
    return Result.void
  }

  /** Whether a chunk may be appended, or is there already. */
  judge(chunk: Omit<Chunk, "body">): Result.Result<Verdict, LogFenced | LogGap> {
    if (chunk.epoch < this.epoch) return Result.fail(this.fenced(this.epoch))
    const { last, length } = this
    if (chunk.count === 0 && last?.count === 0 && isSame(last, chunk)) return Result.succeed(known)
    if (chunk.from === length) return Result.succeed(added)
    if (chunk.from > length) return Result.fail(new LogGap({ runId: this.runId, length }))
    const there = this.holding(chunk.from)
    if (there === undefined) return Result.fail(new LogGap({ runId: this.runId, length }))
    if (there.epoch !== chunk.epoch) return Result.fail(this.fenced(there.epoch))
    return isSame(there, chunk) ? Result.succeed(known) : Result.fail(new LogGap({ runId: this.runId, length }))
  }

  add(chunk: A): void {
    this.epoch = Math.max(this.epoch, chunk.epoch)
    this.chunks.push(chunk)
    this.bytes += chunk.bytes
  }

  /** The chunks from the one that holds an update on. */
  from(offset: number, limit: number): Result.Result<ReadonlyArray<A>, LogTruncated> {
    if (offset < this.first) return Result.fail(new LogTruncated({ runId: this.runId, first: this.first }))
    const found: Array<A> = []
    for (let at = this.indexOf(offset); at < this.chunks.length && found.length < limit; at++) {
      const chunk = this.chunks[at]!
      if (chunk.count > 0) found.push(chunk)
    }
    return Result.succeed(found)
  }

  /** Removes the chunks that lie before an offset. Answers them. */
  truncate(before: number): ReadonlyArray<A> {
    const newest = this.chunks.findLastIndex(({ count }) => count > 0)
    let removed = 0
    while (removed < newest && endOf(this.chunks[removed]!) <= before) removed++
    const gone = this.chunks.slice(0, removed)
    this.chunks = this.chunks.slice(removed)
    for (const { bytes } of gone) this.bytes -= bytes
    return gone
  }

  private holding(offset: number): A | undefined {
    const chunk = this.chunks[this.indexOf(offset)]
    return chunk !== undefined && chunk.from <= offset ? chunk : undefined
  }

  /** The index of the first chunk that ends after an offset. */
  private indexOf(offset: number): number {
    let low = 0
    let high = this.chunks.length
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

const isSame = (one: Omit<Chunk, "body">, other: Omit<Chunk, "body">): boolean =>
  one.from === other.from && one.count === other.count && one.epoch === other.epoch && one.ended === other.ended
