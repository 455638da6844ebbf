import { crc32 } from "./checksum.ts"

// A log is a header and lines, each `<checksum> <synced> <payload>`: the CRC-32, as eight hex digits, of all after it,
// how many bytes of the log were known to be on the disk when the line was written, and one line of text.
//
// A crash can damage bytes that were written since the last sync, which were not reported as durable: a damaged line there
// is an incomplete write. A damaged line below the `synced` of a later line is damage to durable data.

const newline = 10
const space = 32
const utf8 = new TextEncoder()
const text = new TextDecoder()

// Every later version must read this header: a later format changes only the number.
const prefix = "baton-log/"
const version = 1

/** The header of a log of this version. */
export const header: Uint8Array = utf8.encode(`${prefix}${version}\n`)

const digits = utf8.encode("0123456789abcdef")

/** Encodes the lines of a batch, while `synced` bytes of the log are known to be on the disk. */
export const encode = (payloads: ReadonlyArray<string>, synced: number): Uint8Array => {
  const front = `00000000 ${synced} `
  let lines = ""
  for (const payload of payloads) lines += front + payload + "\n"
  const bytes = utf8.encode(lines)
  let from = 0
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, from)) {
    const checksum = crc32(bytes, from + 9, end)
    for (let i = 0; i < 8; i++) bytes[from + i] = digits[(checksum >>> (28 - 4 * i)) & 15] ?? 0
    from = end + 1
  }
  return bytes
}

interface Line {
  readonly synced: number
  readonly payload: string
}

const decode = (bytes: Uint8Array, from: number, to: number): Line | undefined => {
  if (to - from < 12 || bytes[from + 8] !== space) return undefined
  const checksum = text.decode(bytes.subarray(from, from + 8))
  if (!/^[0-9a-f]{8}$/.test(checksum) || Number.parseInt(checksum, 16) !== crc32(bytes, from + 9, to)) return undefined
  const gap = bytes.indexOf(space, from + 9)
  if (gap < 0 || gap >= to) return undefined
  return {
    synced: Number(text.decode(bytes.subarray(from + 9, gap))),
    payload: text.decode(bytes.subarray(gap + 1, to))
  }
}

/** The verdict on a log. `length` is the number of sound bytes. */
export type Verdict =
  | { readonly _tag: "Intact"; readonly length: number }
  | { readonly _tag: "Torn"; readonly length: number }
  | { readonly _tag: "Damaged"; readonly offset: number }
  | { readonly _tag: "Newer"; readonly version: string }
  | { readonly _tag: "Foreign" }

/** Reads a log in pieces. */
export interface Reader {
  readonly feed: (bytes: Uint8Array) => void
  readonly finish: () => Verdict
}

/** Reads a log, and calls `visit` with each sound line before the first damaged one. */
export const reader = (visit: (payload: string, bytes: number) => void): Reader => {
  let rest = new Uint8Array(0)
  let offset = 0
  let verdict: Verdict | undefined
  let bad: { readonly offset: number; zeros: boolean } | undefined

  const first = (bytes: Uint8Array, end: number): void => {
    const line = text.decode(bytes.subarray(0, end))
    if (line === `${prefix}${version}`) return
    verdict =
      line.startsWith(prefix) && /^\d+$/.test(line.slice(prefix.length))
        ? { _tag: "Newer", version: line.slice(prefix.length) }
        : { _tag: "Foreign" }
  }
  const next = (bytes: Uint8Array, from: number, end: number): void => {
    const line = decode(bytes, from, end)
    if (line === undefined) {
      bad ??= { offset: offset + from, zeros: false }
      bad.zeros ||= hasZero(bytes, from, end)
    } else if (bad === undefined) {
      visit(line.payload, end + 1 - from)
    } else if (line.synced > bad.offset || !bad.zeros) {
      // With sound lines after it, a damaged line was durable, or is not a hole that a power failure left in an unfinished
      // write.
      verdict = { _tag: "Damaged", offset: bad.offset }
    }
  }

  return {
    feed: (chunk) => {
      if (verdict !== undefined) return
      const bytes = new Uint8Array(rest.length + chunk.length)
      bytes.set(rest)
      bytes.set(chunk, rest.length)
      let from = 0
      for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, from)) {
        if (offset + from === 0) first(bytes, end)
        else next(bytes, from, end)
        if (verdict !== undefined) return
        from = end + 1
      }
      rest = bytes.subarray(from)
      offset += from
    },
    finish: () => {
      if (verdict !== undefined) return verdict
      if (bad !== undefined) return { _tag: "Torn", length: bad.offset }
      if (rest.length === 0) return { _tag: "Intact", length: offset }
      if (offset > 0) return { _tag: "Torn", length: offset }
      // Without a whole header, a crash came while the log was created, or the file is not a log.
      return rest.every((byte, i) => byte === 0 || byte === header[i])
        ? { _tag: "Torn", length: 0 }
        : { _tag: "Foreign" }
    }
  }
}

const hasZero = (bytes: Uint8Array, from: number, to: number): boolean => {
  const at = bytes.indexOf(0, from)
  return at >= 0 && at < to
}
