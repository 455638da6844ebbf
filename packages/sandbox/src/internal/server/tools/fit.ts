import type { Offered, OfferedTool } from "./offeredTool.ts"
import { mentions, wordsOf } from "./words.ts"

type Callable = Offered<"function" | "custom">

export const isCallable = (tool: OfferedTool): tool is Callable => tool.type === "function" || tool.type === "custom"

const fitness = (tool: Callable, prompt: string, words: ReadonlySet<string>): number => {
  if (mentions(prompt, tool.name)) return 100
  const name = new Set(wordsOf(tool.name))
  const ofName = [...name].filter((word) => words.has(word)).length
  if (name.size > 0 && ofName === name.size) return 50 + ofName
  const shared = [...new Set(wordsOf(tool.description))].filter((word) => words.has(word)).length
  return shared >= 2 ? shared : 0
}

/**
 * The tool that fits a prompt best: the prompt has the tool's name in it, or
 * the words of its name, or at least two words of its description. The first
 * of those that fit equally well.
 */
export const fitting = (tools: ReadonlyArray<OfferedTool>, prompt: string): Callable | undefined => {
  const words = new Set(wordsOf(prompt))
  let best: { readonly tool: Callable; readonly fits: number } | undefined
  for (const tool of tools.filter(isCallable)) {
    const fits = fitness(tool, prompt, words)
    if (fits > (best?.fits ?? 0)) best = { tool, fits }
  }
  return best?.tool
}
