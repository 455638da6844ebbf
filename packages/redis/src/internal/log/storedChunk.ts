import type { UpdateLog } from "@effect-baton/core"
import * as Predicate from "effect/Predicate"

const idOf = /^(\d+)-\d+$/
const digits = /^\d+$/

/** Decodes an entry of the stream, `[id, [field, value, ...]]`. `undefined` if it is not a chunk. */
const decode = (entry: unknown): UpdateLog.Chunk | undefined => {
  const [id, fields] = Array.isArray(entry) ? [entry[0], entry[1]] : []
  if (!Array.isArray(fields) || fields.length !== 10 || !fields.every(Predicate.isString)) return undefined
  const [countName, count = "", epochName, epoch = "", endedName, ended, totalName, , bodyName, body = ""] = fields
  const names = [countName, epochName, endedName, totalName, bodyName].join()
  const to = idOf.exec(String(id))?.[1]
  if (names !== "count,epoch,ended,total,body" || to === undefined) return undefined
  if (!digits.test(count) || !digits.test(epoch)) return undefined
  const from = Number(to) - Number(count)
  return from < 0 ? undefined : { from, count: Number(count), epoch: Number(epoch), ended: ended === "1", body }
}

/**
 * Decodes entries of the stream. With `from`, the first one must hold the update at that offset or begin there. `undefined` if
 * one is not a chunk, or a chunk between them is missing.
 */
export const decodeAll = (entries: unknown, from?: number): ReadonlyArray<UpdateLog.Chunk> | undefined => {
  if (!Array.isArray(entries)) return undefined
  const chunks: Array<UpdateLog.Chunk> = []
  let next = from
  for (const entry of entries) {
    const chunk = decode(entry)
    if (chunk === undefined) return undefined
    // The first chunk may begin before `from`.
    const isHere = chunks.length === 0 ? chunk.from <= (next ?? chunk.from) : chunk.from === next
    if (!isHere) return undefined
    next = chunk.from + chunk.count
    chunks.push(chunk)
  }
  return chunks
}
