import { figure, type FigureColumn, type GroupColumn, type Table } from "./table.ts"

export interface Share {
  readonly name: string
  readonly total: number
  readonly share: number
}

export interface Growth {
  readonly name: string
  readonly first: number
  readonly last: number
  /** `undefined` if the first is zero. */
  readonly rate: number | undefined
}

export interface Anomaly {
  readonly group: string
  readonly figure: string
  readonly period: string
  readonly value: number
  readonly typical: number
  readonly score: number
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

const cells = (rows: Table["rows"], column: FigureColumn): ReadonlyArray<number> =>
  rows.flatMap((row) => figure(row[column.index]) ?? [])

const rowsOf = (table: Table, column: { readonly index: number }, value: string): Table["rows"] =>
  table.rows.filter((row) => (row[column.index] ?? "").trim() === value)

export const total = (table: Table, column: FigureColumn): number => sum(cells(table.rows, column))

export const summary = (table: Table, column: FigureColumn) => {
  const values = cells(table.rows, column)
  return {
    total: sum(values),
    mean: values.length === 0 ? 0 : sum(values) / values.length,
    median: median(values),
    lowest: values.reduce((low, value) => Math.min(low, value), Number.POSITIVE_INFINITY),
    highest: values.reduce((high, value) => Math.max(high, value), Number.NEGATIVE_INFINITY)
  }
}

/** The groups by their total, highest first. Groups with equal totals are sorted by name. */
export const ranking = (table: Table, group: GroupColumn, column: FigureColumn): ReadonlyArray<Share> => {
  const whole = total(table, column)
  return group.values
    .map((name) => {
      const part = sum(cells(rowsOf(table, group, name), column))
      return { name, total: part, share: whole === 0 ? 0 : part / whole }
    })
    .toSorted((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1))
}

/** One total for each period, in the order of the table. */
export const series = (
  table: Table,
  column: FigureColumn,
  rows: Table["rows"] = table.rows
): ReadonlyArray<{ readonly period: string; readonly value: number }> => {
  const { period } = table
  if (period === undefined) return []
  return period.values.flatMap((name) => {
    const inPeriod = rows.filter((row) => (row[period.index] ?? "").trim() === name)
    return inPeriod.length === 0 ? [] : [{ period: name, value: sum(cells(inPeriod, column)) }]
  })
}

export const growthOf = (name: string, points: ReadonlyArray<{ readonly value: number }>): Growth | undefined => {
  const first = points[0]?.value
  const last = points.at(-1)?.value
  return first === undefined || last === undefined || points.length < 2
    ? undefined
    : { name, first, last, rate: first === 0 ? undefined : (last - first) / Math.abs(first) }
}

/** The growth of each group from the first to the last period, strongest first. */
export const growth = (table: Table, group: GroupColumn, column: FigureColumn): ReadonlyArray<Growth> =>
  group.values
    .flatMap((name) => growthOf(name, series(table, column, rowsOf(table, group, name))) ?? [])
    .toSorted((a, b) => (b.rate ?? 0) - (a.rate ?? 0))

/**
 * Values that are far from the median of their series, measured in median
 * deviations. The outlier itself does not change that measure.
 */
export const anomalies = (table: Table): ReadonlyArray<Anomaly> => {
  const [group] = table.groups
  const found = table.figures.flatMap((column) =>
    (group === undefined ? [undefined] : group.values).flatMap((name) => {
      const rows = group === undefined || name === undefined ? table.rows : rowsOf(table, group, name)
      const points =
        table.period === undefined
          ? cells(rows, column).map((value, index) => ({ period: `row ${index + 1}`, value }))
          : series(table, column, rows)
      if (points.length < 4) return []
      const typical = median(points.map(({ value }) => value))
      const deviation = median(points.map(({ value }) => Math.abs(value - typical)))
      const spread = deviation === 0 ? Math.abs(typical) * 0.05 : deviation * 1.4826
      return points.flatMap(({ period, value }) => {
        const score = spread === 0 ? 0 : (value - typical) / spread
        return Math.abs(score) < 3.5
          ? []
          : [
              {
                group: name ?? "all rows",
                figure: column.name,
                period,
                value,
                typical,
                score
              }
            ]
      })
    })
  )
  return found.toSorted((a, b) => Math.abs(b.score) - Math.abs(a.score))
}
