import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Csv from "effect/encoding/Csv"

/** A column of text with few different values, which name groups of rows: regions, products. */
export interface GroupColumn {
  readonly name: string
  readonly index: number
  readonly values: ReadonlyArray<string>
}

export interface FigureColumn {
  readonly name: string
  readonly index: number
}

/** A table of figures, with the role of each column. */
export interface Table {
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
  readonly figures: ReadonlyArray<FigureColumn>
  /** Groups that can be compared, first the one that looks like regions. */
  readonly groups: ReadonlyArray<GroupColumn>
  readonly period: { readonly name: string; readonly index: number; readonly values: ReadonlyArray<string> } | undefined
}

const delimiters = [",", ";", "\t", "|"]

const fieldsOf = (line: string, delimiter: string): number => {
  let quoted = false
  let count = 1
  for (const character of line) {
    if (character === '"') quoted = !quoted
    else if (character === delimiter && !quoted) count++
  }
  return count
}

interface Block {
  readonly text: string
  readonly delimiter: string
  readonly first: number
  readonly last: number
}

// A table is the longest run of lines that have the same number of fields: it
// needs neither a fence nor a blank line around it.
const findBlock = (lines: ReadonlyArray<string>): Block | undefined => {
  let best: Block | undefined
  for (const delimiter of delimiters) {
    let start = 0
    for (let index = 1; index <= lines.length; index++) {
      const fields = fieldsOf(lines[start] ?? "", delimiter)
      if (index < lines.length && fields > 1 && fieldsOf(lines[index] ?? "", delimiter) === fields) continue
      const length = fields > 1 ? index - start : 0
      if (length >= 3 && length > (best === undefined ? 0 : best.last - best.first + 1)) {
        best = { text: lines.slice(start, index).join("\n"), delimiter, first: start, last: index - 1 }
      }
      start = index
    }
  }
  return best
}

/** A cell as a number. Thousands separators, currencies and percent signs are ignored. */
export const figure = (cell: string | undefined): number | undefined => {
  const text = (cell ?? "")
    .trim()
    .replace(/^[$€£¥]|[%€]$/g, "")
    .replace(/[,_ ](?=\d{3}(\D|$))/g, "")
  return text !== "" && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined
}

const periodName = /^(date|day|week|month|quarter|period|year|time)\b/i
const periodValue =
  /^(\d{4}([-/.]\d{1,2}){0,2}|\d{4}[- ]?(Q[1-4]|W\d{1,2})|Q[1-4]([- ]?\d{4})?|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*([- ]?\d{2,4})?)$/i
const regionName = /(region|area|country|territory|market|zone|city|state|store|branch|office)/i

const classify = (records: ReadonlyArray<ReadonlyArray<string>>): Table | undefined => {
  const [header = [], ...rows] = records
  if (rows.length < 2) return undefined
  const columns = header.map((name, index) => {
    const cells = rows.map((row) => (row[index] ?? "").trim())
    const filled = cells.filter((cell) => cell !== "")
    return { name: name.trim() || `column ${index + 1}`, index, filled, values: [...new Set(filled)] }
  })
  const period = columns.find(
    ({ filled, name }) => periodName.test(name) || (filled.length > 0 && filled.every((cell) => periodValue.test(cell)))
  )
  const rest = columns.filter((column) => column !== period && column.filled.length > 0)
  const figures = rest.filter(({ filled }) => filled.every((cell) => figure(cell) !== undefined))
  if (figures.length === 0) return undefined
  const groups = rest
    .filter(
      (column) => !figures.includes(column) && column.values.length > 1 && column.values.length <= rows.length / 2
    )
    .toSorted(
      (a, b) => Number(regionName.test(b.name)) - Number(regionName.test(a.name)) || a.values.length - b.values.length
    )
  return { rows, figures, groups, period }
}

/** A table that was found in a text, and the text around it. */
export interface Found {
  readonly table: Table
  readonly around: string
}

/** Finds the first table of figures in a text, with any header. */
export const findTable = Effect.fnUntraced(function* (text: string): Effect.fn.Return<Option.Option<Found>> {
  const lines = text.split(/\r\n|\n|\r/)
  const block = findBlock(lines)
  if (block === undefined) return Option.none()
  const decoded = yield* Stream.make(block.text).pipe(
    Stream.pipeThroughChannel(Csv.decodeString({ delimiter: block.delimiter, ignoreEmptyLines: true })),
    Stream.runCollect,
    Effect.option
  )
  return Option.flatMapNullishOr(decoded, (records) => {
    const table = classify(records)
    return table === undefined
      ? undefined
      : { table, around: [...lines.slice(0, block.first), ...lines.slice(block.last + 1)].join("\n") }
  })
})

/** The rows of a table that have one of these values in the group. */
export const only = (table: Table, group: GroupColumn, values: ReadonlyArray<string>): Table => ({
  ...table,
  rows: table.rows.filter((row) => values.includes((row[group.index] ?? "").trim())),
  groups: table.groups.map((other) => (other === group ? { ...group, values } : other))
})
