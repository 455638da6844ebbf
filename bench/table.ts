/** Tables of medians, with ratios beside absolute figures. */
import type { Measured } from "./rounds.ts"

export interface Column {
  readonly head: string
  /** Which figure. */
  readonly figure: string
  /** The subject that it is divided by, round by round: the one of the same variant. */
  readonly over?: string
  readonly digits: number
}

const median = (values: ReadonlyArray<number>): number | undefined => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const high = sorted[middle]
  const low = sorted[middle - 1]
  return sorted.length % 2 === 0 && high !== undefined && low !== undefined ? (low + high) / 2 : high
}

const cell = (column: Column, one: Measured, all: ReadonlyArray<Measured>): string => {
  const base = all.find(({ name, variant }) => name === column.over && variant === one.variant)
  const values = one.rounds.flatMap((figures, round) => {
    const value = figures?.[column.figure]
    if (column.over === undefined) return value === undefined ? [] : [value]
    // A ratio is of two figures of one round, never of two medians: the machine is not the same a minute later.
    const under = base?.rounds[round]?.[column.figure]
    return value === undefined || under === undefined ? [] : [value / under]
  })
  return (
    median(values)?.toLocaleString("en", {
      minimumFractionDigits: column.digits,
      maximumFractionDigits: column.digits
    }) ?? "-"
  )
}

const nameOf = ({ name, variant }: Measured): string => (variant === undefined ? name : `${name}, ${variant}`)

export interface Titles {
  readonly title: string
  readonly goal?: string | undefined
}

/** A table of one row of the bench, and below it the goal and why something is missing. */
export const table = (titles: Titles, columns: ReadonlyArray<Column>, all: ReadonlyArray<Measured>): string => {
  const lines = [
    ["", ...columns.map(({ head }) => head)],
    ...all.map((one) => [nameOf(one), ...columns.map((column) => cell(column, one, all))])
  ]
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  const shown = lines.map((line) =>
    line
      .map((text, column) => (column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0)))
      .join("  ")
  )
  const notes = all.flatMap((one) => one.notes.map((note) => `! ${nameOf(one)}: ${note}`))
  const goal = titles.goal === undefined ? [] : [`  goal: ${titles.goal}`]
  return ["", titles.title, ...shown.map((line) => `  ${line}`), ...goal, ...notes].join("\n")
}
