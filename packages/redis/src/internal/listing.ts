import { Run, type RunRecord, RunState, type TokenStore, type TokenStoreError } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as StoredRun from "./storedRun.ts"

/** The place of a run in a listing: its time of creation and its id. */
interface Place {
  readonly at: string
  readonly id: string
}

/** A run that was found in a shard. */
interface Found {
  readonly place: Place
  readonly record: RunRecord.RunRecord
}

/** The part of a listing that comes from one index of one shard, read up to `from`. */
interface Source<Shard> {
  readonly shard: Shard
  readonly ahead: Array<Found>
  from: Place | undefined
  wanted: number
  over: boolean
}

/** Reads up to `wanted` runs of a shard after a place. */
export type Look<Shard> = (
  shard: Shard,
  from: Place | undefined,
  wanted: number
) => Effect.Effect<ReadonlyArray<unknown>, TokenStoreError.TokenStoreError>

/** One page over all shards, by time of creation. Runs of the same time are in the order of their ids' bytes, as in Redis. */
export const page = Effect.fnUntraced(function* <Shard>(
  shards: ReadonlyArray<Shard>,
  look: Look<Shard>,
  filter: Pick<TokenStore.RunFilter, "cursor" | "labels" | "limit" | "status">,
  unreadable: (shard: Shard, id: Run.RunId) => Effect.Effect<void>
): Effect.fn.Return<TokenStore.Page<RunRecord.RunRecord>, TokenStoreError.TokenStoreError> {
  const limit = Math.max(1, Math.trunc(filter.limit))
  const from = placeOf(filter.cursor)
  if (from === "nowhere") return { items: [] }
  // One run more than the page holds shows that there is a next page. Each shard is likely to have its share of the page.
  const share = Math.ceil((limit + 1) / Math.max(1, shards.length)) + 1
  const isWanted = (record: RunRecord.RunRecord): boolean =>
    filter.status?.includes(RunState.statusOfRecord(record)) ?? true
  const sources = shards.map((shard): Source<Shard> => ({ shard, ahead: [], from, wanted: share, over: false }))
  const ask = Effect.fnUntraced(function* (source: Source<Shard>) {
    const [over, at, last, found] = yield* look(source.shard, source.from, source.wanted)
    source.over = over === "1"
    // If few runs match, the next reads are larger, so that fewer are needed.
    source.wanted = Math.max(source.wanted, Math.min(source.wanted * 2, 128))
    if (Predicate.isString(at) && Predicate.isString(last) && at !== "") source.from = { at, id: last }
    for (const [text, score, shown] of Array.isArray(found) ? found : []) {
      const id = Run.RunId.make(text)
      const record = StoredRun.decode(id, shown)
      if (record._tag === "Failure") yield* unreadable(source.shard, id)
      else if (isWanted(record.success)) source.ahead.push({ place: { at: String(score), id }, record: record.success })
    }
  })

  const found: Array<Found> = []
  // A run that moves from one index to another meanwhile must still be listed once.
  const known = new Set<Run.RunId>()
  while (found.length <= limit) {
    const dry = sources.filter(({ ahead, over }) => ahead.length === 0 && !over)
    if (dry.length > 0) {
      yield* Effect.forEach(dry, ask, { concurrency: "unbounded", discard: true })
      continue
    }
    let first: Source<Shard> | undefined
    for (const source of sources) {
      if (
        source.ahead[0] !== undefined &&
        (first?.ahead[0] === undefined || isBefore(source.ahead[0], first.ahead[0]))
      ) {
        first = source
      }
    }
    const next = first?.ahead.shift()
    if (next === undefined) break
    if (!known.has(next.record.runId)) found.push(next)
    known.add(next.record.runId)
  }
  const last = found[limit - 1]
  const labels = Object.entries(filter.labels ?? {})
  return {
    items: found
      .slice(0, limit)
      .map(({ record }) => record)
      .filter((record) => labels.every(([name, value]) => record.labels?.[name] === value)),
    ...(found.length > limit && last !== undefined ? { cursor: cursorOf(last.place) } : {})
  }
})

const cursorOf = ({ at, id }: Place): string => `${at.padStart(16, "0")}:${id}`

const placeOf = (cursor: string | undefined): Place | undefined | "nowhere" => {
  if (cursor === undefined || cursor === "") return undefined
  const [, at, id] = /^(\d{16}):(.+)$/su.exec(cursor) ?? []
  return at === undefined || id === undefined ? "nowhere" : { at: String(Number(at)), id }
}

const utf8 = new TextEncoder()

const isBefore = (a: Found, b: Found): boolean => {
  if (a.place.at !== b.place.at) return Number(a.place.at) < Number(b.place.at)
  const [x, y] = [utf8.encode(a.place.id), utf8.encode(b.place.id)]
  const first = x.findIndex((byte, i) => byte !== y[i])
  return first === -1 ? x.length < y.length : (x[first] ?? 0) < (y[first] ?? -1)
}
