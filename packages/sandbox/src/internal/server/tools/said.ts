import { escaped } from "./words.ts"

const named = (text: string, field: string): string | undefined => {
  const words = field.replace(/(?<=[a-z0-9])(?=[A-Z])/g, " ").split(/[^\p{L}\p{N}]+/u)
  const key = words.map(escaped).join("[ _-]?")
  const value = `"([^"]+)"|([\\p{L}\\p{N}][\\p{L}\\p{N}@._+-]*[\\p{L}\\p{N}]|[\\p{L}\\p{N}])`
  const found = new RegExp(`(?<![\\p{L}\\p{N}])${key}(?:\\s*[:=]\\s*|\\s+is\\s+)(?:${value})`, "iu").exec(text)
  return found?.[1] ?? found?.[2]
}

/** What a prompt says that can be a value: named values, quotations, names and numbers. */
export interface Said {
  readonly text: string
  readonly named: (field: string) => string | undefined
  readonly quotations: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
  readonly numbers: ReadonlyArray<number>
  readonly line: string
}

export const saidIn = (text: string): Said => {
  const line =
    text
      .split("\n")
      .find((one) => one.trim() !== "")
      ?.trim() ?? ""
  return {
    text,
    named: (field) => named(text, field),
    quotations: [...text.matchAll(/"([^"\n]+)"|“([^”\n]+)”/g)].map(([, straight, curly]) => straight ?? curly ?? ""),
    // A capital letter at the start of a sentence says nothing.
    names: [...text.matchAll(/(?<=[\p{L}\p{N},;:] )\p{Lu}[\p{L}-]+(?: \p{Lu}[\p{L}-]+)*/gu)].map(([name]) => name),
    numbers: (text.match(/(?<![\p{L}\p{N}.])-?\d+(?:\.\d+)?(?![\p{L}\p{N}])/gu) ?? []).map(Number),
    line: line.length > 200 ? `${line.slice(0, 199)}…` : line
  }
}
