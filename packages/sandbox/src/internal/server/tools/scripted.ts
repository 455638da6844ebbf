import type { ScriptItem } from "../../../ResponseScript.ts"
import { joined } from "../outputItem.ts"
import { offeredOf, type ToolSettings } from "./offeredTool.ts"

const isOffered = (item: ScriptItem, { tools }: ToolSettings): boolean => {
  switch (item.type) {
    case "web_search_call":
      return offeredOf(tools, "web_search").length > 0
    case "code_interpreter_call":
      return offeredOf(tools, "code_interpreter").length > 0
    case "mcp_list_tools":
    case "mcp_call":
    case "mcp_approval_request":
      return offeredOf(tools, "mcp").some(({ label }) => label === item.serverLabel)
    default:
      return true
  }
}

const counts = ({ type }: ScriptItem): boolean =>
  type === "web_search_call" || type === "code_interpreter_call" || type === "mcp_call"

/** The items of a script that the request allows, after those that tools made already. */
export const allowedItems = (
  script: ReadonlyArray<ScriptItem>,
  made: ReadonlyArray<ScriptItem>,
  settings: ToolSettings
): ReadonlyArray<ScriptItem> => {
  let left = settings.maxCalls - made.filter(counts).length
  return script.filter((item) => isOffered(item, settings) && (!counts(item) || left-- > 0))
}

/** A message with a citation for each source that its text links to. */
export const cited =
  (sources: ReadonlyArray<{ readonly title: string; readonly url: string }>) =>
  (item: ScriptItem): ScriptItem => {
    if (item.type !== "message" || item.citations !== undefined || sources.length === 0) return item
    const text = joined(item.deltas)
    const citations = sources.flatMap(({ title, url }) => {
      const link = `[${title}](${url})`
      const start = text.indexOf(link)
      return start < 0 ? [] : [{ title, url, start, end: start + link.length }]
    })
    return { ...item, citations }
  }
