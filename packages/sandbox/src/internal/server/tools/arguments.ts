import * as Predicate from "effect/Predicate"
import { isJson, type Json, jsonsOf, stringOf, stringsOf } from "../json.ts"
import { resolveRef } from "./schemaRefs.ts"
import { type Said, saidIn } from "./said.ts"
import { textFor } from "./textValue.ts"
import { mentions } from "./words.ts"

// Below this depth, alternatives that end a recursion are taken.
const deep = 4

// Schemas that cannot end must not keep the server busy for ever.
const deepest = 24

interface Making {
  readonly root: Json
  readonly said: Said
  /** How many names and numbers of the prompt were used. */
  readonly used: { names: number; numbers: number }
}

interface At {
  readonly field: string
  readonly depth: number
  /** How many values like this one were made before it, for arrays of unique items. */
  readonly variant: number
}

const numberOf = (value: unknown): number | undefined => (Predicate.isNumber(value) ? value : undefined)

const numberFor = (making: Making, schema: Json, at: At): number => {
  const integer = typesOf(schema).includes("integer")
  const multiple = numberOf(schema["multipleOf"]) ?? (integer ? 1 : undefined)
  const step = multiple ?? 1
  const exclusiveLow = numberOf(schema["exclusiveMinimum"])
  const exclusiveHigh = numberOf(schema["exclusiveMaximum"])
  const low = numberOf(schema["minimum"]) ?? Number.NEGATIVE_INFINITY
  const high = numberOf(schema["maximum"]) ?? Number.POSITIVE_INFINITY
  const fits = (value: number) =>
    value >= low &&
    value <= high &&
    value > (exclusiveLow ?? Number.NEGATIVE_INFINITY) &&
    value < (exclusiveHigh ?? Number.POSITIVE_INFINITY) &&
    (multiple === undefined || Number.isInteger(value / multiple))
  const named = Number(making.said.named(at.field))
  if (at.variant === 0 && !Number.isNaN(named) && fits(named)) return named
  const { numbers } = making.said
  const next = numbers.findIndex((value, index) => index >= making.used.numbers && fits(value))
  if (next >= 0) {
    making.used.numbers = next + 1
    return numbers[next] ?? 0
  }
  const from = Math.max(low, exclusiveLow ?? Number.NEGATIVE_INFINITY)
  const to = Math.min(high, exclusiveHigh ?? Number.POSITIVE_INFINITY)
  const onStep = (value: number) => Math.ceil(value / step) * step
  const start = Number.isFinite(from) ? from : Number.isFinite(to) ? Math.min(1, to - at.variant * step) : 1
  const candidates = [
    onStep(start) + at.variant * step,
    onStep(start) + (at.variant + 1) * step,
    Math.floor(to / step) * step - at.variant * step,
    from + ((to - from) * (at.variant + 1)) / 64,
    to - 1 - at.variant
  ]
  return candidates.find((value) => Number.isFinite(value) && fits(value)) ?? start
}

const typesOf = (schema: Json): ReadonlyArray<string> => {
  const type = stringOf(schema["type"])
  if (type !== undefined) return [type]
  const types = stringsOf(schema["type"])
  if (types.length > 0) return types
  if (schema["properties"] !== undefined || schema["required"] !== undefined) return ["object"]
  if (schema["items"] !== undefined || schema["prefixItems"] !== undefined) return ["array"]
  if (schema["minimum"] !== undefined || schema["maximum"] !== undefined) return ["number"]
  return ["string"]
}

const both = (all: Json, part: Json): Json => {
  const properties =
    isJson(all["properties"]) && isJson(part["properties"])
      ? { properties: { ...all["properties"], ...part["properties"] } }
      : {}
  const required =
    Array.isArray(all["required"]) && Array.isArray(part["required"])
      ? { required: [...all["required"], ...part["required"]] }
      : {}
  return { ...all, ...part, ...properties, ...required }
}

const merged = (making: Making, schema: Json): Json => {
  const { allOf, ...rest } = schema
  return allOf === undefined
    ? schema
    : jsonsOf(allOf)
        .map((part) => whole(making, part))
        .reduce(both, rest)
}

/** The schema with its reference and its `allOf` resolved. */
const whole = (making: Making, schema: Json, hops = 0): Json => {
  const ref = stringOf(schema["$ref"])
  if (ref === undefined || hops > deepest) return merged(making, schema)
  const { $ref: _, ...beside } = schema
  return whole(making, { ...resolveRef(making.root, ref), ...beside }, hops + 1)
}

const endsRecursion = (schema: Json): boolean =>
  typesOf(schema).some((type) => type !== "object" && type !== "array") && schema["$ref"] === undefined

const alternative = (making: Making, schemas: ReadonlyArray<Json>, at: At): Json => {
  const resolved = schemas.map((schema) => (at.depth > deep ? schema : whole(making, schema)))
  const isNull = (schema: Json) => typesOf(schema).every((type) => type === "null")
  const preferred =
    at.depth > deep
      ? (resolved.find(isNull) ?? resolved.find(endsRecursion))
      : resolved.find((schema) => schema["type"] === undefined || !isNull(schema))
  return preferred ?? resolved[0] ?? {}
}

const arrayFor = (making: Making, schema: Json, at: At): ReadonlyArray<unknown> => {
  const first = jsonsOf(schema["prefixItems"])
  const items = isJson(schema["items"]) ? schema["items"] : undefined
  const most = numberOf(schema["maxItems"]) ?? Number.POSITIVE_INFINITY
  const wanted = at.depth > deep || items === undefined ? 0 : 1
  const count = Math.min(Math.max(numberOf(schema["minItems"]) ?? wanted, first.length), most)
  return Array.from({ length: count }, (_, index) =>
    valueFor(making, first[index] ?? items ?? {}, {
      field: at.field,
      depth: at.depth + 1,
      variant: first[index] === undefined ? index - first.length : 0
    })
  )
}

const objectFor = (making: Making, schema: Json, at: At): Json => {
  const properties = isJson(schema["properties"]) ? schema["properties"] : {}
  return Object.fromEntries(
    stringsOf(schema["required"]).map((key) => {
      const property = properties[key]
      const inside = { field: key, depth: at.depth + 1, variant: at.variant }
      return [key, valueFor(making, isJson(property) ? property : {}, inside)]
    })
  )
}

const chosen = (making: Making, values: ReadonlyArray<unknown>, at: At): unknown =>
  at.variant === 0
    ? (values.find((value) => Predicate.isString(value) && mentions(making.said.text, value)) ?? values[0])
    : values[at.variant % values.length]

const valueFor = (making: Making, unresolved: Json, at: At): unknown => {
  if (at.depth > deepest) return null
  const schema = whole(making, unresolved)
  if ("const" in schema) return schema["const"]
  if (Array.isArray(schema["enum"]) && schema["enum"].length > 0) return chosen(making, schema["enum"], at)
  if ("default" in schema && at.variant === 0) return schema["default"]
  const alternatives = jsonsOf(schema["anyOf"] ?? schema["oneOf"])
  if (alternatives.length > 0) {
    const { anyOf: _, oneOf: __, ...beside } = schema
    return valueFor(making, { ...beside, ...alternative(making, alternatives, at) }, { ...at, depth: at.depth + 1 })
  }
  const types = typesOf(schema)
  const type = at.depth > deep && types.includes("null") ? "null" : types.find((one) => one !== "null")
  switch (type) {
    case "object":
      return objectFor(making, schema, at)
    case "array":
      return arrayFor(making, schema, at)
    case "integer":
    case "number":
      return numberFor(making, schema, at)
    case "boolean":
      return at.variant % 2 === 0
    case "string":
      return textFor(making.said, schema, at, () => making.used.names++)
    default:
      return null
  }
}

/** Arguments that fit a schema, with what the prompt says where that is possible. */
export const argumentsFor = (parameters: Json, prompt: string): Json => {
  const making: Making = { root: parameters, said: saidIn(prompt), used: { names: 0, numbers: 0 } }
  const value = valueFor(making, parameters, { field: "", depth: 0, variant: 0 })
  return isJson(value) ? value : {}
}
