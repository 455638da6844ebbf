/**
 * What is wrong with an answer by OpenAI's published document, found in two ways: by the document itself, and by the
 * schemas in `@effect/ai-openai`, which were generated from an earlier state of it and are always at hand.
 */
import * as Generated from "@effect/ai-openai/Generated"
import formats from "ajv-formats"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect, FileSystem, Path, Predicate, Result, Schema, SchemaIssue } from "effect"

/** A component of the document, as far as the sandbox answers with it. */
export type Component =
  | "Response"
  | "ResponseStreamEvent"
  | "ErrorResponse"
  | "ResponseItemList"
  | "ListModelsResponse"
  | "WebhookResponseCompleted"
  | "WebhookResponseCancelled"
  | "WebhookResponseFailed"
  | "WebhookResponseIncomplete"

export interface Answer {
  readonly component: Component
  readonly body: unknown
}

/**
 * What is wrong with an answer, one sentence each, the place first: the same wherever a response stands, alone or in an
 * event. Undefined where the validator does not know the component.
 */
export type Validator = (answer: Answer) => ReadonlyArray<string> | undefined

const typeOf = (body: unknown): string => (Predicate.hasProperty(body, "type") ? String(body.type) : "")

const sentences = (
  { body, component }: Answer,
  errors: ReadonlyArray<{ readonly path: ReadonlyArray<unknown>; readonly message: string }>
): ReadonlyArray<string> => {
  const found = errors.map(({ message, path }) => {
    const event = component === "ResponseStreamEvent"
    const inResponse = event && path[0] === "response"
    const owner = inResponse ? "Response" : event ? typeOf(body) : component
    const place = (inResponse ? path.slice(1) : path).map((key) => (/^\d+$/.test(String(key)) ? "*" : key))
    return `${[owner, ...place].join(".")}: ${message}`
  })
  return [...new Set(found)]
}

const unknownType = "no event of this type"

const Document = Schema.fromJsonString(
  Schema.Struct({
    components: Schema.Struct({ schemas: Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.Unknown)) })
  })
)
const Members = Schema.Struct({ anyOf: Schema.Array(Schema.Struct({ $ref: Schema.String })) })
const Member = Schema.Struct({
  properties: Schema.Struct({ type: Schema.Struct({ enum: Schema.Tuple([Schema.String]) }) })
})

/** Reads the document: the file, or a checkout of `openai/openai-openapi` with it. */
export const byDocument = Effect.fnUntraced(function* (place: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = (yield* fs.stat(place)).type === "Directory" ? path.join(place, "openapi.json") : place
  const document = yield* Schema.decodeEffect(Document)(yield* fs.readFileString(file))
  const { schemas } = document.components

  // `strict` is off as the document has keywords of its own; `unixtime` is a format of its own.
  const ajv = new Ajv2020({ strict: false, allErrors: true, verbose: true, formats: { unixtime: true } })
  formats.default(ajv)
  ajv.addSchema(document, "openapi")

  // An event is held to the schema of its own type alone: what the others miss in it says nothing.
  const events = new Map<string, string>()
  for (const { $ref } of (yield* Schema.decodeUnknownEffect(Members)(schemas["ResponseStreamEvent"])).anyOf) {
    const member = yield* Schema.decodeUnknownEffect(Member)(schemas[$ref.split("/").at(-1) ?? ""])
    events.set(member.properties.type.enum[0], $ref)
  }

  const validator: Validator = (answer) => {
    const event = answer.component === "ResponseStreamEvent"
    const pointer = event ? events.get(typeOf(answer.body)) : `#/components/schemas/${answer.component}`
    if (pointer === undefined) return sentences(answer, [{ path: [], message: unknownType }])
    const validate = ajv.getSchema(`openapi${pointer}`)
    if (validate === undefined) return undefined
    if (validate(answer.body) === true) return []
    return sentences(
      answer,
      (validate.errors ?? []).map(({ data, instancePath, keyword, message = keyword }) => ({
        path: instancePath.split("/").slice(1),
        message: keyword === "enum" ? `${message}, but is ${JSON.stringify(data)}` : message
      }))
    )
  }
  return validator
})

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const packaged = (schema: Schema.ConstraintDecoder<unknown>): Validator => {
  const decode = Schema.decodeUnknownResult(schema, { errors: "all", reportInput: true })
  return (answer) =>
    Result.match(decode(answer.body), {
      onSuccess: () => [],
      onFailure: ({ issue }) =>
        sentences(
          answer,
          format(issue).issues.map(({ message, path = [] }) => ({
            path,
            // A list of all that is allowed would fill the page.
            message: message.replace(/^Expected .+ \| .+, got /s, "Expected another value, got ")
          }))
        )
    })
}

const components: { readonly [C in Component]?: Validator } = {
  Response: packaged(Generated.Response),
  ResponseStreamEvent: packaged(Generated.ResponseStreamEvent),
  ErrorResponse: packaged(Generated.ErrorResponse),
  ResponseItemList: packaged(Generated.ResponseItemList),
  ListModelsResponse: packaged(Generated.ListModelsResponse)
}

const eventTypes = new Set<string>(Generated.ResponseStreamEvent.members.map(({ fields }) => fields.type.literal))

/** The schemas in the package, which has none of webhooks. */
export const byPackage: Validator = (answer) =>
  answer.component === "ResponseStreamEvent" && !eventTypes.has(typeOf(answer.body))
    ? sentences(answer, [{ path: [], message: unknownType }])
    : components[answer.component]?.(answer)
