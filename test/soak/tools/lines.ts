import { Schema } from "effect"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Task } from "../line.ts"

// What is kept about runs with tools, a line each, in the files of the worker that did or saw it.

const common = { runId: Schema.String, life: Schema.Int }

/** An update: with a log, its place tells it apart for all readers. */
const Update = Schema.Struct({
  did: Schema.tag("update"),
  ...common,
  reader: Schema.String,
  responseId: Schema.String,
  text: Schema.String,
  end: Schema.optionalKey(Schema.Int),
  offset: Schema.optionalKey(Schema.Int),
  epoch: Schema.optionalKey(Schema.Number),
  /** What else tells it from others. */
  rest: Schema.String,
  call: Schema.optionalKey(Schema.String),
  result: Schema.optionalKey(Schema.Unknown)
})

/** A reader stops: at the end of the run, or before. */
const Stop = Schema.Struct({ did: Schema.tag("stop"), ...common, reader: Schema.String, how: Schema.String })

/** The run is over: what its consumer was told of it. */
const End = Schema.Struct({
  did: Schema.tag("end"),
  ...common,
  status: Schema.String,
  text: Schema.String,
  /** The results, as the response has them, in order. */
  results: Schema.Array(Schema.Unknown)
})

/** A handler begins or ends. */
const Handler = Schema.Struct({
  did: Schema.Literals(["starts", "ends", "is interrupted"]),
  ...common,
  key: Schema.String,
  attempt: Schema.Int
})

/** Somebody outside answers a call. */
const Answer = Schema.Struct({
  did: Schema.Literals(["approve", "reject", "complete"]),
  ...common,
  call: Schema.String,
  by: Schema.String,
  /** `done`, or why not. */
  how: Schema.String
})

const Line = Schema.Union([Update, Stop, End, Handler, Answer])
export type Line = typeof Line.Type
export type LineOf<Did extends Line["did"]> = Extract<Line, { readonly did: Did }>

const Text = Schema.fromJsonString(Line)
const encode = Schema.encodeSync(Text)
const decode = Schema.decodeSync(Text)

const pathOf = (directory: string) => join(directory, "tools")

export const keeper =
  ({ directory }: Pick<Task, "directory">) =>
  (line: Line): void =>
    appendFileSync(pathOf(directory), `${encode(line)}\n`)

/** All lines of a worker. The last one of a killed life may be cut. */
export const readLines = ({ directory }: Pick<Task, "directory">): ReadonlyArray<Line> =>
  existsSync(pathOf(directory))
    ? readFileSync(pathOf(directory), "utf8")
        .split("\n")
        .filter((line) => line.startsWith("{") && line.endsWith("}"))
        .map((line) => decode(line))
    : []

const runsPath = (directory: string) => join(directory, "tools-runs")

/** Tells others that a run has begun, or is over. */
export const tell = ({ directory }: Pick<Task, "directory">, what: "begun" | "over", runId: string): void =>
  appendFileSync(runsPath(directory), `${what} ${runId}\n`)

/** The runs of a worker that have begun, and those of them that are over. */
export const readRuns = ({ directory }: Pick<Task, "directory">) => {
  const lines = existsSync(runsPath(directory)) ? readFileSync(runsPath(directory), "utf8").split("\n") : []
  const those = (what: string) =>
    new Set(lines.flatMap((line) => (line.startsWith(`${what} `) ? [line.slice(what.length + 1)] : [])))
  return { begun: those("begun"), over: those("over") }
}

/** The files of another worker. */
export const ofWorker = ({ directory }: Pick<Task, "directory">, worker: number): { readonly directory: string } => ({
  directory: join(dirname(directory), `${worker}`)
})
