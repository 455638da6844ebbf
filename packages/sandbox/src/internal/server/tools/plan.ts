import type { McpApprovalRequestItem, McpCallItem, ScriptItem } from "../../../ResponseScript.ts"
import { splitDeltas } from "../../../ResponseScript.ts"
import { stringOf } from "../json.ts"
import { type Approval, type Conversation, isCall, isOutput, openApprovals } from "./conversation.ts"
import { fitting } from "./fit.ts"
import { roundsOf, withoutLines } from "./lines.ts"
import { told } from "./mcpServer.ts"
import { offeredOf, type ToolSettings } from "./offeredTool.ts"
import { chosenStep, listingStep, type Step, stepOf } from "./steps.ts"

/** What a response does with tools before the model answers. */
export interface ToolPlan {
  readonly items: ReadonlyArray<ScriptItem>
  /** Whether the response ends here, as the client has to answer first. */
  readonly waits: boolean
  /** What the tools of the provider said. */
  readonly results: ReadonlyArray<string>
  readonly sources: ReadonlyArray<{ readonly title: string; readonly url: string }>
}

export interface PlanOptions {
  readonly conversation: Conversation
  readonly settings: ToolSettings
  /** Whether tools are also called without a line of the prompt that asks for them. */
  readonly rules: boolean
  /** The script of a request for approval that this server made. */
  readonly scriptOf: (itemId: string) => ScriptItem | undefined
}

const providerCalls = new Set(["web_search_call", "code_interpreter_call", "mcp_call"])

const isReasoning = ({ item }: Step): boolean => item?.type === "reasoning"

// A round is over once its calls are answered. What the provider ran in it ran
// before them, and is not run again.
const fromLines = (
  { conversation, settings }: PlanOptions,
  rounds: ReadonlyArray<ReadonlyArray<Step>>
): ReadonlyArray<Step> => {
  let answers = conversation.since.filter((item) => isOutput(item) || item["type"] === "mcp_approval_response").length
  const states = rounds.map((round) => {
    const waiting = round.filter(({ waits }) => waits)
    const open = waiting.slice(answers)
    const answered = waiting.length - open.length
    answers -= answered
    return { round, open, answered }
  })
  const begun = states.findLastIndex(({ answered }) => answered > 0)
  const steps: Array<Step> = []
  for (const [index, { open, round }] of states.entries()) {
    if (index > begun) steps.push(...round.filter(({ waits }) => !waits))
    steps.push(...(settings.parallel ? open : open.slice(0, 1)))
    if (open.length > 0) break
  }
  return steps
}

const byRule = ({ conversation, settings }: PlanOptions): ReadonlyArray<Step> => {
  const { choice } = settings
  // A model that must call a tool would call it for ever. Here it answers as
  // soon as it has a result.
  const called = conversation.since.some(
    (item) => isOutput(item) || item["type"] === "mcp_approval_response" || providerCalls.has(String(item["type"]))
  )
  if (called) return []
  const prompt = withoutLines(conversation.prompt)
  const tool = fitting(choice.among, prompt) ?? (choice.mode === "required" ? choice.among[0] : undefined)
  return tool === undefined ? [] : [chosenStep(tool, prompt, choice)]
}

const fresh = (options: PlanOptions): ReadonlyArray<Step> => {
  const { conversation, rules, settings } = options
  if (settings.choice.mode === "none") return []
  const prompt = withoutLines(conversation.prompt)
  const rounds = roundsOf(conversation.prompt)
    .map((lines) => lines.flatMap((line) => stepOf(line, settings.choice.among, prompt)))
    .filter((steps) => steps.length > 0)
  if (rounds.flat().some((step) => !isReasoning(step))) return fromLines(options, rounds)
  const thought = conversation.since.some((item) => item["type"] === "reasoning")
  return [...(thought ? [] : rounds.flat()), ...(rules ? byRule(options) : [])]
}

const approved = ({ approve, reason, request, requestId }: Approval, { scriptOf }: PlanOptions): Step => {
  const script = scriptOf(requestId)
  const made: McpApprovalRequestItem | undefined = script?.type === "mcp_approval_request" ? script : undefined
  const name = stringOf(request["name"]) ?? ""
  const json = stringOf(request["arguments"]) ?? "{}"
  const refused = `${name} was not approved${reason === undefined ? "" : `: ${reason}`}`
  if (!approve) return { item: undefined, waits: false, counts: false, result: refused, sources: [] }
  const item: McpCallItem = {
    type: "mcp_call",
    serverLabel: stringOf(request["server_label"]) ?? "",
    name,
    deltas: splitDeltas(json),
    output: made?.output ?? `${name} got ${json}`,
    ...(made?.error === undefined ? {} : { error: made.error }),
    approvalRequestId: requestId
  }
  return { item, waits: false, counts: true, result: told(item), sources: [] }
}

const withCallIds = (steps: ReadonlyArray<Step>, { items }: Conversation): ReadonlyArray<ScriptItem> => {
  let number = items.filter(isCall).length
  return steps.flatMap(({ item }): ReadonlyArray<ScriptItem> =>
    item === undefined
      ? []
      : item.type === "function_call" || item.type === "custom_tool_call"
        ? [{ ...item, callId: `call_${item.name}_${number++}` }]
        : [item]
  )
}

/** What the model does with the tools of a request, by the lines of the prompt and by rules. */
export const planOf = (options: PlanOptions): ToolPlan => {
  const { conversation, settings } = options
  const goneOn = openApprovals(conversation).map((approval) => approved(approval, options))
  const called = [...goneOn, ...fresh(options)]
  const listed = new Set(
    conversation.items.flatMap((item) => (item["type"] === "mcp_list_tools" ? [stringOf(item["server_label"])] : []))
  )
  const calls = (label: string) =>
    called.some(({ item }) => item !== undefined && "serverLabel" in item && item.serverLabel === label)
  const listings = offeredOf(settings.choice.mode === "none" ? [] : settings.tools, "mcp")
    .filter(({ label }) => !listed.has(label) && (options.rules || calls(label)))
    .map((server) => listingStep(server, called))
  let left = settings.maxCalls
  const steps = [...listings, ...called].filter((one) => !one.counts || left-- > 0)
  return {
    items: withCallIds(steps, conversation),
    waits: steps.some(({ waits }) => waits),
    results: steps.flatMap(({ result }) => (result === undefined ? [] : [result])),
    sources: steps.flatMap(({ sources }) => sources)
  }
}
