import * as Effect from "effect/Effect"
import { TokenStoreError } from "../../TokenStoreError.ts"
import type { Held } from "../file/appendLog.ts"
import * as LogFormat from "../file/logFormat.ts"
import type { Place } from "./filedRun.ts"

/** Lines that are so close to each other that one read gets them all. */
interface Span {
  readonly at: number
  end: number
  readonly places: Array<Readonly<Place>>
}

// To read this much between two lines costs less than a second read.
const closest = 16 * 1024
const longest = 1 << 20

/** Groups lines, which must be in the order of the file, into spans. Copies their places as they are now. */
export const spansOf = (places: ReadonlyArray<Place>): ReadonlyArray<Span> => {
  const spans: Array<Span> = []
  let span: Span | undefined
  for (const { at, size } of places) {
    const end = at + size
    if (span === undefined || at - span.end > closest || end - span.at > longest) {
      span = { at, end, places: [] }
      spans.push(span)
    }
    span.end = end
    span.places.push({ at, size })
  }
  return spans
}

/** Reads the lines of a span, and checks their checksums. */
export const linesOf = Effect.fnUntraced(function* (
  held: Held,
  { at: start, end, places }: Span,
  path: string
): Effect.fn.Return<ReadonlyArray<string>, TokenStoreError> {
  const bytes = yield* held.read(start, end - start)
  const found: Array<string> = []
  const reader = LogFormat.reader((payload) => found.push(payload))
  reader.feed(LogFormat.header)
  for (const { at, size } of places) {
    const before = found.length
    reader.feed(bytes.subarray(at - start, at - start + size))
    if (found.length !== before + 1) {
      return yield* new TokenStoreError({
        operation: "read",
        kind: "corrupt",
        description: `'${path}' is damaged at byte ${at}: this process wrote another line there. Restore it from a backup.`
      })
    }
  }
  return found
})
