/** A line of a prompt that asks for a tool. `answer` is what the tool answers. */
export interface ToolLine {
  readonly kind: "call" | "search" | "mcp" | "code" | "think"
  readonly name: string
  readonly rest: string
  readonly answer: string | undefined
}

const line = /^[ \t]*(then[ \t]+)?(call|search|mcp|code|think):[ \t]*(.*?)[ \t]*$/gim

const kindOf = (word: string): ToolLine["kind"] => {
  switch (word.toLowerCase()) {
    case "search":
      return "search"
    case "mcp":
      return "mcp"
    case "code":
      return "code"
    case "think":
      return "think"
    default:
      return "call"
  }
}

const withAnswer = (text: string): Pick<ToolLine, "rest" | "answer"> => {
  const at = text.indexOf("->")
  return at < 0
    ? { rest: text, answer: undefined }
    : { rest: text.slice(0, at).trim(), answer: text.slice(at + 2).trim() }
}

const toolLine = (word: string, text: string): ReadonlyArray<ToolLine> => {
  const kind = kindOf(word)
  if (kind === "think") return text === "" ? [] : [{ kind, name: "", rest: text, answer: undefined }]
  if (kind === "search" || kind === "code") {
    const parts = withAnswer(text)
    return parts.rest === "" ? [] : [{ kind, name: "", ...parts }]
  }
  const [, name = "", after = ""] = /^([\w./-]+)[ \t]*(.*)$/.exec(text) ?? []
  if (name === "") return []
  // The input of a custom tool can have any text in it.
  if (kind === "call") return [{ kind, name, rest: after, answer: undefined }]
  return [{ kind, name, ...withAnswer(after) }]
}

/**
 * The lines of a prompt that ask for tools, in rounds. A line that begins with
 * `then` opens a new round.
 */
export const roundsOf = (prompt: string): ReadonlyArray<ReadonlyArray<ToolLine>> => {
  const rounds: Array<Array<ToolLine>> = []
  for (const [, then, word = "", text = ""] of prompt.matchAll(line)) {
    const lines = toolLine(word, text)
    const last = rounds.at(-1)
    if (lines.length === 0) continue
    if (then !== undefined || last === undefined) rounds.push([...lines])
    else last.push(...lines)
  }
  return rounds
}

/** A prompt without the lines that ask for tools. */
export const withoutLines = (prompt: string): string => prompt.replace(line, "").trim()
