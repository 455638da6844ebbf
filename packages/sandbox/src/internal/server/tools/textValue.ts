import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { type Json, stringOf } from "../json.ts"
import type { Said } from "./said.ts"

const formats: { readonly [format: string]: (variant: number) => string } = {
  date: (variant) => `2025-01-${String(1 + (variant % 28)).padStart(2, "0")}`,
  "date-time": (variant) => `2025-01-${String(1 + (variant % 28)).padStart(2, "0")}T12:00:00Z`,
  time: (variant) => `${String(variant % 24).padStart(2, "0")}:00:00Z`,
  duration: (variant) => `PT${1 + variant}H`,
  email: (variant) => `user${variant === 0 ? "" : variant}@example.com`,
  hostname: (variant) => `${variant === 0 ? "www" : `www${variant}`}.example.com`,
  uri: (variant) => `https://example.com/${variant === 0 ? "" : variant}`,
  url: (variant) => `https://example.com/${variant === 0 ? "" : variant}`,
  ipv4: (variant) => `192.0.2.${1 + (variant % 254)}`,
  ipv6: (variant) => `2001:db8::${(1 + variant).toString(16)}`,
  uuid: (variant) => `00000000-0000-4000-8000-${variant.toString(16).padStart(12, "0")}`
}

const inFormat: { readonly [format: string]: RegExp } = {
  date: /\b\d{4}-\d{2}-\d{2}\b/,
  "date-time": /\b\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|[+-]\d{2}:\d{2})/,
  email: /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/,
  uri: /https?:\/\/[^\s"'<>)]+/,
  url: /https?:\/\/[^\s"'<>)]+/,
  uuid: /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/i,
  ipv4: /\b\d{1,3}(?:\.\d{1,3}){3}\b/
}

// Fields whose value is the whole of what was asked.
const wholePrompt = /^(?:query|question|text|prompt|message|input|content|body|request|search|q)$/i

const fromPrompt = (said: Said, field: string, variant: number, nextName: () => number): string => {
  const own = said.named(field)
  if (own !== undefined) return own
  if (wholePrompt.test(field)) return said.quotations[variant] ?? said.line
  const index = nextName()
  const taken = [...said.quotations, ...said.names]
  return taken[index] ?? taken.at(-1) ?? said.line
}

const numberOf = (value: unknown): number | undefined => (Predicate.isNumber(value) ? value : undefined)

const characters = (text: string): number => [...text].length

const sized = (text: string, schema: Json): string => {
  const least = numberOf(schema["minLength"]) ?? 0
  const most = numberOf(schema["maxLength"]) ?? Number.POSITIVE_INFINITY
  const points = [...text]
  const cut = points.length > most ? points.slice(0, most).join("") : text
  return characters(cut) < least ? cut.padEnd(cut.length + least - characters(cut), "x") : cut
}

const patterned = (text: string, schema: Json, said: Said): string => {
  const pattern = stringOf(schema["pattern"])
  if (pattern === undefined) return text
  const compiled = Result.getOrUndefined(Result.try(() => new RegExp(pattern, "u")))
  const tries = [text, ...said.quotations, ...said.names, ...said.text.split(/[\s,;:!?]+/), "a", "A", "1", "abc", "ABC"]
  return tries.find((value) => value !== "" && compiled?.test(value) === true) ?? text
}

/** A text that fits a schema of strings. `nextName` counts the fields that took a name from the prompt. */
export const textFor = (
  said: Said,
  schema: Json,
  at: { readonly field: string; readonly variant: number },
  nextName: () => number
): string => {
  const format = stringOf(schema["format"]) ?? ""
  const made = formats[format]
  if (made !== undefined) {
    const found = at.variant === 0 ? inFormat[format]?.exec(said.text)?.[0] : undefined
    return found ?? made(at.variant)
  }
  const text = fromPrompt(said, at.field, at.variant, nextName)
  const shown = text === "" ? at.field : text
  return sized(patterned(at.variant === 0 ? shown : `${shown} ${at.variant + 1}`, schema, said), schema)
}
