import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { Fact, RunRecord } from "../../RunRecord.ts"
import type { RunId } from "../../Run.ts"
import type { Row } from "../../RunKernel.ts"
import { lazily } from "../primitives/lazily.ts"

// A line of the log is `[version, run id, kind, …]`. Every later version keeps these three, so that this version can
// recognise and keep a line that it does not understand, with all other lines of its run. The run id "" is the store's own.
//
//   [2, id, "new", record, input?]        a run is created
//   [2, id, "set", fields, position?, facts?]
//                                         fields of its record changed, fields of its position, and these facts came. The
//                                         field `input` is null if the input is not kept any more, and a field of the
//                                         position if the position no longer has it
//   [2, id, "gone"]                       it was removed
//   [2, "", "fence", number]              no fence or incarnation above this one was given
//
// Leases end with the process. Therefore the ends of leases are not written, only new fences.

const version = 2

const encodeFacts = lazily(() => Schema.encodeResult(Schema.toCodecJson(Schema.Array(Fact))))
// A field that this version does not know would be lost in a rewrite of the log.
const decodeRecord = lazily(() =>
  Schema.decodeUnknownResult(Schema.toCodecJson(RunRecord), { onExcessProperty: "error" })
)

/** The line that creates a run, or contains all of it. */
export const whole = ({ input, record }: Row): Result.Result<string, Schema.SchemaError> =>
  Result.map(record.journal.length === 0 ? Result.succeed([]) : encodeFacts()(record.journal), (journal) =>
    JSON.stringify([version, record.runId, "new", { ...record, journal }, ...(input === undefined ? [] : [input])])
  )

/** The line of a removed run. */
export const gone = (id: RunId): string => JSON.stringify([version, id, "gone"])

/** The line that keeps fences rising. */
export const fence = (highest: number): string => JSON.stringify([version, "", "fence", highest])

const some = (fields: object): boolean => {
  for (const _ in fields) return true
  return false
}

/** The line with the changes of a run; `undefined` if nothing changed that outlives the process. */
export const difference = (
  { record: before }: Row,
  { record: after }: Row
): Result.Result<string | undefined, Schema.SchemaError> => {
  const fields: Record<string, unknown> = {}
  for (const key of Struct.keys(after)) {
    const value = after[key]
    if (value === before[key] || key === "journal" || key === "position") continue
    if (key === "lease" && (after.lease === null || after.lease.fence === before.lease?.fence)) continue
    fields[key] = value
  }
  if (before.input !== undefined && after.input === undefined) fields["input"] = null
  const position: Record<string, unknown> = {}
  for (const key of Struct.keys(after.position)) {
    if (after.position[key] !== before.position[key]) position[key] = after.position[key]
  }
  for (const key of Struct.keys(before.position)) {
    if (after.position[key] === undefined) position[key] = null
  }
  if (after.journal.length > before.journal.length) {
    return Result.map(encodeFacts()(after.journal.slice(before.journal.length)), (facts) =>
      JSON.stringify([version, after.runId, "set", fields, position, facts])
    )
  }
  if (some(position)) return Result.succeed(JSON.stringify([version, after.runId, "set", fields, position]))
  return Result.succeed(some(fields) ? JSON.stringify([version, after.runId, "set", fields]) : undefined)
}

/** The content of a log: its runs, its highest fence, and the ids of runs that a later version of Baton wrote. */
export interface Replay {
  readonly visit: (payload: string, bytes: number) => void
  /** The runs in lines since the last call, with their rows; undefined if a run was removed or cannot be read. */
  readonly changes: () => ReadonlyArray<{ readonly id: RunId; readonly row: Row | undefined }>
  readonly finish: () => {
    readonly rows: ReadonlyArray<{ readonly row: Row; readonly bytes: number }>
    readonly fence: number
    readonly newer: ReadonlySet<string>
    /** Whether there is a line that Baton did not write, although its checksum is right. */
    readonly foreign: boolean
  }
}

interface Stored {
  fields: Record<string, unknown>
  input: unknown
  journal: Array<unknown>
  bytes: number
}

/** The run id of a line. */
export const runOf = (payload: string): string | undefined =>
  Result.match(parse(payload), { onFailure: () => undefined, onSuccess: ([, id]) => id })

const parse = (payload: string): Result.Result<readonly [number, string, ...Array<unknown>], unknown> =>
  Result.flatMap(
    Result.try((): unknown => JSON.parse(payload)),
    (line) =>
      Array.isArray(line) && Predicate.isNumber(line[0]) && Predicate.isString(line[1])
        ? Result.succeed([line[0], line[1], ...line.slice(2)] as const)
        : Result.fail(undefined)
  )

/** Reads lines, from the first to the last, into the state that they describe. */
export const replay = (): Replay => {
  const runs = new Map<string, Stored>()
  const newer = new Set<string>()
  const touched = new Set<string>()
  let highest = 0
  let foreign = false

  // Fences and incarnations come from one counter.
  const raise = ({ incarnation, lease }: Record<string, unknown>) => {
    const leased = Predicate.hasProperty(lease, "fence") ? lease.fence : undefined
    for (const given of [incarnation, leased]) if (Predicate.isNumber(given)) highest = Math.max(highest, given)
  }

  const rowOf = (id: string): Row | undefined => {
    const run = runs.get(id)
    if (run === undefined || newer.has(id)) return undefined
    // The leases of the process that wrote this have ended with it.
    const record = decodeRecord()({ ...run.fields, journal: run.journal, lease: null })
    if (Result.isFailure(record) || record.success.runId !== id) {
      newer.add(id)
      return undefined
    }
    const kept = Predicate.isString(run.input) && record.success.input !== undefined ? { input: run.input } : {}
    return { record: record.success, leaseEnd: 0n, ...kept }
  }

  return {
    visit: (payload, bytes) => {
      const line = parse(payload)
      if (Result.isFailure(line)) {
        foreign = true
        return
      }
      const [of, id, what, first, second, third] = line.success
      touched.add(id)
      const run = runs.get(id)
      if (of !== version) {
        newer.add(id)
      } else if (what === "new" && Predicate.isObject(first)) {
        const { journal, ...fields } = { journal: [], ...first }
        raise(fields)
        runs.set(id, { fields, input: second, journal: Array.isArray(journal) ? [...journal] : [journal], bytes })
      } else if (what === "set" && Predicate.isObject(first) && run !== undefined) {
        const fields = { ...first }
        raise(fields)
        Object.assign(run.fields, fields)
        if (fields["input"] === null) {
          delete run.fields["input"]
          run.input = undefined
        }
        if (Predicate.isObject(second) && some(second)) {
          const { position } = run.fields
          const changed = Object.entries({ ...(Predicate.isObject(position) ? position : {}), ...second })
          run.fields.position = Object.fromEntries(changed.filter(([, value]) => value !== null))
        }
        if (Array.isArray(third)) {
          for (const fact of third) run.journal.push(fact)
          run.bytes += bytes
        }
      } else if (what === "gone") {
        runs.delete(id)
      } else if (what === "fence" && id === "" && Predicate.isNumber(first)) {
        highest = Math.max(highest, first)
      } else {
        newer.add(id)
      }
    },
    changes: () => {
      const changed = Array.from(touched, (id) => ({ id: id as RunId, row: rowOf(id) }))
      touched.clear()
      return changed
    },
    finish: () => {
      const rows: Array<{ readonly row: Row; readonly bytes: number }> = []
      for (const [id, { bytes }] of runs) {
        const row = rowOf(id)
        if (row !== undefined) rows.push({ row, bytes })
      }
      return { rows, fence: highest, newer, foreign }
    }
  }
}
