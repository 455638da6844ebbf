import { anomalies, type Growth, growth, growthOf, ranking, series, summary, total } from "./statistics.ts"
import type { FigureColumn, GroupColumn, Table } from "./table.ts"

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 })
const precise = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 })
const percentage = new Intl.NumberFormat("en-US", {
  style: "percent",
  maximumFractionDigits: 1,
  signDisplay: "negative"
})
const change = new Intl.NumberFormat("en-US", { style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" })

const number = (value: number): string => (Math.abs(value) >= 1000 ? whole : precise).format(value)
const lower = (text: string): string => text.toLowerCase()
const plural = (name: string): string =>
  /s$/i.test(name) ? lower(name) : /[^aeiou]y$/i.test(name) ? `${lower(name).slice(0, -1)}ies` : `${lower(name)}s`

const list = (items: ReadonlyArray<string>): string =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

const table = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [row(header), row(header.map((_, index) => (index === 0 ? "---" : "---:"))), ...rows.map(row)].join("\n")

const arrow = (rate: number | undefined): string =>
  rate === undefined ? "•" : rate > 0.005 ? "▲" : rate < -0.005 ? "▼" : "→"

const movement = ({ first, last, name, rate }: Growth): string =>
  rate === undefined
    ? `${name} went from ${number(first)} to ${number(last)}`
    : Math.abs(rate) <= 0.005
      ? `${name} stayed level at ${number(last)}`
      : `${name} ${rate > 0 ? "grew" : "shrank"} from ${number(first)} to ${number(last)}, ${change.format(rate)}`

const overview = (data: Table): string => {
  const { period } = data
  const span =
    period === undefined || period.values.length === 0 ? "" : ` from ${period.values[0]} to ${period.values.at(-1)}`
  const groups = data.groups.map((group) =>
    group.values.length === 1
      ? `the ${lower(group.name)} ${group.values[0]}`
      : `${group.values.length} ${plural(group.name)} (${list(group.values)})`
  )
  return [
    `The table has ${data.rows.length} rows of ${list(data.figures.map(({ name }) => lower(name)))}${span}`,
    groups.length === 0 ? "." : `, over ${list(groups)}.`
  ].join("")
}

const totals = (data: Table): string => {
  const lines = data.figures.map((column) => {
    const { highest, lowest, mean, median } = summary(data, column)
    return [column.name, number(total(data, column)), number(mean), number(median), number(lowest), number(highest)]
  })
  const sentences = data.figures.map((column) => {
    const mean = number(summary(data, column).mean)
    return `${column.name} adds up to ${number(total(data, column))}, ${mean} a row on average.`
  })
  return `## Totals\n\n${table(["Figure", "Total", "Mean", "Median", "Lowest", "Highest"], lines)}\n\n${sentences.join(
    " "
  )}`
}

const comparison = (data: Table, group: GroupColumn, column: FigureColumn): string => {
  const ranks = ranking(data, group, column)
  const [first] = ranks
  const last = ranks.at(-1)
  const text =
    first === undefined || last === undefined || first === last
      ? ""
      : `${first.name} leads with ${number(first.total)}, ${percentage.format(first.share)} of all ${lower(
          column.name
        )}; ${last.name} comes last with ${number(last.total)}, ${percentage.format(last.share)}.${
          last.total > 0 ? ` The first has ${precise.format(first.total / last.total)} times the last.` : ""
        }`
  const lines = ranks.map((rank, index) => [
    `${index + 1}. ${rank.name}`,
    number(rank.total),
    percentage.format(rank.share)
  ])
  return `### ${column.name} by ${lower(group.name)}\n\n${table([group.name, column.name, "Share"], lines)}\n\n${text}`
}

const growthSection = (data: Table, group: GroupColumn | undefined): string => {
  const { period } = data
  if (period === undefined || period.values.length < 2) return ""
  const parts = data.figures.map((column) => {
    const overall = growthOf(column.name, series(data, column))
    const groups = group === undefined ? [] : growth(data, group, column)
    const lines = groups.map((one) => `- ${arrow(one.rate)} ${movement(one)}`)
    return [
      `### ${column.name}`,
      overall === undefined ? "" : `${movement(overall)} between ${period.values[0]} and ${period.values.at(-1)}.`,
      lines.join("\n")
    ]
      .filter((text) => text !== "")
      .join("\n\n")
  })
  return `## Growth\n\n${parts.join("\n\n")}`
}

const periods = (data: Table): string => {
  const [column] = data.figures
  if (data.period === undefined || column === undefined) return ""
  const points = series(data, column)
  const lines = points.map(({ period, value }, index) => {
    const before = points[index - 1]?.value
    const rate = before === undefined || before === 0 ? undefined : (value - before) / Math.abs(before)
    return [period, number(value), rate === undefined ? "–" : `${arrow(rate)} ${change.format(rate)}`]
  })
  const best = points.toSorted((a, b) => b.value - a.value)[0]
  const worst = points.toSorted((a, b) => a.value - b.value)[0]
  const text =
    best === undefined || worst === undefined
      ? ""
      : `The best was ${best.period} with ${number(best.value)}, the weakest ${worst.period} with ${number(worst.value)}.`
  return `## ${column.name}, ${lower(data.period.name)} by ${lower(data.period.name)}\n\n${table(
    [data.period.name, column.name, "Change"],
    lines
  )}\n\n${text}`
}

const anomalySection = (data: Table): string => {
  const found = anomalies(data).slice(0, 8)
  if (found.length === 0) {
    return "## Anomalies\n\nNo value lies far from what is typical of its series."
  }
  const lines = found.map(
    (one) =>
      `- **${one.group}, ${one.period}**: ${lower(one.figure)} of ${number(one.value)}, where ${number(
        one.typical
      )} is typical (${precise.format(Math.abs(one.score))} deviations ${one.score > 0 ? "above" : "below"}).`
  )
  return `## Anomalies\n\n${
    found.length === 1 ? "One value lies" : `${found.length} values lie`
  } far from what is typical of its series:\n\n${lines.join("\n")}`
}

const nextSteps = (data: Table): string => {
  const [column] = data.figures
  const [group] = data.groups
  if (column === undefined) return ""
  const steps: Array<string> = []
  if (group !== undefined && group.values.length > 1) {
    const movements = growth(data, group, column)
    const weakest = movements.at(-1)
    const strongest = movements[0]
    if (strongest !== undefined && (strongest.rate ?? 0) > 0) {
      steps.push(`Learn from ${strongest.name}: its ${lower(column.name)} grew fastest.`)
    }
    if (weakest !== undefined && (weakest.rate ?? 0) < 0) {
      steps.push(`Look into ${weakest.name}, where ${lower(column.name)} fell.`)
    }
    const top = ranking(data, group, column)[0]
    if (top !== undefined && top.share > 0.5) {
      steps.push(`More than half of all ${lower(column.name)} depends on ${top.name}.`)
    }
  }
  const odd = anomalies(data)[0]
  if (odd !== undefined)
    steps.push(`Check the figures of ${odd.group} for ${odd.period}: they may be an error, or news.`)
  if (steps.length === 0) steps.push("Nothing calls for action: the figures are even.")
  return `## What to look at next\n\n${steps.map((step, index) => `${index + 1}. ${step}`).join("\n")}`
}

/** Writes a Markdown report on a table. The same table gives the same report. */
export const report = (title: string, data: Table): string => {
  const [group, ...others] = data.groups
  const [column] = data.figures
  const compared =
    group !== undefined && group.values.length > 1
      ? `## By ${lower(group.name)}\n\n${data.figures.map((figure) => comparison(data, group, figure)).join("\n\n")}`
      : ""
  const further =
    column === undefined
      ? []
      : others
          .filter(({ values }) => values.length > 1)
          .map((other) => `## By ${lower(other.name)}\n\n${comparison(data, other, column)}`)
  return (
    [
      `# ${title}`,
      overview(data),
      totals(data),
      compared,
      ...further,
      growthSection(data, group),
      periods(data),
      anomalySection(data),
      nextSteps(data)
    ]
      .filter((section) => section !== "")
      .join("\n\n") + "\n"
  )
}
