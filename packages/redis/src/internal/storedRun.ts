import { type Run, RunRecord } from "@effect-baton/core"
import { Predicate, Result, Schema } from "effect"

const decodeRecord = Schema.decodeUnknownResult(Schema.toCodecJson(RunRecord.RunRecord))
const decodeSignalList = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Array(RunRecord.Signal)))

/** A commit's part of the journal, as it is stored. */
export const encodeJournal = Schema.encodeResult(
  Schema.fromJsonString(Schema.toCodecJson(Schema.Array(RunRecord.JournalEntry)))
)

const parse = (text: unknown): Result.Result<unknown, unknown> =>
  Result.try((): unknown => JSON.parse(Predicate.isString(text) ? text : "!"))

/** The signals of a run, as the scripts answer them. */
export const decodeSignals = (text: string): Result.Result<ReadonlyArray<RunRecord.Signal>, unknown> =>
  decodeSignalList(`[${text}]`)

/** A run as the scripts show it: whether its lease is held, the fields of its hash, and its journal. */
export const decode = (id: Run.RunId, shown: unknown): Result.Result<RunRecord.RunRecord, unknown> =>
  Result.gen(function* () {
    const [held, hash, list] = Array.isArray(shown) ? shown : []
    if (!Array.isArray(hash) || !Array.isArray(list)) return yield* Result.fail("it has another form")
    const fields = new Map<unknown, unknown>()
    for (let i = 0; i < hash.length; i += 2) fields.set(hash[i], hash[i + 1])
    const numberOf = (name: string): unknown => {
      const text = fields.get(name)
      return Predicate.isString(text) && text !== "" ? Number(text) : undefined
    }

    const run = yield* parse(fields.get("run"))
    const token = yield* parse(fields.get("token"))
    const signals = yield* parse(`[${String(fields.get("signals"))}]`)
    const journal: Array<unknown> = []
    for (const text of list) {
      const entries = yield* parse(text)
      if (!Array.isArray(entries)) return yield* Result.fail("its journal has another form")
      for (const entry of entries) journal.push(entry)
    }
    const record = yield* decodeRecord({
      ...(Predicate.isObject(run) ? run : {}),
      version: 1,
      status: fields.get("status"),
      ordinal: numberOf("ordinal"),
      token,
      journal,
      signals,
      lease:
        held === "1" ? { owner: fields.get("owner"), fence: numberOf("fence"), expiresAt: numberOf("until") } : null,
      attempts: numberOf("attempts"),
      setAside: fields.has("asideAt") ? { reason: fields.get("reason"), at: numberOf("asideAt") } : null,
      createdAt: numberOf("createdAt"),
      updatedAt: numberOf("updatedAt")
    })
    return record.runId === id ? record : yield* Result.fail("it is another run's")
  })
