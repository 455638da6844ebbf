import { isJson, type Json, stringOf, stringsOf } from "../json.ts"
import { resolveRef } from "./schemaRefs.ts"

type Path = ReadonlyArray<string>

// The API prints the place in a schema as a tuple of Python.
const inContext = (path: Path, problem: string): string => {
  const steps = path.map((step) => `'${step}'`)
  return `In context=(${steps.length === 1 ? `${steps[0]},` : steps.join(", ")}), ${problem}`
}

const notPermitted = [
  "oneOf",
  "allOf",
  "not",
  "if",
  "then",
  "else",
  "dependentRequired",
  "dependentSchemas",
  "patternProperties",
  "propertyNames",
  "minProperties",
  "maxProperties",
  "unevaluatedProperties",
  "unevaluatedItems",
  "contains",
  "uniqueItems"
]

const objectProblem = (schema: Json, path: Path): string | undefined => {
  const properties = isJson(schema["properties"]) ? Object.keys(schema["properties"]) : []
  if (schema["additionalProperties"] !== false) {
    return inContext(path, "'additionalProperties' is required to be supplied and to be false.")
  }
  const required = stringsOf(schema["required"])
  const mustList = "'required' is required to be supplied and to be an array including every key in properties."
  const missing = properties.find((key) => !required.includes(key))
  if (missing !== undefined) return inContext(path, `${mustList} Missing '${missing}'.`)
  const extra = required.find((key) => !properties.includes(key))
  return extra === undefined ? undefined : inContext(path, `${mustList} Extra required key '${extra}' supplied.`)
}

const typesOf = (schema: Json): ReadonlyArray<string> => {
  const type = stringOf(schema["type"])
  return type === undefined ? stringsOf(schema["type"]) : [type]
}

const membersOf = (schema: Json, path: Path): ReadonlyArray<readonly [unknown, Path]> => [
  ...["properties", "$defs", "definitions"].flatMap((key) => {
    const group = schema[key]
    return isJson(group) ? Object.entries(group).map(([name, one]) => [one, [...path, key, name]] as const) : []
  }),
  ...(schema["items"] === undefined ? [] : [[schema["items"], [...path, "items"]] as const]),
  ...["anyOf", "prefixItems"].flatMap((key) => {
    const group = schema[key]
    return Array.isArray(group) ? group.map((one: unknown, at) => [one, [...path, key, String(at)]] as const) : []
  })
]

const schemaProblem = (root: Json, schema: unknown, path: Path): string | undefined => {
  if (!isJson(schema)) return inContext(path, "schema must be an object.")
  const refused = notPermitted.find((key) => schema[key] !== undefined)
  if (refused !== undefined) return inContext(path, `'${refused}' is not permitted.`)
  const ref = stringOf(schema["$ref"])
  if (ref !== undefined) {
    return resolveRef(root, ref) === undefined
      ? inContext(path, `reference to component '${ref}' which was not found in the schema.`)
      : undefined
  }
  const types = typesOf(schema)
  if (types.length === 0 && !["anyOf", "enum", "const"].some((key) => schema[key] !== undefined)) {
    return inContext(path, "schema must have a 'type' key.")
  }
  const own = types.includes("object") ? objectProblem(schema, path) : undefined
  if (own !== undefined) return own
  if (types.includes("array") && schema["items"] === undefined && schema["prefixItems"] === undefined) {
    return inContext(path, "array schema missing items.")
  }
  for (const [member, at] of membersOf(schema, path)) {
    const problem = schemaProblem(root, member, at)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** The first rule of strict mode that a function's parameters break, in the API's words. */
export const strictProblem = (parameters: Json): string | undefined =>
  parameters["anyOf"] === undefined
    ? schemaProblem(parameters, parameters, [])
    : inContext([], "'anyOf' is not permitted at the top level.")
