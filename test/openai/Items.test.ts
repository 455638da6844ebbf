// Guarantees 1, 4 and 5 for each type of output item that the SDK knows: events and snapshots tell the same parts, a stream
// can be cut anywhere in them, and calls that wait for the caller are known as such.
import type { ModelSnapshot } from "@effect-baton/core/BackgroundModel"
import { ContinuationToken } from "@effect-baton/core"
import type { AgentUpdate } from "@effect-baton/core/AgentUpdate"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { readFile } from "node:fs/promises"
import { numbered } from "./everything.ts"
import { callerCases } from "./callerCases.ts"
import type { Case, Cases } from "./itemCase.ts"
import { providerCases } from "./providerCases.ts"
import { retrieved, sameBothWays } from "./lanes.ts"
import { joined, look, plain, stream, tokenAfter } from "./statements.ts"
import { completed, created, type Json, read, response, sse } from "./support.ts"

const cases: Cases = { ...callerCases, ...providerCases }
const allCases: ReadonlyArray<Case> = Object.values(cases).flat()

const text: Json = {
  type: "message",
  id: "msg_9",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text: "Done", annotations: [] }]
}

const named = allCases.map((each) => [`${each.item.type}: ${each.parts.join(", ")}`, each] as const)

/** The events of a response of these items, and its end. */
const recorded = (items: ReadonlyArray<Case>, end: Json = completed(0)): ReadonlyArray<Json> => {
  const output: ReadonlyArray<Json> = [...items.map(({ item }) => item as unknown as Json), text]
  return numbered([
    created(),
    ...items.flatMap(({ announced, events = [], item, stateless }, output_index) => {
      const begun = { ...item, ...announced, ...(stateless === true ? {} : { status: "in_progress" }) }
      return [
        { type: "response.output_item.added", output_index, item: begun },
        ...events.map((event) => ({ item_id: item.id, output_index, ...event })),
        { type: "response.output_item.done", output_index, item }
      ]
    }),
    { type: "response.output_item.added", output_index: items.length, item: { ...text, content: [] } },
    { type: "response.output_text.delta", output_index: items.length, content_index: 0, delta: "Done" },
    { type: "response.output_text.done", output_index: items.length, content_index: 0, text: "Done" },
    { type: "response.output_item.done", output_index: items.length, item: text },
    { ...end, response: { ...(end["response"] as Json), output } }
  ])
}

const inWords = ({ part }: AgentUpdate): ReadonlyArray<string> => {
  switch (part?.type) {
    case undefined:
    case "finish":
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return []
    case "tool-call":
      return [`call ${part.name} ${part.id}${part.providerExecuted ? " by the provider" : ""}`]
    case "tool-result":
      assert.isTrue(part.providerExecuted)
      return [`${part.preliminary ? "preliminary" : part.isFailure ? "failure" : "result"} ${part.name} ${part.id}`]
    case "tool-approval-request":
      return [`approval ${part.approvalId} of ${part.toolCallId}`]
    case "file":
      return [`file ${part.mediaType}`]
    default:
      return [`<${part!.type}>`]
  }
}

/** Without the results that no snapshot has. */
const lasting = (updates: ReadonlyArray<AgentUpdate>) =>
  updates.filter(({ part }) => part?.type !== "tool-result" || !part.preliminary)

const streamed = Effect.fnUntraced(function* (events: ReadonlyArray<Json>) {
  const decoded = yield* read(...events.map(sse))
  assert.isUndefined(decoded.error)
  const snapshot = yield* retrieved(events.at(-1)?.["response"])
  const whole = yield* stream(decoded.events)
  assert.isUndefined(whole.failure)
  return { decoded: decoded.events, snapshot, whole }
})

/** The text `Done` that ends each of these responses. */
const atEnd = ["<text-start>", "<text-end>"]

describe("each type of item", () => {
  it.effect.each(named)("%s: events and snapshot tell the same lanes", ([, one]) => sameBothWays(recorded([one])))

  it.effect.each(named)("%s: the parts of a stream, and the calls that wait", ([, one]) =>
    Effect.gen(function* () {
      const { snapshot, whole } = yield* streamed(recorded([one]))
      assert.deepStrictEqual(whole.updates.flatMap(inWords), [...one.parts, ...atEnd])
      const { waits = [] } = one
      assert.deepStrictEqual(
        whole.end?.calls?.map(({ id, name }) => `${name} ${id}`),
        [...waits]
      )
      if (one.metadata !== undefined) {
        assert.deepStrictEqual<unknown>(whole.end?.calls?.[0]?.metadata, { openai: one.metadata })
      }
      const reason = waits.length > 0 ? "tool-calls" : "stop"
      assert.strictEqual(snapshot.finish?.reason, reason)
      const finish = whole.updates.at(-1)?.part
      assert.strictEqual(finish?.type === "finish" && finish.reason, reason)
    })
  )

  it.effect.each(named)("%s: the parts of a look", ([, one]) =>
    Effect.gen(function* () {
      const { snapshot, whole } = yield* streamed(recorded([one]))
      const { end, failure, updates } = yield* look(tokenAfter([], 0), snapshot)
      assert.isUndefined(failure)
      assert.deepStrictEqual(updates.flatMap(inWords), lasting(whole.updates).flatMap(inWords))
      assert.deepStrictEqual(end?.calls, whole.end?.calls)
    })
  )

  it.effect.each(named)("%s: a call that was cut short is not told", ([, one]) =>
    Effect.gen(function* () {
      for (const status of one.stateless === true ? [undefined] : ["in_progress", "incomplete"]) {
        const item = { ...one.item, ...(status === undefined ? {} : { status }) } as Json
        const snapshot = yield* retrieved(
          response({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" }, output: [item] })
        )
        const calls = snapshot.items[0]?.lanes.filter(
          (lane) => lane.kind === "single" && lane.part.type === "tool-call" && lane.part.name !== "mcp_list_tools"
        )
        assert.deepStrictEqual(calls, [])
        assert.strictEqual(snapshot.finish?.reason, "length")
        if (status === undefined) continue
        const polled = yield* retrieved(response({ output: [item] }))
        assert.strictEqual(polled.finish?.reason, "stop")
      }
    })
  )
})

/** Cut after each update, the rest comes by a replay as it was, and by a look without preliminary results. */
const cutAnywhere = Effect.fnUntraced(function* (
  events: ReadonlyArray<Json>,
  looks: ReadonlyArray<ModelSnapshot> = []
) {
  const { decoded, snapshot, whole } = yield* streamed(events)
  const { updates } = whole
  for (let k = 0; k < updates.length; k++) {
    const before = tokenAfter(updates, k)
    const written = yield* ContinuationToken.encode(before)
    assert.isAtMost(written.length, 1024)
    const from = yield* ContinuationToken.decode(written)
    const replayed = yield* stream(decoded, from)
    assert.isUndefined(replayed.failure)
    assert.deepStrictEqual(plain(replayed.updates), plain(updates.slice(k)), `replayed after ${k}`)
    const filled = yield* look(from, ...looks, snapshot)
    assert.isUndefined(filled.failure, `filled after ${k}`)
    const both = [...updates.slice(0, k), ...filled.updates]
    assert.deepStrictEqual(joined(lasting(both)), joined(lasting(updates)), `filled after ${k}`)
    assert.deepStrictEqual(filled.end?.calls, whole.end?.calls, `filled after ${k}`)
    for (let j = 1; j < filled.updates.length; j++) {
      const again = yield* look(Option.getOrThrow(filled.updates[j - 1]!.continuationToken), snapshot)
      assert.isUndefined(again.failure, `filled after ${k} and ${j}`)
      const all = [...updates.slice(0, k), ...filled.updates.slice(0, j), ...again.updates]
      assert.deepStrictEqual(joined(lasting(all)), joined(lasting(updates)), `filled after ${k} and ${j}`)
    }
  }
  return updates
})

describe("a stream is cut anywhere", () => {
  it.effect.each(named)("%s", ([, one]) => cutAnywhere(recorded([one])))

  it.effect("all items in one response", () =>
    Effect.gen(function* () {
      const first = Object.values(cases).map(([one], i): Case => {
        const { item } = one as Case
        // Each item and each call has an id of its own.
        const ids = "call_id" in item && item.call_id !== null ? { call_id: `call_${i}` } : {}
        return { ...(one as Case), item: { ...item, ...ids } as Case["item"] }
      })
      const updates = yield* cutAnywhere(recorded(first))
      assert.isAbove(updates.length, 100)
    })
  )

  it.effect("while the response is under way", () =>
    Effect.gen(function* () {
      const items = [cases.code_interpreter_call[0]!, cases.mcp_call[0]!, cases.web_search_call[0]!]
      const events = recorded(items)
      const under = (output: ReadonlyArray<unknown>) => retrieved(response({ status: "in_progress", output }))
      const looks = [
        yield* under([{ ...items[0]!.item, code: "pri", outputs: null, status: "in_progress" }]),
        yield* under([{ ...items[0]!.item, outputs: null, status: "interpreting" }]),
        yield* under([items[0]!.item, { ...items[1]!.item, output: null, status: "calling" }]),
        yield* under([items[0]!.item, items[1]!.item, { ...items[2]!.item, status: "searching" }])
      ]
      yield* cutAnywhere(events, looks)
    })
  )
})

describe("what a server shows of the provider's own calls at the end", () => {
  const searched = recorded([cases.web_search_call[0]!, cases.image_generation_call[0]!])
  const response9 = searched.at(-1)?.["response"] as Json
  const [search, image, message] = response9["output"] as ReadonlyArray<Json>

  const shows: ReadonlyArray<readonly [string, ReadonlyArray<unknown>]> = [
    [
      "without sources, as they were not asked for",
      [{ ...search, action: { type: "search", query: "q" } }, image, message]
    ],
    ["with another id", [{ ...search, id: "ws_other" }, image, message]],
    ["not at all", [image, message]],
    ["without a status", [{ ...search, status: undefined }, image, message]]
  ]

  it.effect.each(shows)("%s: the texts are found", ([, output]) =>
    Effect.gen(function* () {
      const { decoded, whole } = yield* streamed(searched)
      const snapshot = yield* retrieved({ ...response9, output })
      const end = { ...decoded.at(-1)!, terminal: snapshot }
      const other = yield* stream([...decoded.slice(0, -1), end])
      assert.isUndefined(other.failure)
      assert.deepStrictEqual(joined(other.updates), joined(whole.updates))
      for (let k = 10; k < whole.updates.length; k++) {
        const { failure, updates } = yield* look(tokenAfter(whole.updates, k), snapshot)
        assert.isUndefined(failure)
        assert.deepStrictEqual(joined([...whole.updates.slice(0, k), ...updates]), joined(whole.updates))
      }
    })
  )
})

describe("calls and their results in one response", () => {
  it.effect("a call with its result does not wait", () =>
    Effect.gen(function* () {
      const call = { ...cases.shell_call[0]!, item: { ...cases.shell_call[0]!.item, environment: null } } as Case
      const { whole } = yield* streamed(recorded([call, cases.shell_call_output[0]!]))
      assert.deepStrictEqual(whole.end?.calls, [])
      const finish = whole.updates.at(-1)?.part
      assert.strictEqual(finish?.type === "finish" && finish.reason, "stop")
    })
  )

  it.effect("the end shows nothing: calls that were told wait, and no others", () =>
    Effect.gen(function* () {
      const events = recorded([cases.web_search_call[0]!, cases.mcp_approval_request[0]!])
      const end = { ...events.at(-1), response: response({ output: [] }) }
      const decoded = yield* read(...[...events.slice(0, -1), end].map(sse))
      const { end: ended, failure, updates } = yield* stream(decoded.events)
      assert.isUndefined(failure)
      assert.deepStrictEqual(
        ended?.calls?.map(({ id }) => id),
        ["mcpr_1"]
      )
      const finish = updates.at(-1)?.part
      assert.strictEqual(finish?.type === "finish" && finish.reason, "tool-calls")
    })
  )
})

describe("docs/openai-items.md", () => {
  it("has a row for each type, which says whether it waits for the caller", async () => {
    const page = await readFile(new URL("../../docs/openai-items.md", import.meta.url), "utf8")
    const table = [...page.matchAll(/^\| `(\w+)` *\|(.*)\|$/gm)].map(
      ([, type = "", rest = ""]) => [type, rest.split("|")] as const
    )
    const rows = new Map(table.filter(([, cells]) => cells.length === 3))
    assert.deepStrictEqual([...rows.keys()].toSorted(), Object.keys(cases).toSorted())
    for (const [type, all] of Object.entries(cases)) {
      const waiting = all.filter(({ waits = [] }) => waits.length > 0).length
      const said = rows.get(type)?.[2]?.trim() ?? ""
      const expected = waiting === 0 ? /^no/ : waiting === all.length ? /^yes/ : /^if /
      assert.match(said, expected, type)
    }
    assert.strictEqual(rows.size, 28)
  })
})
