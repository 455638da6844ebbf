// Markdown that grows: text goes in, and out comes which blocks of HTML have changed. It knows no page, so that a test can
// try every way to cut a text.
import { Marked, type TokensList } from "marked"

/** Raw HTML is text, and so is an image: a report must not load anything. */
const markdown = new Marked({
  tokenizer: { html: () => undefined, tag: () => undefined },
  renderer: {
    image({ raw }) {
      return this.text({ type: "text", raw, text: raw })
    }
  }
})

/** The HTML of a whole text. */
export const toHtml = (text: string): string => markdown.parse(text, { async: false })

/** The blocks from this one on are these. */
export interface Change {
  readonly from: number
  readonly blocks: ReadonlyArray<string>
}

const render = (tokens: ReadonlyArray<TokensList[number]>) =>
  tokens.filter(({ type }) => type !== "space").map((token) => markdown.parser([token]))

export const makeBlocks = () => {
  let whole = ""
  // The open block, and what follows it.
  let tail = ""
  let closed = 0
  let shown: ReadonlyArray<string> = []
  let defined = false

  const lex = (text: string) => {
    const tokens = markdown.lexer(text)
    // `[1]: https://…` defines links of the whole text: from now on all of it is rendered.
    defined ||= Object.keys(tokens.links).length > 0
    return tokens
  }

  const show = (first: number, blocks: ReadonlyArray<string>): Change => {
    let same = 0
    while (same < blocks.length && blocks[same] === shown[first + same]) same++
    shown = [...shown.slice(0, first), ...blocks]
    return { from: first + same, blocks: blocks.slice(same) }
  }

  return {
    push: (delta: string): Change => {
      whole += delta
      tail += delta
      const first = closed
      const blocks: Array<string> = []
      const lines = tail.lastIndexOf("\n") + 1
      // Only whole lines close a block: "2" may become the item "2." of the list above it.
      if (!defined && delta.includes("\n")) {
        const tokens = lex(tail.slice(0, lines))
        const open = tokens.findLastIndex(({ type }) => type !== "space")
        if (open > 0) {
          blocks.push(...render(tokens.slice(0, open)))
          closed += blocks.length
          tail =
            tokens
              .slice(open)
              .map(({ raw }) => raw)
              .join("") + tail.slice(lines)
        }
      }
      const rest = defined ? [] : lex(tail)
      return defined ? show(0, render(lex(whole))) : show(first, [...blocks, ...render(rest)])
    },
    /** The text is over: what differs from the whole text rendered at once, if anything does, is put right. */
    end: (): Change => show(0, render(lex(whole)))
  }
}
