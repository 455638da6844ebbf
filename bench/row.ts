/** What all rows of the bench have in common. */
import { Effect } from "effect"
import { inRounds, type Subject } from "./rounds.ts"
import { type Column, table, type Titles } from "./table.ts"

/** What a row is given. */
export interface Setting {
  readonly env: Readonly<Record<string, string>>
  readonly noRedis: string | undefined
  readonly rounds: number
  /** Smaller numbers, to see that everything runs. */
  readonly quick: boolean
}

/** What those who read streams are called in tables. */
export const names = {
  fetch: "fetch (the limit)",
  openai: "openai",
  agents: "Agents SDK",
  ai: "AI SDK",
  nothing: "Baton, a store that does nothing",
  memory: "Baton, memory",
  file: "Baton, file",
  redis: "Baton, Redis",
  manual: "Baton, memory, one pull for each read"
}

/** Those who read streams, by their names in the programs. */
export const readers = (...subjects: ReadonlyArray<keyof typeof names>) =>
  subjects.map((subject) => ({ subject, name: names[subject] }))

/** Why a subject or store is absent, if it is. */
export const absentIn = (setting: Setting, subject: string) => (subject === "redis" ? setting.noRedis : undefined)

/** Measures the subjects of a row, and makes its table. */
export const done = Effect.fnUntraced(function* <R>(
  row: string,
  titles: Titles,
  columns: ReadonlyArray<Column>,
  subjects: ReadonlyArray<Subject<R>>,
  rounds: number
) {
  const measured = yield* inRounds(row, subjects, rounds)
  return { text: table(titles, columns, measured), failed: measured.some(({ failed }) => failed) }
})
