import * as Schema from "effect/Schema"

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

export const notFound = (message: string, code: string | null = null) =>
  new ApiError({ status: 404, message, type: "invalid_request_error", param: null, code, headers: {} })

export const responseNotFound = (id: string) => notFound(`Response with id '${id}' not found.`)

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
