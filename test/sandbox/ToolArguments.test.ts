// Arguments that the sandbox's model makes from the schema of a function.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { assert, describe, it } from "@effect/vitest"
import formats from "ajv-formats"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect } from "effect"
import { connect } from "./sdk.ts"
import { ask, callsOf } from "./toolTurns.ts"

type Schema = { readonly [key: string]: unknown }

const ajv = new Ajv2020({ strict: false, allErrors: true })
formats.default(ajv)

/** The arguments of a call of a function with these parameters. */
const made = Effect.fnUntraced(function* (parameters: Schema, prompt = "Do it.") {
  const client = yield* connect
  const response = yield* ask(client, prompt, {
    tools: [{ type: "function", name: "f", parameters, strict: false }],
    tool_choice: "required"
  })
  const value = callsOf(response)[0]?.[1]
  assert.strictEqual(ajv.validate(parameters, value), true, `${JSON.stringify(value)}: ${ajv.errorsText()}`)
  return value
})

const object = (properties: { readonly [key: string]: Schema }, rest: Schema = {}): Schema => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  ...rest
})

const server = Effect.provide(ResponsesServer.layer())

const cases: ReadonlyArray<readonly [about: string, property: Schema, value: unknown, prompt?: string]> = [
  ["a constant", { const: { a: [1] } }, { a: [1] }],
  ["the first of a list", { enum: ["low", "high"] }, "low"],
  ["the one of a list that the prompt has", { type: "string", enum: ["low", "high"] }, "high", "Make it high."],
  ["a default", { type: "integer", default: 7 }, 7],
  ["a truth", { type: "boolean" }, true],
  ["nothing", { type: "null" }, null],
  ["a number", { type: "number" }, 1],
  ["a number of the prompt", { type: "integer" }, 42, "Take 42 of them."],
  ["a minimum", { type: "integer", minimum: 10 }, 10],
  ["a minimum above the number of the prompt", { type: "integer", minimum: 10 }, 10, "Take 3."],
  ["a maximum", { type: "integer", maximum: -3 }, -3],
  ["limits that are excluded", { type: "integer", exclusiveMinimum: 4, exclusiveMaximum: 6 }, 5],
  ["a small range", { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 0.5 }, 0.5 / 64],
  ["a multiple", { type: "integer", multipleOf: 5, minimum: 11 }, 15],
  ["a date", { type: "string", format: "date" }, "2025-01-01"],
  ["a date of the prompt", { type: "string", format: "date" }, "2026-03-04", "Book it on 2026-03-04, please."],
  ["a time", { type: "string", format: "date-time" }, "2025-01-01T12:00:00Z"],
  ["an address of the prompt", { type: "string", format: "email" }, "ann@example.org", "Write to ann@example.org now."],
  ["a URL", { type: "string", format: "uri" }, "https://example.com/"],
  ["a UUID", { type: "string", format: "uuid" }, "00000000-0000-4000-8000-000000000000"],
  ["a quotation", { type: "string" }, "two words", 'Say "two words" aloud.'],
  ["a name", { type: "string" }, "New York", "Go to New York."],
  ["the first line where there is no name", { type: "string" }, "Do it.", "Do it.\nNow."],
  ["a shortest length", { type: "string", minLength: 8 }, "Do it.xx"],
  ["a longest length", { type: "string", maxLength: 2 }, "Do"],
  ["a pattern that a word has", { type: "string", pattern: "^[A-Z]{2}\\d+$" }, "AB12", "Fetch order AB12 again."],
  ["an array", { type: "array", items: { type: "integer" } }, [1]],
  ["an array of at least three", { type: "array", items: { type: "integer" }, minItems: 3 }, [1, 2, 3]],
  ["an array of none", { type: "array", items: { type: "integer" }, maxItems: 0 }, []],
  [
    "different items",
    { type: "array", items: { enum: ["a", "b", "c"] }, minItems: 3, uniqueItems: true },
    ["a", "b", "c"]
  ],
  ["a tuple", { type: "array", prefixItems: [{ const: "a" }, { type: "integer" }], minItems: 2 }, ["a", 1]],
  ["an object in an object", object({ b: object({ c: { const: 1 } }) }), { b: { c: 1 } }],
  ["only what is required", { type: "object", properties: { a: { type: "string" } } }, {}],
  ["the first alternative that is something", { anyOf: [{ type: "null" }, { type: "integer" }] }, 1],
  ["the first type that is something", { type: ["null", "boolean"] }, true],
  ["one of", { oneOf: [{ const: "x" }, { type: "integer" }] }, "x"],
  ["all of", { allOf: [object({ a: { const: 1 } }), object({ b: { const: 2 } })] }, { a: 1, b: 2 }],
  ["no type", { description: "anything" }, "Do it."]
]

const prompts = [
  "Do it.",
  "Ask Ann in New York for 17 things, -3 of them blue.",
  'The city is Oslo, count: 5 and "a quotation".',
  "🙂 日本語 façade"
]

type Draw = (below: number) => number

/** Numbers that look random, and are the same for the same seed. */
const drawing = (seed: number): Draw => {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const formatNames = "date date-time time duration email hostname uri ipv4 ipv6 uuid".split(" ")

const leaves: ReadonlyArray<(draw: Draw) => Schema> = [
  (draw) => ({ type: ["string", "boolean", "null", "integer", "number"][draw(5)] }),
  (draw) => {
    const minimum = draw(100) - 50
    return { type: "integer", minimum, maximum: minimum + draw(20) }
  },
  (draw) => ({ type: "integer", exclusiveMinimum: draw(100) - 50, multipleOf: 1 + draw(9) }),
  (draw) => ({ type: "number", exclusiveMaximum: draw(100) - 50 }),
  (draw) => {
    const minLength = draw(12)
    return { type: "string", minLength, maxLength: minLength + draw(12) }
  },
  (draw) => ({ type: "string", format: formatNames[draw(formatNames.length)] }),
  (draw) => ({ enum: [draw(9), `word ${draw(9)}`, null, { a: draw(9) }].slice(draw(4)) })
]

const schemaOf = (draw: Draw, depth: number): Schema => {
  const inner = () => schemaOf(draw, depth - 1)
  switch (depth === 0 ? 0 : draw(4)) {
    case 1: {
      const names = ["city", "name", "to", "query", "count"].slice(draw(5))
      return object(Object.fromEntries(names.map((name) => [name, inner()])))
    }
    case 2: {
      const minItems = draw(4)
      return { type: "array", items: inner(), minItems, maxItems: minItems + draw(4) }
    }
    case 3:
      return { anyOf: Array.from({ length: 1 + draw(3) }, inner) }
    default:
      return leaves[draw(leaves.length)]?.(draw) ?? {}
  }
}

describe("arguments by schema", () => {
  it.live.each(cases)("%s", ([, property, value, prompt]) =>
    Effect.gen(function* () {
      assert.deepEqual(yield* made(object({ a: property }), prompt), { a: value })
    }).pipe(server)
  )

  it.live("each field takes its own value from the prompt", () =>
    Effect.gen(function* () {
      const text = { type: "string" }
      const prompt = "Fly from Paris to Oslo with 2 people and 3 bags, seatClass is business, fare: 200"
      const parameters = object({
        origin: text,
        destination: text,
        people: { type: "integer" },
        bags: { type: "integer" },
        seatClass: text,
        fare: { type: "number" },
        query: text
      })
      assert.deepEqual(yield* made(parameters, prompt), {
        origin: "Paris",
        destination: "Oslo",
        people: 2,
        bags: 3,
        seatClass: "business",
        fare: 200,
        query: prompt
      })
    }).pipe(server)
  )

  it.live("a schema that refers to itself ends", () =>
    Effect.gen(function* () {
      const next = { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] }
      const children = { type: "array", items: { $ref: "#/$defs/node" } }
      const node = object({ value: { type: "integer" }, next, children })
      yield* made(object({ root: { $ref: "#/$defs/node" } }, { $defs: { node } }))
      yield* made(
        object({ a: { type: ["object", "null"], properties: { a: { $ref: "#/properties/a" } }, required: ["a"] } })
      )
    }).pipe(server)
  )

  it.live("arguments fit any schema of these kinds", () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 300; seed++) {
        const draw = drawing(seed)
        const prompt = prompts[draw(prompts.length)]
        yield* made(object({ a: schemaOf(draw, 3) }), prompt)
      }
    }).pipe(server)
  )
})
