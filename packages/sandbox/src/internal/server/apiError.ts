import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { kindOf } from "./json.ts"

/** An answer in the error format of the Responses API. */
export class ApiError extends Schema.TaggedError<ApiError>()("ApiError", {
  status: Schema.Int,
  message: Schema.String,
  type: Schema.String,
  param: Schema.NullOr(Schema.String),
  code: Schema.NullOr(Schema.String),
  headers: Schema.Record(Schema.String, Schema.String)
}) {
  get body() {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } }
  }
}

export const badRequest = (message: string, code: string | null = null, param: string | null = null) =>
  new ApiError({ status: 400, message, type: "invalid_request_error", param, code, headers: {} })

export const missingParameter = (param: string) =>
  badRequest(`Missing required parameter: '${param}'.`, "missing_required_parameter", param)

export const invalidType = (param: string, expected: string, value: unknown) =>
  badRequest(
    `Invalid type for '${param}': expected ${expected}, but got ${kindOf(value)} instead.`,
    "invalid_type",
    param
  )

/** A value that is none of those that the parameter can have. */
export const invalidValue = (param: string, value: unknown, supported: ReadonlyArray<string>) => {
  const values = supported.map((one) => `'${one}'`)
  const listed = values.length < 2 ? values.join("") : `${values.slice(0, -1).join(", ")}, and ${values.at(-1)}`
  return badRequest(
    `Invalid value: ${Predicate.isString(value) ? `'${value}'` : kindOf(value)}. Supported values are: ${listed}.`,
    "invalid_value",
    param
  )
}

export const notFound = (message: string, code: string | null = null) =>
  new ApiError({ status: 404, message, type: "invalid_request_error", param: null, code, headers: {} })

export const responseNotFound = (id: string) => notFound(`Response with id '${id}' not found.`)

export const itemNotFound = (id: string) =>
  new ApiError({
    status: 404,
    message: `Item with id '${id}' not found. Items are not persisted when \`store\` is set to false. Try again with \`store\` set to true, or remove this item from your input.`,
    type: "invalid_request_error",
    param: "input",
    code: null,
    headers: {}
  })

const masked = (key: string): string =>
  key.length <= 8 ? "*".repeat(key.length) : `${key.slice(0, 4)}${"*".repeat(8)}${key.slice(-4)}`

export const invalidKey = (key: string | undefined) =>
  new ApiError({
    status: 401,
    message:
      key === undefined
        ? "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        : `Incorrect API key provided: ${masked(key)}. You can find your API key at https://platform.openai.com/account/api-keys.`,
    type: "invalid_request_error",
    param: null,
    code: key === undefined ? null : "invalid_api_key",
    headers: {}
  })
