const lineFeed = 10
const carriageReturn = 13
const colon = 58
const space = 32
const letterD = 100

// All bodies share one decoder: each part that it decodes ends with a whole line, so it keeps no state. A decoder with
// state takes 20 KB.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

/** How many of these bytes belong to whole lines. */
const wholeLines = (bytes: Uint8Array): number => {
  const feed = bytes.lastIndexOf(lineFeed)
  // Most bodies have no carriage return, so only the few bytes after the last line feed are searched.
  for (let last = bytes.length - 1; last > feed; last--) if (bytes[last] === carriageReturn) return last + 1
  return feed + 1
}

/** Where the first line ends. The bytes must contain a whole line. */
const firstLine = (bytes: Uint8Array): number => {
  const feed = bytes.indexOf(lineFeed)
  const other = (feed === -1 ? bytes : bytes.subarray(0, feed)).indexOf(carriageReturn)
  return (other === -1 ? feed : other) + 1
}

// Node decodes a longer text five times as slowly: such texts have memory of their own.
const mostBytes = 64 * 1024

/** Where the next part of whole lines ends that is decoded at once. */
const partEnd = (bytes: Uint8Array, from: number, end: number): number => {
  if (end - from <= mostBytes) return end
  const before = bytes.lastIndexOf(lineFeed, from + mostBytes)
  const feed = before > from ? before : bytes.indexOf(lineFeed, from + mostBytes)
  return feed === -1 || feed >= end ? end : feed + 1
}

/**
 * Splits the bytes of one body into the data of its events.
 *
 * It replaces `effect/encoding/Sse` for speed: a run can have hundreds of thousands of deltas, and one array per network
 * read, without an object and a Schema per event, reads about 1.5 times as many of them per second (200,000 deltas over
 * loopback: as fast as splitting the text by hand, while `Sse` reaches two thirds of that). It supports only the part of
 * the format that this API uses: data lines. It skips names, ids and comments.
 */
export class Splitter {
  /** The bytes of a line that has not ended. They are joined once, because a generated image is one line over many reads. */
  private pieces: Array<Uint8Array> = []
  /** The data lines of an event that has not ended with a blank line. */
  private data: string | undefined
  private afterCarriageReturn = false
  private isFirst = true

  /** Returns the data of each event that these bytes complete, in order. */
  push(bytes: Uint8Array): ReadonlyArray<string> {
    const end = wholeLines(bytes)
    if (end === 0) {
      if (bytes.length > 0) this.pieces.push(bytes.slice())
      return []
    }
    const events: Array<string> = []
    const begun = this.pieces.length === 0 ? 0 : firstLine(bytes)
    if (begun > 0) this.lines(joined([...this.pieces, bytes.subarray(0, begun)]), events)
    for (let from = begun, to = from; from < end; from = to) {
      to = partEnd(bytes, from, end)
      this.lines(bytes.subarray(from, to), events)
    }
    // A view instead of a copy would keep the whole read in memory.
    this.pieces = end < bytes.length ? [bytes.slice(end)] : []
    return events
  }

  /** Returns the data of a last event without its blank line. It may be cut short. */
  end(): string | undefined {
    const last = this.decoded(joined(this.pieces))
    this.pieces = []
    this.field(last, 0, last.length)
    const { data } = this
    this.data = undefined
    return data
  }

  private lines(bytes: Uint8Array, events: Array<string>): void {
    const text = this.decoded(bytes)
    let start = 0
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      if (end > start) {
        this.field(text, start, end)
      } else if (this.data !== undefined) {
        events.push(this.data)
        this.data = undefined
      }
      start = end + 1
    }
  }

  private field(text: string, start: number, end: number): void {
    if (text.charCodeAt(start) !== letterD || !text.startsWith("data", start)) return
    let from = start + 4
    if (from < end) {
      if (text.charCodeAt(from) !== colon) return
      from += 1
      if (from < end && text.charCodeAt(from) === space) from += 1
    }
    const value = text.slice(from, end)
    this.data = this.data === undefined ? value : `${this.data}\n${value}`
  }

  private decoded(bytes: Uint8Array): string {
    const text = decoder.decode(bytes)
    const begun = this.isFirst && text.startsWith("\ufeff") ? text.slice(1) : text
    this.isFirst = false
    // A line may end in CR, LF or both, and a CR LF pair may be split over two reads.
    const rest = this.afterCarriageReturn && begun.startsWith("\n") ? begun.slice(1) : begun
    if (begun.length > 0) this.afterCarriageReturn = begun.endsWith("\r")
    return rest.includes("\r") ? rest.replace(/\r\n?/g, "\n") : rest
  }
}
