import { NodeRedis, NodeServices } from "@effect/platform-node"
import { Agent, RunRecord, RunState, TokenStore, ToolCall, UpdateLog } from "@effect-baton/core"
import { RedisTokenStore, RedisUpdateLog } from "@effect-baton/redis"
import type { ResponseScript } from "@effect-baton/sandbox"
import { Duration, Effect, Layer, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

// A run of five turns with tool calls, and a sixth with the answer: what the processes of the crash tests do, and what must
// be so when the last of them is done.

export const runId = "main"
export const input = "Walk."

const look = Tool.make("look", {
  parameters: Schema.Struct({ turn: Schema.Int, part: Schema.String }),
  success: Schema.Struct({ said: Schema.String, by: Schema.String }),
  failure: Schema.Struct({ said: Schema.String, by: Schema.String }),
  failureMode: "return",
  dependencies: [ToolCall.ToolCall]
})

export const toolkit = Toolkit.make(look)

export const agent = Agent.make("walker", { background: true, toolkit })

/** The same for those who only watch: they need no tools. */
export const watched = Agent.make("walker", { background: true })

/** The turns that call tools. */
export const turns = 5

/** The calls of a turn. Their ids are the same in all turns: they are unique only within one. */
const partsOf = (turn: number): ReadonlyArray<string> => (turn >= turns ? [] : turn === 2 ? ["a", "b"] : ["a"])

const allCalls = Array.from({ length: turns }, (_, turn) => partsOf(turn).map((part) => ({ turn, part }))).flat()

/** What a call answers. One of them fails, in a way that the model is told. */
export const saidOf = (turn: number, part: string): string => `${turn}${part}`
export const isFailing = (turn: number): boolean => turn === 3

/** What the run says at its end: each result, in order. */
export const answer = `All: ${allCalls.map(({ part, turn }) => saidOf(turn, part)).join(", ")}.`

/** The kinds of parts of the answer: the calls of all turns with their results, and the last turn's text. */
export const contents: ReadonlyArray<string> = [
  ...Array.from({ length: turns }, (_, turn) => [
    ...partsOf(turn).map(() => "tool-call"),
    ...partsOf(turn).map(() => "tool-result")
  ]).flat(),
  "text"
]

const deltas = (text: string) => text.match(/\S+\s*/g) ?? []

/** The model of the server. `told` is called with the results that a request brings. */
export const model =
  (
    told: (outputs: ReadonlyArray<{ readonly turn: number; readonly callId: string; readonly output: string }>) => void
  ) =>
  ({ history, input: given }: ResponseScript.ModelRequest): Effect.Effect<ResponseScript.ResponseScript> =>
    Effect.sync(() => {
      const outputs = [...history, ...given].flatMap((item) => (item.type === "function_call_output" ? [item] : []))
      let turn = 0
      for (let known = 0; known < outputs.length; turn++) known += partsOf(turn).length
      told(
        given.flatMap((item) =>
          item.type === "function_call_output" ? [{ turn: turn - 1, callId: item.callId, output: item.output }] : []
        )
      )
      const results = outputs.map(({ output }) => /"said":"(\w+)"/.exec(output)?.[1] ?? output)
      const text = turn < turns ? `Step ${turn} looks at one more thing. ` : `All: ${results.join(", ")}.`
      return {
        items: [
          { type: "message", deltas: deltas(text) },
          ...partsOf(turn).map(
            (part) =>
              ({
                type: "function_call",
                name: "look",
                callId: `call_${part}`,
                deltas: deltas(JSON.stringify({ turn, part }))
              }) as const
          )
        ]
      }
    })

const sides = (places: ReadonlyArray<string>) => places.flatMap((place) => [`${place}:before`, `${place}:after`])

/** The places of a turn with calls, in their order. */
export const placesOfCalls = [
  "call item",
  ...sides(["ResponseEnded", "Allowed", "ToolStarted"].map((tag) => `fact ${tag}`)),
  "handler:before",
  "handler:in",
  "handler:after",
  ...sides(["fact ToolEnded"]),
  "result item"
]

/** The places of the request that opens a turn. */
export const placesOfRequest = sides(["fact Requested", "request", "fact Accepted"])

/** Where nobody knows whether a request bought a response. */
export const isUnconfirmedAt = (place: string): boolean =>
  /(fact Requested:after|request:before|request:after|fact Accepted:before)$/.test(place)

/** Where a handler has begun, and no result is recorded. */
export const isCutAt = (place: string): boolean =>
  /(fact ToolStarted:after|handler:(before|in|after)|fact ToolEnded:before)$/.test(place)

/** Where the processes of a test keep their runs. */
export const kept = (place: {
  readonly directory: string
  readonly redis: string | undefined
  readonly logged: boolean
}): Layer.Layer<TokenStore.TokenStore> => {
  const { directory, logged, redis } = place
  if (redis === undefined) {
    const store = TokenStore.layerFile({ directory: join(directory, "runs"), heartbeat: "50 millis" })
    const log = UpdateLog.layerFile({ directory: join(directory, "updates"), heartbeat: "50 millis" })
    return (logged ? Layer.merge(store, log) : store).pipe(Layer.provide(NodeServices.layer), Layer.orDie)
  }
  const prefix = directory.replaceAll(/[^a-zA-Z0-9]/g, "")
  const store = RedisTokenStore.layer({ prefix, timeout: Duration.minutes(2) })
  const log = RedisUpdateLog.layer({ prefix, timeout: Duration.minutes(2) })
  return (logged ? Layer.merge(store, log) : store).pipe(
    Layer.provide(NodeRedis.layer({ url: redis, disableOfflineQueue: true, socket: { connectTimeout: 120_000 } })),
    Layer.orDie
  )
}

/** What handlers do, counted outside their processes. */
const Note = Schema.Struct({
  did: Schema.Literals(["starts", "ends", "is interrupted"]),
  life: Schema.String,
  key: Schema.String,
  turn: Schema.Int,
  callId: Schema.String,
  attempt: Schema.Int
})
export type Note = typeof Note.Type

/** What a consumer was given. */
const Seen = Schema.Struct({
  life: Schema.String,
  type: Schema.String,
  responseId: Schema.String,
  text: Schema.String,
  /** Where the text ends in the text of its response. */
  end: Schema.optionalKey(Schema.Int),
  /** Of a result: its call, and what the journal has of it. */
  call: Schema.optionalKey(Schema.String),
  result: Schema.optionalKey(Schema.Unknown)
})
export type Seen = typeof Seen.Type

/** What a run says when it has ended. */
const Outcome = Schema.Struct({ status: Schema.String, text: Schema.String, content: Schema.Array(Schema.String) })

/** A file of lines, which outlives the processes that write it. The last line of a killed process may be cut. */
const file = <S extends Schema.Codec<unknown, unknown>>(name: string, schema: S) => {
  const codec = Schema.fromJsonString(schema)
  const encode = Schema.encodeSync(codec)
  const decode = Schema.decodeSync(codec)
  return {
    add: (directory: string, line: S["Type"]) => appendFileSync(join(directory, name), `${encode(line)}\n`),
    read: (directory: string): ReadonlyArray<S["Type"]> =>
      existsSync(join(directory, name))
        ? readFileSync(join(directory, name), "utf8")
            .split("\n")
            .filter((line) => line.endsWith("}"))
            .map((line) => decode(line))
        : []
  }
}

export const notes = file("calls", Note)
export const seen = file("seen", Seen)
export const outcomes = file("outcomes", Outcome)
export const reached = file("reached", Schema.Struct({ place: Schema.String }))

/** What is wrong with the calls of a run. `told`: the results that the model was given, by `turn:callId`. */
export const violations = (options: {
  readonly record: RunRecord.RunRecord
  readonly notes: ReadonlyArray<Note>
  readonly told: ReadonlyMap<string, ReadonlyArray<string>>
  readonly seen: ReadonlyArray<Seen>
}): ReadonlyArray<string> => {
  const { notes: noted, record, told } = options
  const found: Array<string> = []
  const { journal } = record
  const nameOf = ({ callId, turn }: { readonly turn: number; readonly callId: string }) => `${turn}:${callId}`
  if (new Set(journal.map(RunRecord.keyOf)).size < journal.length) found.push("a fact is in the journal twice")
  const facts = <Tag extends RunRecord.Fact["_tag"]>(tag: Tag, name: string) =>
    journal.filter(
      (fact): fact is RunRecord.FactOf<Tag> => fact._tag === tag && "callId" in fact && nameOf(fact) === name
    )
  const state = RunState.fold(record)
  const calls = state.turns.flatMap((of, turn) => of.calls.map((call) => ({ ...call, turn })))
  if (calls.length !== allCalls.length) found.push(`it has ${calls.length} calls`)
  for (const call of calls) {
    const name = nameOf(call)
    const ends = facts("ToolEnded", name)
    const started = facts("ToolStarted", name)
    if (ends.length !== 1) found.push(`${name} has ${ends.length} results`)
    if (started.some(({ n }, i) => n !== i + 1))
      found.push(`${name} was started as ${started.map(({ n }) => n).join()}`)
    const end = ends[0]
    if (end !== undefined && started.some((fact) => journal.indexOf(fact) > journal.indexOf(end))) {
      found.push(`${name} was started after its result`)
    }
    const runs = noted.filter((note) => nameOf(note) === name && note.did === "starts")
    if (runs.length === 0) found.push(`${name} has a result, and did not run`)
    if (new Set(runs.map(({ attempt }) => attempt)).size < runs.length) found.push(`${name} ran twice as one attempt`)
    for (const { attempt, key } of runs) {
      if (!started.some(({ n }) => n === attempt))
        found.push(`${name} ran as attempt ${attempt}, which was not recorded`)
      if (key !== `${record.runId}:${name}`) found.push(`${name} ran with the key ${key}`)
    }
    // All that learned of the result learned of the one that is recorded.
    const result = JSON.stringify(end?.result)
    // OpenAI's outputs do not say that they are failures.
    const output = end?.isFailure === true ? `{"error":${result}}` : result
    const outputs = told.get(name) ?? []
    if (outputs.length === 0) found.push(`the model was not told the result of ${name}`)
    for (const one of outputs) if (one !== output) found.push(`the model was told ${one} of ${name}, not ${output}`)
    const views = options.seen.filter(({ call: of }) => of === name)
    if (views.length === 0) found.push(`nobody saw the result of ${name}`)
    for (const view of views) {
      if (JSON.stringify(view.result) !== result) found.push(`${view.life} saw another result of ${name}`)
    }
  }
  return found
}

/** The texts of responses, as consumers got them, each in its place. */
export const textsOf = (lines: ReadonlyArray<Seen>): ReadonlyMap<string, string> => {
  const texts = new Map<string, string>()
  for (const { end, responseId, text } of lines) {
    if (end === undefined || text === "") continue
    const known = (texts.get(responseId) ?? "").padEnd(end - text.length, "?")
    texts.set(responseId, known.slice(0, end - text.length) + text + known.slice(end))
  }
  return texts
}
