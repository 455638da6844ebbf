import { ContinuationToken, type Run, RunRecord, type TokenStore } from "@effect-baton/core"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"

const decodeRecord = Schema.decodeUnknownResult(Schema.toCodecJson(RunRecord.RunRecord))
const decodeFactList = Schema.decodeUnknownResult(Schema.toCodecJson(Schema.Array(RunRecord.Fact)))
const encodeFact = Schema.encodeResult(Schema.toCodecJson(RunRecord.NewFact))

type Encoded = Result.Result<ReadonlyArray<string>, Schema.SchemaError>

/** The facts that are JSON already. A schema would only copy them. */
const plain: ReadonlySet<RunRecord.NewFact["_tag"]> = new Set(["Requested", "Accepted", "CancelSent", "Delivered"])

const jsonOf = (fact: RunRecord.NewFact): Result.Result<unknown, Schema.SchemaError> =>
  plain.has(fact._tag) || (fact._tag === "Ended" && fact.error === undefined) ? Result.succeed(fact) : encodeFact(fact)

const encodeWith = (facts: ReadonlyArray<RunRecord.NewFact>, textOf: (json: unknown) => string): Encoded =>
  Result.map(
    Result.all(facts.map((fact) => Result.map(jsonOf(fact), (json) => [RunRecord.keyOf(fact), textOf(json)]))),
    (all) => all.flat()
  )

/** Encodes facts for the scripts: for each fact its key and its JSON. */
export const encodeFacts = (facts: ReadonlyArray<RunRecord.NewFact>): Encoded =>
  encodeWith(facts, (json) => JSON.stringify(json))

/** Encodes facts of a new run. The script draws the incarnation, and replaces the 0 in their keys and adds it to their JSON. */
export const encodeUnborn = (facts: ReadonlyArray<TokenStore.Unborn>): Encoded =>
  encodeWith(
    facts.map((fact) => ({ ...fact, incarnation: 0 }) as RunRecord.NewFact),
    (json) => JSON.stringify(Predicate.isObject(json) ? Struct.omit(json, ["incarnation"]) : json)
  )

const parse = (text: unknown): Result.Result<unknown, unknown> =>
  Result.try((): unknown => JSON.parse(Predicate.isString(text) ? text : "!"))

// `<at>|<JSON>`
const parseFact = (text: unknown): Result.Result<unknown, unknown> => {
  const [, at, json] = /^(\d+)\|(.*)$/s.exec(Predicate.isString(text) ? text : "") ?? []
  return Result.map(parse(json), (fact) => (Predicate.isObject(fact) ? { ...fact, at: Number(at) } : fact))
}

const parseFacts = (list: unknown): Result.Result<ReadonlyArray<unknown>, unknown> =>
  Array.isArray(list) ? Result.all(list.map(parseFact)) : Result.fail("its journal has another form")

/** Facts that were sent, and their texts from `encodeFacts`. */
export interface Sent {
  readonly facts: ReadonlyArray<RunRecord.NewFact>
  readonly texts: ReadonlyArray<string>
}

/** A fact that was just sent and comes back unchanged, with its time. */
const sentFact = ({ facts, texts }: Sent, text: unknown): RunRecord.Fact | undefined => {
  if (!Predicate.isString(text)) return undefined
  const gap = text.indexOf("|")
  const json = text.slice(gap + 1)
  const fact = facts[facts.findIndex((_, i) => texts[2 * i + 1] === json)]
  return fact === undefined ? undefined : { ...fact, at: Number(text.slice(0, gap)) }
}

/** Decodes the facts in a script's answer. Those that were just sent are not decoded again. */
export const decodeFacts = (
  list: ReadonlyArray<unknown>,
  sent: Sent
): Result.Result<ReadonlyArray<RunRecord.Fact>, unknown> => {
  const known = list.map((text) => sentFact(sent, text))
  const others = list.filter((_, i) => known[i] === undefined)
  if (others.length === 0) return Result.succeed(known.filter((fact) => fact !== undefined))
  return Result.map(
    Result.flatMap(parseFacts(others), (facts) => decodeFactList(facts)),
    (decoded) => {
      let next = 0
      return known.flatMap((fact) => fact ?? decoded[next++] ?? [])
    }
  )
}

/** Decodes a run as the scripts return it: whether its lease is held, the fields of its hash, and its journal. */
export const decode = (id: Run.RunId, shown: unknown): Result.Result<RunRecord.RunRecord, unknown> =>
  Result.gen(function* () {
    const [held, hash, list] = Array.isArray(shown) ? shown : []
    if (!Array.isArray(hash)) return yield* Result.fail("it has another form")
    const fields = new Map<unknown, unknown>()
    for (let i = 0; i < hash.length; i += 2) fields.set(hash[i], hash[i + 1])
    const numberOf = (name: string): unknown => {
      const text = fields.get(name)
      return Predicate.isString(text) && text !== "" ? Number(text) : undefined
    }

    const parsed = yield* parse(fields.get("run"))
    const run = Predicate.isObject(parsed) ? parsed : {}
    const incarnation = numberOf("incarnation")
    const attempts = fields.get("attempts")
    const record = yield* decodeRecord({
      ...run,
      version: 2,
      incarnation,
      journal: yield* parseFacts(list),
      position:
        fields.get("position") === ""
          ? ContinuationToken.start(String(fields.get("agent")), id, Number(incarnation))
          : yield* parse(fields.get("position")),
      ordinal: numberOf("ordinal"),
      handled: fields.get("handled") === "1",
      attempts: Predicate.isString(attempts)
        ? attempts
            .split(",")
            .filter((fence) => fence !== "")
            .map(Number)
        : undefined,
      parked: fields.has("parkedAt") ? { reason: fields.get("reason"), at: numberOf("parkedAt") } : null,
      due: numberOf("due") ?? null,
      lease:
        held === "1" ? { owner: fields.get("owner"), fence: numberOf("fence"), expiresAt: numberOf("until") } : null,
      ...(fields.has("input") ? { input: fields.get("input") } : {}),
      createdAt: numberOf("createdAt"),
      updatedAt: numberOf("updatedAt")
    })
    return record.runId === id ? record : yield* Result.fail("it is another run's")
  })
