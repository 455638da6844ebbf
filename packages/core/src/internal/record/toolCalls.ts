import type * as Response from "effect/ai/Response"
import type { SingleLane, SnapshotItem } from "../../BackgroundModel.ts"

/** The fields of a part that say whether a call waits for the caller. */
type Told =
  | { readonly type: "tool-call"; readonly id: string; readonly providerExecuted?: boolean | undefined }
  | { readonly type: "tool-result"; readonly id: string }
  | { readonly type: "tool-approval-request"; readonly toolCallId: string }

type Call<Part> = Extract<Part, { readonly type: "tool-call" }>

const isCall = <Part extends { readonly type: string }>(part: Part): part is Call<Part> => part.type === "tool-call"

/**
 * The calls among the parts of a response that wait for the caller, in order: those that the provider does not run and
 * that have no result, and those that it runs once they are approved. The latter have `providerExecuted`.
 */
export const waitingCalls = <Part extends Told | { readonly type: string }>(
  parts: ReadonlyArray<Part>
): ReadonlyArray<Call<Part>> => {
  const asked = new Set<string>()
  const answered = new Set<string>()
  for (const part of parts as ReadonlyArray<Told>) {
    if (part.type === "tool-approval-request") asked.add(part.toolCallId)
    if (part.type === "tool-result") answered.add(part.id)
  }
  return parts.filter(isCall).filter((call) => {
    const { id, providerExecuted } = call as Extract<Told, { readonly type: "tool-call" }>
    return !answered.has(id) && (providerExecuted !== true || asked.has(id))
  })
}

/** The parts of a response that are not texts, in order. */
const singlesIn = (items: ReadonlyArray<SnapshotItem>): ReadonlyArray<SingleLane["part"]> =>
  items.flatMap(({ lanes }) => lanes.flatMap((lane) => (lane.kind === "single" ? [lane.part] : [])))

/** The tool calls that a response asks for, in order. */
export const toolCallsIn = (items: ReadonlyArray<SnapshotItem>): ReadonlyArray<Response.ToolCallPartEncoded> =>
  waitingCalls(singlesIn(items))
