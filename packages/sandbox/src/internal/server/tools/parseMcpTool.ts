import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type ApiError, badRequest, invalidType, invalidValue, missingParameter } from "../apiError.ts"
import { isJson, type Json, stringOf, stringsOf } from "../json.ts"
import type { OfferedTool } from "./offeredTool.ts"

const refuseReadOnly = (filter: unknown, param: string): Effect.Effect<void, ApiError> =>
  isJson(filter) && filter["read_only"] !== undefined
    ? Effect.fail(
        badRequest(
          "The sandbox does not know which tools of an MCP server only read.",
          "unsupported_value",
          `${param}.read_only`
        )
      )
    : Effect.void

const approvals = Effect.fnUntraced(function* (
  value: unknown,
  param: string
): Effect.fn.Return<(tool: string) => boolean, ApiError> {
  if (value === undefined || value === null || value === "always") return () => true
  if (value === "never") return () => false
  if (!isJson(value)) return yield* invalidValue(param, value, ["always", "never"])
  const { always, never } = value
  yield* refuseReadOnly(always, `${param}.always`)
  yield* refuseReadOnly(never, `${param}.never`)
  const without = isJson(never) ? stringsOf(never["tool_names"]) : []
  return (tool) => !without.includes(tool)
})

/** Checks an MCP server of a request. The sandbox never connects to it. */
export const parseMcpTool = Effect.fnUntraced(function* (
  tool: Json,
  at: string
): Effect.fn.Return<OfferedTool, ApiError> {
  const label = tool["server_label"]
  if (label === undefined || label === null || label === "") return yield* missingParameter(`${at}.server_label`)
  if (!Predicate.isString(label)) return yield* invalidType(`${at}.server_label`, "a string", label)
  if (!/^[a-zA-Z][a-zA-Z0-9_-]*$/.test(label)) {
    return yield* badRequest(
      `Invalid '${at}.server_label': string does not match pattern. Expected a string that starts with a letter and has only letters, digits, '-' and '_'.`,
      "invalid_value",
      `${at}.server_label`
    )
  }
  const places = ["server_url", "connector_id", "tunnel_id"].filter((key) => Predicate.isString(tool[key]))
  if (places.length !== 1) {
    return yield* badRequest(
      "Exactly one of 'server_url', 'connector_id' or 'tunnel_id' must be provided for an MCP tool.",
      places.length === 0 ? "missing_required_parameter" : "mutually_exclusive_parameters",
      `${at}.server_url`
    )
  }
  const url = stringOf(tool["server_url"])
  if (url !== undefined && !URL.canParse(url)) {
    return yield* badRequest(`Invalid '${at}.server_url': expected a URL.`, "invalid_value", `${at}.server_url`)
  }
  if (tool["defer_loading"] === true) {
    return yield* badRequest(
      "The sandbox does not run tools with 'defer_loading'.",
      "unsupported_value",
      `${at}.defer_loading`
    )
  }
  const allowed = tool["allowed_tools"]
  yield* refuseReadOnly(allowed, `${at}.allowed_tools`)
  const names = Array.isArray(allowed)
    ? stringsOf(allowed)
    : isJson(allowed) && Array.isArray(allowed["tool_names"])
      ? stringsOf(allowed["tool_names"])
      : undefined
  return {
    type: "mcp",
    label,
    description: stringOf(tool["server_description"]) ?? "",
    allowed: names,
    needsApproval: yield* approvals(tool["require_approval"], `${at}.require_approval`)
  }
})
