import * as Result from "effect/Result"
import { defined, isMissing, isRecord, type Json, textOf } from "./fields.ts"
import { isWhole, type Read, type Seen } from "./itemEnd.ts"
import * as Lanes from "./lanes.ts"

// Calls that the caller answers: with a result, or with an approval. Their names are those of functions and custom tools, or
// the types of the API's own tools.

// A model may write parameters that are not JSON. They are passed on as text: the tool's schema refuses them and the model
// gets that error, instead of the run failing here.
const parsed = (input: string): unknown => {
  if (input.trim() === "") return {}
  return Result.getOrElse(
    Result.try((): unknown => JSON.parse(input)),
    () => input
  )
}

/** The metadata of a call that says how its result goes back. `type` is absent for functions. */
const fieldsOf = ({ caller, id, namespace, type }: Json): Json => ({
  itemId: textOf(id),
  type: type === "function_call" ? undefined : type,
  caller: isRecord(caller) && caller["type"] !== "direct" ? caller : undefined,
  namespace: textOf(namespace)
})

/** A call of a function or a custom tool, whose parameters come as a text. */
const texted = (item: Json, input: unknown, params: unknown, seen: Seen): Read => {
  const { call_id: callId, name } = item
  if (typeof callId !== "string" || typeof name !== "string" || params === undefined) return undefined
  const call = { callId, name, params, provider: false, fields: fieldsOf(item) }
  const own = Lanes.paramsLane(call, textOf(input))
  return isWhole(item, seen) ? [own, Lanes.toolCall(call)] : [own]
}

export const functionCall = (item: Json, seen: Seen): Read => {
  const input = item["arguments"]
  // Some servers send parsed parameters. Their original text is then unknown.
  const params = typeof input === "string" ? parsed(input) : isRecord(input) ? input : undefined
  return texted(item, input, params, seen)
}

export const customCall = (item: Json, seen: Seen): Read => {
  const { input } = item
  return texted(item, input, textOf(input), seen)
}

/** A call of one of the API's own tools. Its parameters come with its end. */
const whole = (item: Json, name: string, params: Json, seen: Seen, provider = false): Read => {
  const callId = item["call_id"]
  if (typeof callId !== "string") return undefined
  const call = { callId, name, params: defined(params), provider, fields: fieldsOf(item) }
  return isWhole(item, seen) ? [Lanes.toolCall(call)] : []
}

export const computer = (item: Json, seen: Seen): Read => {
  const { action, actions, pending_safety_checks } = item
  return whole(item, "computer", { action, actions, pending_safety_checks }, seen)
}

export const localShell = (item: Json, seen: Seen): Read => whole(item, "local_shell", { action: item["action"] }, seen)

/** Whether a shell runs in a container of the provider. */
export const isHosted = ({ environment }: Json): boolean =>
  isRecord(environment) && environment["type"] === "container_reference"

export const shell = (item: Json, seen: Seen): Read => {
  const { action, environment } = item
  return whole(item, "shell", { action, environment: environment ?? undefined }, seen, isHosted(item))
}

export const applyPatch = (item: Json, seen: Seen): Read => {
  const { call_id, operation } = item
  return whole(item, "apply_patch", { call_id, operation }, seen)
}

/** The parameters of a call of a tool of an MCP server: which server, which tool, and its arguments. */
export const mcpParams = ({ arguments: input, name, server_label }: Json): Json =>
  defined({ server_label, name, arguments: typeof input === "string" ? parsed(input) : input })

/** A call that the provider runs once it is approved. */
export const approvalRequest = (item: Json, seen: Seen): Read => {
  const { id, name } = item
  if (typeof id !== "string" || typeof name !== "string" || isMissing(item["arguments"])) return undefined
  const call = { callId: id, name: "mcp", params: mcpParams(item), provider: true, fields: fieldsOf(item) }
  return isWhole(item, seen) ? [Lanes.toolCall(call), Lanes.approvalRequest(call)] : []
}
