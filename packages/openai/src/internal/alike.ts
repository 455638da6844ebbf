import type { ModelEvent, Statement } from "@effect-baton/core/BackgroundModel"
import type { Json } from "./fields.ts"

const quote = 34
const backslash = 92
const space = 32
const zero = 48
const nine = 57

// Shorter strings are copied when they are cut out of a text. A longer one would keep the whole text in memory.
const shortest = 13

// A number with more digits may not be a safe integer.
const mostDigits = 15

// After so many events in a row that differ, no more are looked at: some servers add probabilities to each delta.
const mostDifferent = 8

/** The end of a JSON string that begins here; -1 if it does not end, or has a character that JSON does not allow. */
const stringEnd = (text: string, from: number): number => {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) return at
    if (code < space) return -1
    if (code === backslash) at++
  }
  return -1
}

/** The end of a JSON integer that begins here; -1 if it is none, or too long. */
const integerEnd = (text: string, from: number): number => {
  let at = from
  while (at < text.length && text.charCodeAt(at) >= zero && text.charCodeAt(at) <= nine) at++
  const isWhole = at > from && at - from <= mostDigits && (text.charCodeAt(from) !== zero || at === from + 1)
  return isWhole ? at : -1
}

/** Whether a text stands for itself in JSON. */
const isPlain = (value: string): boolean => {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code < space || code === backslash) return false
  }
  return true
}

type Delta = Statement & { readonly _tag: "Delta" }

/** A delta that was not parsed, until somebody reads the event as it was sent. */
class AlikeDelta implements ModelEvent {
  readonly sequenceNumber: number
  readonly statements: ReadonlyArray<Statement>
  // Not fields of the event.
  readonly #text: string
  readonly #of: Alike

  constructor(sequenceNumber: number, statement: Delta, text: string, of: Alike) {
    this.sequenceNumber = sequenceNumber
    this.statements = [statement]
    this.#text = text
    this.#of = of
  }

  get raw(): unknown {
    this.#of.isParsed = true
    return JSON.parse(this.#text)
  }
}

/** The fields in which two deltas of one text differ, and where their values begin and end. */
const differing = ["sequence_number", "delta", "obfuscation"] as const
type Field = (typeof differing)[number]

interface Value {
  readonly field: Field
  readonly from: number
  readonly to: number
}

/** The value of a field in an event that was parsed; undefined if it is not certain where that is. */
const valueIn = (text: string, field: Field): Value | undefined => {
  // This text cannot stand inside a JSON string, where the quotes would be escaped. It can be a key of a nested object.
  const key = `"${field}":`
  const at = text.indexOf(key)
  if (at === -1 || text.includes(key, at + 1)) return undefined
  const from = at + key.length
  if (field === "sequence_number") {
    const to = integerEnd(text, from)
    return to === -1 ? undefined : { field, from, to }
  }
  const to = text.charCodeAt(from) === quote ? stringEnd(text, from + 1) : -1
  return to === -1 ? undefined : { field, from: from + 1, to }
}

/** What is the same in all deltas of one text: what stands before, between and after their own values. */
interface Form {
  readonly before: ReadonlyArray<string>
  readonly fields: ReadonlyArray<Field>
  readonly after: string
  readonly statement: Delta
}

const formOf = (text: string, raw: Json, { sequenceNumber }: ModelEvent, statement: Delta): Form | undefined => {
  const names = differing.filter((field) => field !== "obfuscation" || field in raw)
  const values = names.flatMap((field) => valueIn(text, field) ?? []).toSorted((a, b) => a.from - b.from)
  if (values.length !== names.length) return undefined
  const isRead = values.every(({ field, from, to }) => {
    if (field === "obfuscation") return true
    return field === "delta"
      ? JSON.parse(text.slice(from - 1, to + 1)) === statement.delta
      : Number(text.slice(from, to)) === sequenceNumber
  })
  if (!isRead) return undefined
  return {
    before: values.map(({ from }, i) => text.slice(i === 0 ? 0 : values[i - 1]!.to, from)),
    fields: values.map(({ field }) => field),
    after: text.slice(values.at(-1)!.to),
    statement
  }
}

/**
 * Reads deltas that differ from an earlier one in nothing but their number and their text, without parsing them. Nearly all
 * events of a long answer are such deltas, and parsing is the largest part of what each of them costs.
 *
 * An event is read so only if everything else in it is, character by character, what stood in an event that was parsed.
 */
export class Alike {
  /** Whether somebody reads the events as they were sent: then reading them without parsing is work for nothing. */
  isParsed = false
  private form: Form | undefined
  private different = 0

  /** Looks at an event that was parsed. */
  learn(text: string, raw: Json, event: ModelEvent): void {
    const [statement] = event.statements
    if (statement?._tag !== "Delta" || this.isParsed || this.different >= mostDifferent) return
    this.different++
    // What is cut out of the text itself would keep the whole network read in memory, as long as the body is read.
    const copy: string = JSON.parse(JSON.stringify(text))
    this.form = formOf(copy, raw, event, statement)
  }

  /** Reads an event; undefined if it must be parsed. */
  read(text: string): ModelEvent | undefined {
    const { form } = this
    if (form === undefined || this.isParsed) return undefined
    const { after, before, fields, statement } = form
    let at = 0
    let sequenceNumber = 0
    let delta = ""
    for (let i = 0; i < fields.length; i++) {
      const literal = before[i]!
      const from = at + literal.length
      // Slices are compared at once, `startsWith` compares one character after the other.
      if (text.slice(at, from) !== literal) return undefined
      const field = fields[i]
      if (field === "sequence_number") {
        at = integerEnd(text, from)
        sequenceNumber = Number(text.slice(from, at))
      } else {
        at = text.indexOf('"', from)
        const value = text.slice(from, at)
        const plain = isPlain(value)
        if (!plain) at = stringEnd(text, from)
        if (field === "delta" && at !== -1) {
          delta = plain && value.length < shortest ? value : JSON.parse(text.slice(from - 1, at + 1))
        } else if (!plain) return undefined
      }
      if (at === -1) return undefined
    }
    if (text.slice(at) !== after) return undefined
    this.different = 0
    const { _tag, index, itemId, kind, lane } = statement
    return new AlikeDelta(sequenceNumber, { _tag, index, itemId, lane, kind, delta }, text, this)
  }
}
