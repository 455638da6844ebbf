import { BackgroundModel, ContinuationToken, Follow, type Followed, Run } from "@effect-baton/core"
import type { AgentUpdate } from "@effect-baton/core/AgentUpdate"
import { assert } from "@effect/vitest"
import { Effect, Option, Stream, Struct } from "effect"
import type { Response } from "effect/ai"
import { passing } from "../support/time.ts"

// Responses told statement by statement, and how they are read: for tests of single rules of a position.

type Event = BackgroundModel.ModelEvent
type Item = BackgroundModel.SnapshotItem
export type Lane = BackgroundModel.Lane
type Snapshot = BackgroundModel.ModelSnapshot
export type Statement = BackgroundModel.Statement
type Token = ContinuationToken.ContinuationToken

/** The position before the first update of a turn. */
export const startOf = (turn: number): Token => ContinuationToken.start("analyst", Run.RunId.make("run-1"), 1, { turn })

export const first = startOf(0)

export const added = (index?: number, itemId?: string): Statement => ({ _tag: "ItemAdded", index, itemId, lanes: [] })

export const delta = (said: string, index?: number, lane = 0, itemId?: string): Statement => ({
  _tag: "Delta",
  index,
  itemId,
  lane,
  kind: "text",
  delta: said
})

export const thought = (said: string, index = 0): Statement => ({
  _tag: "Delta",
  index,
  lane: 0,
  kind: "reasoning",
  delta: said
})

export const ended = (said: string | undefined, index?: number, lane = 0): Statement => ({
  _tag: "LaneEnded",
  index,
  lane,
  kind: "text",
  ...(said === undefined ? {} : { text: said })
})

export const done = (lanes?: ReadonlyArray<Lane>, index?: number): Statement => ({
  _tag: "ItemDone",
  index,
  ...(lanes === undefined ? {} : { lanes })
})

export const textLane = (said: string, lane = 0): Lane => ({ lane, kind: "text", text: said })

export const reasoningLane = (said: string): Lane => ({ lane: 0, kind: "reasoning", text: said })

export const source = (k: number): BackgroundModel.SourceWithoutId => ({
  type: "source",
  sourceType: "url",
  url: `https://example.com/${k}`,
  title: `Source ${k}`
})

export const callLane = {
  lane: 1,
  kind: "single",
  part: { type: "tool-call", id: "call_1", name: "tool", params: {}, providerExecuted: false }
} as const satisfies Lane

export const item = (...lanes: ReadonlyArray<Lane>): Item => ({ lanes, done: true })

export const message = (said: string): Item => item(textLane(said))

const finish = (reason: Response.FinishReason): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage: { inputTokens: {}, outputTokens: {} }
})

const reasonOf = (status: Run.RunStatus): Response.FinishReason =>
  status === "failed" ? "error" : status === "cancelled" ? "other" : "stop"

/** What a look shows, or the end of a response. */
export const shown = (items: ReadonlyArray<Item>, status: Run.RunStatus = "completed"): Snapshot => ({
  responseId: "resp_1",
  status,
  items,
  ...(status === "in_progress" ? {} : { finish: finish(reasonOf(status)) })
})

/** A response: an event for each list of statements, and its end. */
export const told = (
  said: ReadonlyArray<Statement | ReadonlyArray<Statement>>,
  end: Snapshot
): ReadonlyArray<Event> => [
  ...said.map((statements, i) => ({
    sequenceNumber: i,
    statements: "_tag" in statements ? [statements] : statements
  })),
  { sequenceNumber: said.length, statements: [], status: end.status, responseId: end.responseId, terminal: end }
]

/** A provider with these events, whose looks show this, the last for ever: by default what the last event shows. */
export const provider = (events: ReadonlyArray<Event>, looks: ReadonlyArray<Snapshot> = []) => {
  let looked = 0
  const shows = looks.length > 0 ? looks : [events.at(-1)!.terminal!]
  return BackgroundModel.BackgroundModel.of({
    provider: "made-up",
    model: "made-up",
    capabilities: { background: true, resume: true, cancel: true },
    demands: () => ({ streamed: true }),
    create: () => Stream.die("create"),
    submit: () => Effect.die("submit"),
    resume: (_, { after = -1 }) => Stream.fromArray(events.filter(({ sequenceNumber = -1 }) => sequenceNumber > after)),
    retrieve: () => Effect.sync(() => ({ snapshot: shows[Math.min(looked++, shows.length - 1)]! })),
    cancel: () => Effect.die("cancel"),
    remove: () => Effect.die("remove")
  })
}

interface Read {
  readonly updates: ReadonlyArray<AgentUpdate>
  readonly end: Followed.ResponseEnded | undefined
  readonly failure: string | undefined
}

const readFrom = Effect.fnUntraced(function* (
  from: Token,
  model: BackgroundModel.BackgroundModel["Service"],
  streamed: boolean
): Effect.fn.Return<Read> {
  const updates: Array<AgentUpdate> = []
  let end: Followed.ResponseEnded | undefined
  const failure = yield* passing(
    Follow.response({ responseId: "resp_1", streamed }, from).pipe(
      Stream.runForEach((element) =>
        Effect.sync(() => {
          if (element._tag === "Update") updates.push(element)
          if (element._tag === "ResponseEnded") end = element
        })
      ),
      Effect.provideService(BackgroundModel.BackgroundModel, model),
      Effect.match({ onSuccess: () => undefined, onFailure: ({ reason }) => reason._tag })
    )
  )
  return { updates, end, failure }
})

/** Reads a response as a stream. */
export const stream = (events: ReadonlyArray<Event>, from = first, ...looks: ReadonlyArray<Snapshot>) =>
  readFrom(from, provider(events, looks), true)

/** Polls a response, whose looks show this. */
export const look = (from: Token, ...looks: ReadonlyArray<Snapshot>) => readFrom(from, provider([], looks), false)

/** The position after so many updates. */
export const tokenAfter = (updates: ReadonlyArray<AgentUpdate>, k: number): Token =>
  k === 0 ? first : Option.getOrThrow(updates[k - 1]!.continuationToken)

/** The parts of these updates, one after the other. */
export const partsOf = (updates: ReadonlyArray<AgentUpdate>): ReadonlyArray<string> =>
  updates.flatMap(({ part }) => {
    if (part === undefined) return []
    if (part.type === "finish") return [`finish ${part.reason}`]
    const id = "id" in part ? String(part.id) : ""
    return "delta" in part ? [`${id} ${part.delta}`] : [`${id} <${part.type}>`]
  })

/** The parts with the deltas of each text joined, by id. */
export const joined = (updates: ReadonlyArray<AgentUpdate>): Readonly<Record<string, string>> => {
  const all: Record<string, string> = {}
  for (const said of partsOf(updates)) {
    const at = said.indexOf(" ")
    const id = said.slice(0, at)
    all[id] = (all[id] ?? "") + said.slice(at + 1)
  }
  return all
}

/** A text with its start and its end, as `joined` tells it. */
export const whole = (said: string, kind = "text") => `<${kind}-start>${said}<${kind}-end>`

/** Updates without what tells where they came from. A token is made when it is read, and compared by what it is then. */
export const plain = (updates: ReadonlyArray<AgentUpdate>) =>
  updates.map((update) => ({
    ...Struct.omit(update, ["origin", "raw", "continuationToken"]),
    token: Option.getOrUndefined(update.continuationToken)
  }))

/** Reads a response as a stream; cut after each update, a replay is the rest, and a look fills the rest in. */
export const readEverywhere = Effect.fnUntraced(function* (
  events: ReadonlyArray<Event>,
  snapshot?: Snapshot
): Effect.fn.Return<ReadonlyArray<AgentUpdate>> {
  const { failure, updates } = yield* stream(events)
  assert.isUndefined(failure)
  for (let k = 0; k < updates.length; k++) {
    const from = tokenAfter(updates, k)
    const replayed = yield* stream(events, from)
    assert.isUndefined(replayed.failure)
    assert.deepStrictEqual(plain(replayed.updates), plain(updates.slice(k)), `replayed after ${k}`)
    if (snapshot === undefined) continue
    const filled = yield* look(from, snapshot)
    assert.isUndefined(filled.failure, `filled after ${k}`)
    assert.deepStrictEqual(joined([...updates.slice(0, k), ...filled.updates]), joined(updates), `filled after ${k}`)
  }
  return updates
})
