// Guarantee 5 against servers of the same API that say things otherwise: the least input of each fault, read as a stream,
// cut and filled by a look, and asked for as a whole.
import { Agent, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Prompt } from "effect/ai"
import { analyst } from "../support/runs.ts"
import { passing } from "../support/time.ts"
import { type Json, over, sse } from "./support.ts"

type Update = AgentUpdate.AgentUpdate

const respond = (status: number, body: unknown) =>
  Promise.resolve(new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } }))

const tooOld = {
  error: { message: "it is too old to be streamed", type: "invalid_request_error", param: null, code: null }
}

/** A server that tells a response by these events, the last of which has the response as it is then. */
const server = (events: ReadonlyArray<Json>, shown?: Json) => {
  const numbered = [
    { type: "response.created", response: { id: "resp_1", status: "queued", background: true } },
    ...events
  ].map((event, i): Json => ({ sequence_number: i, ...event }))
  const last = (shown ?? numbered.at(-1)?.["response"]) as Json
  const body = (some: ReadonlyArray<Json>) =>
    Promise.resolve(new Response(some.map(sse).join(""), { headers: { "content-type": "text/event-stream" } }))
  let replays = true
  const layer = Layer.merge(
    over((url, init) => {
      if (init?.method === "POST") return body(numbered)
      const query = new URL(String(url)).searchParams
      if (query.get("stream") !== "true") return respond(200, last)
      const after = Number(query.get("starting_after") ?? -1)
      return replays ? body(numbered.slice(after + 1)) : respond(400, tooOld)
    }),
    TokenStore.layerMemory
  )
  return { layer, refuseReplays: () => void (replays = false) }
}

const ending = (status: string, output: unknown, more: Json = {}): Json => ({
  type: `response.${status}`,
  response: { id: "resp_1", object: "response", status, background: true, output, error: null, usage: null, ...more }
})

const item = (type: string, more: Json): Json => ({ type: `response.output_item.${type}`, ...more })

const message = (text: string, more: Json = {}): Json => ({
  type: "message",
  id: "msg_1",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text, annotations: [] }],
  ...more
})

const delta = (text: string, more: Json = {}): Json => ({
  type: "response.output_text.delta",
  item_id: "msg_1",
  output_index: 0,
  content_index: 0,
  delta: text,
  ...more
})

const textOf = (updates: ReadonlyArray<Update>) => updates.map(({ text }) => text).join("")
const kindsOf = (updates: ReadonlyArray<Update>) =>
  updates.flatMap(({ part }) => (part === undefined ? [] : [part.type]))

/** What each part came to, its deltas joined. */
const joined = (updates: ReadonlyArray<Update>) => {
  const all = new Map<string, string>()
  for (const { part } of updates) {
    if (part === undefined) continue
    const key = "delta" in part || /-(start|end)$/.test(part.type) ? `${(part as { id: string }).id}` : part.type
    all.set(key, (all.get(key) ?? "") + ("delta" in part ? part.delta : `<${part.type}>`))
  }
  return [...all].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** Reads a run whole, and cut after every update, by replay and by a look: all come to the same. */
const everyWay = Effect.fnUntraced(function* (
  events: ReadonlyArray<Json>,
  shown?: Json,
  outcome: (updates: ReadonlyArray<Update>) => unknown = joined
) {
  const stream = (runId: string) => Agent.stream(analyst, { input: "Hello", runId })
  const collect = <E, R>(updates: Stream.Stream<Update, E, R>) =>
    Effect.gen(function* () {
      const read: Array<Update> = []
      const exit = yield* Effect.exit(Stream.runForEach(updates, (update) => Effect.sync(() => void read.push(update))))
      return { read, failed: exit._tag === "Failure" }
    })
  const told = server(events, shown)
  const whole = yield* passing(collect(stream("whole"))).pipe(Effect.provide(told.layer))
  const { response, run } = yield* Effect.gen(function* () {
    const answer = yield* passing(Effect.result(Agent.run(analyst, { input: "Hello", runId: "run" })))
    const look = yield* passing(Effect.result(Agent.poll(analyst, { runId: "run" })))
    return { run: answer, response: look }
  }).pipe(Effect.provide(server(events, shown).layer))
  for (let k = 1; k < whole.read.length; k++) {
    for (const how of ["replay", "look"] as const) {
      const cut = server(events, shown)
      const read = yield* Effect.gen(function* () {
        const head = yield* passing(Stream.runCollect(Stream.take(stream("cut"), k)))
        if (how === "look") cut.refuseReplays()
        const tail = yield* passing(collect(Agent.resume(analyst, { runId: "cut" })))
        assert.strictEqual(tail.failed, whole.failed, `${how} after ${k}`)
        return [...head, ...tail.read]
      }).pipe(Effect.provide(cut.layer))
      assert.deepStrictEqual(outcome(read), outcome(whole.read), `${how} after ${k}`)
    }
  }
  return { updates: whole.read, failed: whole.failed, run, response }
})

const said = (result: { readonly run: { readonly _tag: string; readonly success?: { readonly text: string } } }) =>
  result.run._tag === "Success" ? result.run.success?.text : undefined

describe("C1: what only an end carries is delivered", () => {
  const added = item("added", { output_index: 0, item: message("", { status: "in_progress", content: [] }) })
  const done = item("done", { output_index: 0, item: message("Hello world") })
  const textDone = {
    type: "response.output_text.done",
    item_id: "msg_1",
    output_index: 0,
    content_index: 0,
    text: "Hello world"
  }
  const ended = ending("completed", [message("Hello world")])
  const empty = ending("completed", [])
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<Json>]> = [
    ["the end of the text", [added, textDone, done, ended]],
    ["the end of the item", [added, done, ended]],
    ["the item's end alone", [done, ended]],
    ["the end of the response", [ended]],
    ["the item's end, and nothing else shows it", [added, done, empty]],
    ["the tail of a text", [added, delta("Hello "), textDone, done, ended]],
    ["the tail, at the item's end", [added, delta("Hello "), done, ended]],
    ["the tail, at the response's end", [added, delta("Hello "), ended]]
  ]
  it.effect.each(cases)("%s", ([, events]) =>
    Effect.gen(function* () {
      const shown =
        events.at(-1) === empty ? (ending("completed", [message("Hello world")])["response"] as Json) : undefined
      const told = yield* everyWay(events, shown)
      assert.strictEqual(textOf(told.updates), "Hello world")
      assert.strictEqual(said(told), "Hello world")
      assert.strictEqual(kindsOf(told.updates).filter((type) => type === "text-end").length, 1)
    })
  )

  it.effect("a summary, a refusal, citations, a call and its parameters", () =>
    Effect.gen(function* () {
      const cited = { type: "url_citation", url: "https://example.com", title: "Example", start_index: 0, end_index: 1 }
      const output = [
        { type: "reasoning", id: "rs_1", status: "completed", summary: [{ type: "summary_text", text: "Because." }] },
        message("See there", { content: [{ type: "output_text", text: "See there", annotations: [cited] }] }),
        message("", { id: "msg_2", content: [{ type: "refusal", refusal: "I will not." }] }),
        {
          type: "function_call",
          id: "fc_1",
          status: "completed",
          call_id: "call_1",
          name: "look",
          arguments: '{"at":1}'
        }
      ]
      const told = yield* everyWay([
        ...output.map((one, i) => item("done", { output_index: i, item: one })),
        ending("completed", output)
      ])
      assert.deepStrictEqual(joined(told.updates), [
        ["0:0:0", "<reasoning-start>Because.<reasoning-end>"],
        ["0:1:0", "<text-start>See there<text-end>"],
        ["0:2:0", "<text-start>I will not.<text-end>"],
        ["0:3:0", '<tool-params-start>{"at":1}<tool-params-end>'],
        ["finish", "<finish>"],
        ["source", "<source>"],
        ["tool-call", "<tool-call>"]
      ])
      const finish = told.updates.at(-1)?.part
      assert.strictEqual(finish?.type === "finish" && finish.reason, "tool-calls")
    })
  )
})

describe("C2: a place is believed only if what it holds agrees", () => {
  const reasoning = {
    type: "reasoning",
    id: "rs_1",
    status: "completed",
    summary: [{ type: "summary_text", text: "Hm." }]
  }

  it.effect("a response that shows its message alone, after reasoning", () =>
    Effect.gen(function* () {
      const events = [
        item("done", { output_index: 0, item: reasoning }),
        item("added", { output_index: 1, item: message("", { content: [] }) }),
        delta("Hello ", { output_index: 1 }),
        delta("world", { output_index: 1 }),
        item("done", { output_index: 1, item: message("Hello world") }),
        ending("completed", [message("Hello world")])
      ]
      // Who was not there for the reasoning cannot be told of it.
      const told = yield* everyWay(events, undefined, textOf)
      assert.strictEqual(textOf(told.updates), "Hello world")
    })
  )

  it.effect("reasoning and a message at one index", () =>
    Effect.gen(function* () {
      const told = yield* everyWay([
        item("added", { output_index: 0, item: { ...reasoning, status: "in_progress", summary: [] } }),
        item("done", { output_index: 0, item: reasoning }),
        item("added", { output_index: 0, item: message("", { content: [] }) }),
        delta("Hello "),
        delta("world"),
        item("done", { output_index: 0, item: message("Hello world") }),
        ending("completed", [reasoning, message("Hello world")])
      ])
      assert.strictEqual(textOf(told.updates), "Hello world")
    })
  )

  it.effect("a response that says something else is RunDiverged, and asked for whole all the same", () =>
    Effect.gen(function* () {
      const events = [delta("Hello "), delta("there"), ending("completed", [message("Good morning")])]
      const { layer } = server(events)
      yield* Effect.gen(function* () {
        const error = yield* passing(
          Effect.flip(Stream.runDrain(Agent.stream(analyst, { input: "Hello", runId: "r" })))
        )
        assert.strictEqual(error.reason._tag, "RunDiverged")
        assert.match(error.message, /Agent\.result/)
        assert.strictEqual((yield* passing(Agent.result(analyst, { runId: "r" }))).text, "Good morning")
      }).pipe(Effect.provide(layer))
    })
  )
})

describe("C5: an end that shows no output", () => {
  const events = (output: unknown) => [
    item("added", { output_index: 0, item: message("", { content: [] }) }),
    delta("Hello "),
    delta("world"),
    item("done", { output_index: 0, item: message("Hello world") }),
    ending("completed", output)
  ]
  const shown = ending("completed", [message("Hello world")])["response"] as Json

  it.effect.each([[null], [[]], [undefined]])("%j: what was delivered counts", ([output]) =>
    Effect.gen(function* () {
      const told = yield* everyWay(events(output), shown)
      assert.strictEqual(textOf(told.updates), "Hello world")
      assert.strictEqual(said(told), "Hello world")
    })
  )

  it.effect("a call that only its item's end told is asked for", () =>
    Effect.gen(function* () {
      const call = {
        type: "function_call",
        id: "fc_1",
        status: "completed",
        call_id: "call_1",
        name: "look",
        arguments: "{}"
      }
      const { layer } = server([item("done", { output_index: 0, item: call }), ending("completed", [])])
      const response = yield* passing(Agent.run(analyst, { input: "Hello", runId: "r" })).pipe(Effect.provide(layer))
      assert.deepStrictEqual(
        response.content.map(({ type }) => type),
        ["tool-call"]
      )
      assert.strictEqual(response.finishReason._tag === "Some" && response.finishReason.value, "tool-calls")
    })
  )

  it.effect("who resumed looks once more, and does not answer with less", () =>
    Effect.gen(function* () {
      const { layer } = server(events([]))
      yield* Effect.gen(function* () {
        yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), 4)))
        const error = yield* passing(Effect.flip(Agent.run(analyst, { input: "Hello", runId: "r" })))
        assert.strictEqual(error.reason._tag, "RunDiverged")
        assert.strictEqual(
          (yield* passing(Effect.flip(Agent.result(analyst, { runId: "r" })))).reason._tag,
          "RunDiverged"
        )
      }).pipe(Effect.provide(layer))
    })
  )
})

describe("C6: every part begins and ends", () => {
  it.effect("a text without its parts' events is a message of a prompt", () =>
    Effect.gen(function* () {
      const told = yield* everyWay([
        item("added", { output_index: 0, item: message("", { content: [] }) }),
        delta("Hello "),
        delta("world"),
        { type: "response.output_text.done", item_id: "msg_1", output_index: 0, content_index: 0, text: "Hello world" },
        ending("completed", [message("Hello world")])
      ])
      const prompt = Prompt.fromResponseParts(told.updates.flatMap(({ part }) => (part === undefined ? [] : [part])))
      assert.deepStrictEqual(
        prompt.content.flatMap((one) =>
          one.role === "assistant" ? one.content.map((part) => "text" in part && part.text) : []
        ),
        ["Hello world"]
      )
    })
  )

  it.effect.each(["cancelled", "failed", "incomplete"])("a text that was under way when the run was %s", (status) =>
    Effect.gen(function* () {
      const told = yield* everyWay([delta("Hello "), delta("wor"), ending(status, [message("Hello wor")])])
      assert.deepStrictEqual(kindsOf(told.updates), ["text-start", "text-delta", "text-delta", "text-end", "finish"])
      assert.strictEqual(told.failed, status !== "incomplete")
    })
  )
})

describe("C7: indices and ids", () => {
  it.effect("a fresh id in every event, and no index at all", () =>
    Effect.gen(function* () {
      let fresh = 0
      const named = (event: Json): Json => {
        const { content_index: _, output_index: __, ...rest } = event
        const id = `x_${fresh++}`
        return "item" in rest ? { ...rest, item: { ...(rest["item"] as Json), id } } : { ...rest, item_id: id }
      }
      const told = yield* everyWay([
        named(item("added", { item: message("", { content: [] }) })),
        named(delta("Hello ")),
        named(delta("world")),
        named(item("done", { item: message("Hello world") })),
        named(item("added", { item: message("", { content: [] }) })),
        named(delta("Good")),
        named(delta(" bye")),
        named(item("done", { item: message("Good bye") })),
        ending("completed", [message("Hello world"), message("Good bye", { id: "msg_9" })])
      ])
      assert.strictEqual(textOf(told.updates), "Hello worldGood bye")
      assert.strictEqual(kindsOf(told.updates).filter((type) => type === "text-start").length, 2)
    })
  )
})

describe("C13: halves of a character", () => {
  it.effect("wait for each other, also over a cut", () =>
    Effect.gen(function* () {
      const told = yield* everyWay([
        delta("a\ud83d"),
        delta("\ude80b"),
        item("done", { output_index: 0, item: message("a🚀b") }),
        ending("completed", [message("a🚀b")])
      ])
      assert.strictEqual(textOf(told.updates), "a🚀b")
      for (const { text } of told.updates) assert.isTrue(text.isWellFormed())
    })
  )
})
