import { Schema } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"

// What a consumer keeps in a run's own file, a line each, in the order in which it happened.

const attempt = Schema.String

/** A consumer is about to read: by its input, by the run's id, by the latest token, or by an earlier one. */
const Try = Schema.Struct({
  did: Schema.tag("try"),
  attempt,
  by: Schema.Literals(["input", "id", "token", "early token"])
})

/** An update was delivered: `end` is where its text ends in the run's text, as the update's own position says. */
const Update = Schema.Struct({
  did: Schema.tag("update"),
  attempt,
  at: Schema.Number,
  origin: Schema.Literals(["live", "replay", "snapshot", "journal"]),
  sequence: Schema.optionalKey(Schema.Int),
  skip: Schema.Int,
  /** Of what one statement of an event becomes, only the offset tells the order. */
  offset: Schema.NullOr(Schema.Int),
  /** In a logged run: of the chunk that has the update. */
  epoch: Schema.optionalKey(Schema.Number),
  text: Schema.String,
  end: Schema.optionalKey(Schema.Int),
  last: Schema.Boolean
})

/** The consumer looked at the log right after it was given an update: so many updates were in it. */
const Look = Schema.Struct({ did: Schema.tag("look"), attempt, offset: Schema.Int, length: Schema.Int })

/** The consumer stopped before the end; the token is that of the last update, where it finished with it. */
const Stop = Schema.Struct({
  did: Schema.tag("stop"),
  attempt,
  how: Schema.String,
  token: Schema.optionalKey(Schema.String)
})

/** The run is over, as the consumer sees it, though the store may not say all of it. */
const End = Schema.Struct({
  did: Schema.tag("end"),
  attempt,
  status: Schema.String,
  unwritten: Schema.optionalKey(Schema.Boolean),
  unleft: Schema.optionalKey(Schema.Boolean)
})

const Line = Schema.Union([Try, Update, Look, Stop, End])
export type Line = typeof Line.Type
export type Update = typeof Update.Type
export type Try = typeof Try.Type

const Text = Schema.fromJsonString(Line)
const decode = Schema.decodeSync(Text)
export const encode = Schema.encodeSync(Text)

/** The lines of a file; the last one of a killed process may be cut. */
export const readLines = (path: string): ReadonlyArray<Line> =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => decode(line))

/** A viewer begins to watch a run after an update. */
const Joins = Schema.Struct({
  did: Schema.tag("joins"),
  offset: Schema.Int,
  epoch: Schema.optionalKey(Schema.Number)
})

const Sees = Schema.Struct({
  did: Schema.tag("sees"),
  offset: Schema.Int,
  epoch: Schema.Number,
  text: Schema.String
})

/** A viewer stops watching: by itself, for an error, or because the run is over. */
const Leaves = Schema.Struct({ did: Schema.tag("leaves"), how: Schema.String, over: Schema.Boolean })

const ViewLine = Schema.Union([Joins, Sees, Leaves])
export type ViewLine = typeof ViewLine.Type
const ViewText = Schema.fromJsonString(ViewLine)
const decodeView = Schema.decodeSync(ViewText)
export const encodeView = Schema.encodeSync(ViewText)

/** The lines of a viewer's file. */
export const readView = (path: string): ReadonlyArray<ViewLine> =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => decodeView(line))

/** What can be broken on purpose. */
export const sabotageNames = [
  "none",
  "dedupe",
  "ack",
  "fence",
  "log-fence",
  "log-order",
  "log-end",
  "tool-first"
] as const

/** What a worker finds left over when its life ends in order. */
export const Leaks = Schema.fromJsonString(
  Schema.Struct({ fibers: Schema.Int, sockets: Schema.Int, files: Schema.Int, what: Schema.Array(Schema.String) })
)

/** What the parent tells a worker through its environment. */
export const Task = Schema.fromJsonString(
  Schema.Struct({
    url: Schema.String,
    directory: Schema.String,
    /** Where the Redis is that the workers share; without it each keeps its runs in files. */
    redis: Schema.optionalKey(Schema.String),
    seed: Schema.String,
    worker: Schema.Int,
    workers: Schema.Int,
    life: Schema.Int,
    sideBySide: Schema.Int,
    /** No run begins after this time: milliseconds since the epoch. */
    until: Schema.Number,
    sabotage: Schema.Literals(sabotageNames)
  })
)
export type Task = typeof Task.Type

/** A file that is there when a worker's life has begun: a busy machine takes its time to start a process. */
export const begunPath = ({ directory, life }: Pick<Task, "directory" | "life">): string =>
  join(directory, `begun-${life}`)

/** A file that is there when all runs of a worker are over. */
export const finishedPath = ({ directory }: Pick<Task, "directory">): string => join(directory, "finished")
