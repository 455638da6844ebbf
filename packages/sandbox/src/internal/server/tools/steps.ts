import * as Option from "effect/Option"
import type { ScriptItem } from "../../../ResponseScript.ts"
import { splitDeltas } from "../../../ResponseScript.ts"
import { argumentsFor } from "./arguments.ts"
import { expressionIn, printed } from "./arithmetic.ts"
import { isCallable } from "./fit.ts"
import type { ToolLine } from "./lines.ts"
import { listing, mcpItem, serverOf, told } from "./mcpServer.ts"
import type { Offered, OfferedTool, ToolChoice } from "./offeredTool.ts"
import { offeredOf } from "./offeredTool.ts"

/** One thing that the model does with a tool. */
export interface Step {
  /** Undefined if the model only learns something. */
  readonly item: ScriptItem | undefined
  /** Whether the response ends with it, as the client must answer it first. */
  readonly waits: boolean
  /** Whether it counts as a call of a tool of the provider. */
  readonly counts: boolean
  /** What the model learns from it at once. */
  readonly result: string | undefined
  readonly sources: ReadonlyArray<{ readonly title: string; readonly url: string }>
}

const step = (item: ScriptItem, fields: Partial<Step> = {}): Step => ({
  item,
  waits: false,
  counts: false,
  result: undefined,
  sources: [],
  ...fields
})

type Callable = Offered<"function" | "custom">

/** A call that the client runs. `callId` is set later, when the number of the call is known. */
const callStep = (tool: Callable, text: string): Step =>
  step(
    {
      type: tool.type === "function" ? "function_call" : "custom_tool_call",
      name: tool.name,
      callId: "",
      deltas: splitDeltas(text)
    },
    { waits: true }
  )

const inputFor = (tool: Callable, prompt: string): string =>
  tool.type === "function" ? JSON.stringify(argumentsFor(tool.parameters, prompt)) : prompt

const searchStep = ({ domains }: Offered<"web_search">, query: string, answer: string | undefined): Step => {
  const slug = (query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ["page"]).join("-")
  const url = `https://${domains[0] ?? "example.com"}/${encodeURIComponent(slug)}`
  const sources = [
    { title: `About ${query}`, url },
    { title: `More about ${query}`, url: `${url}/more` }
  ].map(({ title, url: address }) => ({ title: title.replace(/[[\]]/g, ""), url: address }))
  const links = sources.map(({ title, url: address }) => `[${title}](${address})`).join(", ")
  return step(
    { type: "web_search_call", query, sources },
    { counts: true, result: `${answer ?? `The web has pages about “${query}”`} (${links})`, sources }
  )
}

const codeStep = (code: string, answer: string | undefined): Step => {
  const logs =
    answer ?? Option.getOrElse(printed(code), () => "The sandbox computes arithmetic only, and did not run this code.")
  return step({ type: "code_interpreter_call", deltas: splitDeltas(code), logs }, { counts: true, result: logs })
}

const mcpStep = (server: Offered<"mcp">, name: string, json: string, answer: string | undefined): Step => {
  const item = mcpItem({ server, name, json, answer })
  return item.type === "mcp_call" ? step(item, { counts: true, result: told(item) }) : step(item, { waits: true })
}

const jsonOnly = /^\{.*\}$/

/** What a line of a prompt asks for, if the request offers the tool. */
export const stepOf = (line: ToolLine, tools: ReadonlyArray<OfferedTool>, prompt: string): ReadonlyArray<Step> => {
  switch (line.kind) {
    case "think":
      return [step({ type: "reasoning", deltas: splitDeltas(line.rest) })]
    case "search":
      return offeredOf(tools, "web_search")
        .slice(0, 1)
        .map((tool) => searchStep(tool, line.rest, line.answer))
    case "code":
      return offeredOf(tools, "code_interpreter")
        .slice(0, 1)
        .map(() => codeStep(line.rest, line.answer))
    case "mcp": {
      const found = serverOf(tools, line.name)
      const json = line.rest === "" ? "{}" : line.rest
      return found === undefined || !jsonOnly.test(json) ? [] : [mcpStep(found.server, found.name, json, line.answer)]
    }
    case "call": {
      const tool = tools.filter(isCallable).find(({ name }) => name === line.name)
      if (tool === undefined || (tool.type === "function" && line.rest !== "" && !jsonOnly.test(line.rest))) return []
      return [callStep(tool, line.rest === "" ? inputFor(tool, prompt) : line.rest)]
    }
  }
}

/** A call of a tool that a rule chose. */
export const chosenStep = (tool: OfferedTool, prompt: string, { mcpTool }: ToolChoice): Step => {
  const [line = ""] = prompt.split("\n")
  switch (tool.type) {
    case "function":
    case "custom":
      return callStep(tool, inputFor(tool, prompt))
    case "web_search":
      return searchStep(tool, line, undefined)
    case "code_interpreter":
      return codeStep(`print(${expressionIn(prompt) ?? "1 + 1"})`, undefined)
    case "mcp":
      return mcpStep(tool, mcpTool ?? tool.allowed?.[0] ?? "echo", "{}", undefined)
  }
}

/** The list of a server's tools, with those that are called here. */
export const listingStep = (server: Offered<"mcp">, steps: ReadonlyArray<Step>): Step =>
  step(
    listing(
      server,
      steps.flatMap(({ item }) =>
        (item?.type === "mcp_call" || item?.type === "mcp_approval_request") && item.serverLabel === server.label
          ? [item.name]
          : []
      )
    )
  )
