import * as Option from "effect/Option"

const token = /\s*(\*\*|\/\/|\d+(?:\.\d+)?|[-+*/%()])/y

const tokensOf = (text: string): ReadonlyArray<string> | undefined => {
  const tokens: Array<string> = []
  token.lastIndex = 0
  let at = 0
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    tokens.push(found[1] ?? "")
    at = token.lastIndex
  }
  return text.slice(at).trim() === "" && tokens.length > 0 ? tokens : undefined
}

const operators: {
  readonly [symbol: string]: { readonly binds: number; readonly of: (a: number, b: number) => number }
} = {
  "+": { binds: 1, of: (a, b) => a + b },
  "-": { binds: 1, of: (a, b) => a - b },
  "*": { binds: 2, of: (a, b) => a * b },
  "/": { binds: 2, of: (a, b) => a / b },
  "//": { binds: 2, of: (a, b) => Math.floor(a / b) },
  "%": { binds: 2, of: (a, b) => ((a % b) + b) % b },
  "**": { binds: 4, of: (a, b) => a ** b }
}

/** The value of an arithmetic expression as Python writes it, if the text is one. */
const valueOf = (text: string): Option.Option<number> => {
  const tokens = tokensOf(text)
  if (tokens === undefined) return Option.none()
  let at = 0
  const operand = (): number => {
    const next = tokens[at++]
    if (next === "-") return -expression(3)
    if (next === "+") return expression(3)
    if (next === "(") {
      const inside = expression(1)
      return tokens[at++] === ")" ? inside : Number.NaN
    }
    return Number(next)
  }
  const expression = (least: number): number => {
    let left = operand()
    for (let next = operators[tokens[at] ?? ""]; next !== undefined && next.binds >= least;) {
      at++
      // A power binds to the right.
      left = next.of(left, expression(next.binds === 4 ? 4 : next.binds + 1))
      next = operators[tokens[at] ?? ""]
    }
    return left
  }
  const value = expression(1)
  return at === tokens.length && Number.isFinite(value) ? Option.some(value) : Option.none()
}

/** What code prints: the value of the expression that it is, or that it prints. */
export const printed = (code: string): Option.Option<string> =>
  Option.map(valueOf(/^\s*print\s*\((.*)\)\s*$/s.exec(code)?.[1] ?? code), String)

/** The first arithmetic expression in a text that has an operator in it. */
export const expressionIn = (text: string): string | undefined =>
  (text.match(/[\d(][\d\s.+*/%()-]*[\d)]/g) ?? []).find(
    (part) => /\d\s*[-+*/%]/.test(part) && Option.isSome(valueOf(part))
  )
