// The parts of a response, as the next prompt: the API gets what it needs to go on (C11).
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { message, output } from "./everything.ts"
import { lanesOfEvents, promptOf } from "./lanes.ts"
import { chunks, create, created, decoded, heard, type Json, over, response, sse } from "./support.ts"

/** The input items that a response comes back as. */
const back = (...items: ReadonlyArray<Json>) =>
  Effect.gen(function* () {
    const prompt = yield* promptOf(response({ output: items }))
    let input: unknown
    const fetch: Parameters<typeof over>[0] = (url, init) => {
      input = (JSON.parse(String(init?.body)) as Json)["input"]
      return chunks(sse(created()))(url, init)
    }
    const { error } = yield* heard(create({ prompt })).pipe(Effect.provide(over(fetch)))
    assert.isUndefined(error)
    return input
  })

const call = { type: "function_call", call_id: "call_1", name: "get_weather", arguments: '{"city":"Paris"}' }
const sealed = (id: string, ...summary: ReadonlyArray<string>) => ({
  id,
  type: "reasoning",
  summary: summary.map((text) => ({ type: "summary_text", text })),
  encrypted_content: `sealed ${id}`
})

describe("a response that goes back", () => {
  it.effect("sealed reasoning without a text, then a call", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* back(sealed("rs_1"), output[3]!), [sealed("rs_1"), call])
    })
  )

  it.effect("several summaries are one item again, each in its place", () =>
    Effect.gen(function* () {
      const items = [sealed("rs_1", "a", "b", "c"), output[3]!, sealed("rs_2", "d")]
      assert.deepEqual(yield* back(...items), [sealed("rs_1", "a", "b", "c"), call, sealed("rs_2", "d")])
    })
  )

  it.effect("reasoning texts are no summaries", () =>
    Effect.gen(function* () {
      const item = { ...sealed("rs_1", "a"), content: [{ type: "reasoning_text", text: "aloud" }] }
      assert.deepEqual(yield* back(item, output[3]!), [item, call])
    })
  )

  it.effect("reasoning that is not sealed stays away", () =>
    Effect.gen(function* () {
      const { encrypted_content: _, ...open } = sealed("rs_1", "a")
      for (const item of [open, { ...open, encrypted_content: null }, { ...sealed("rs_1", "a"), id: undefined }]) {
        assert.deepEqual(yield* back(item, output[3]!), [call])
      }
    })
  )

  it.effect("a message's phase is sent again", () =>
    Effect.gen(function* () {
      const text = (value: string) => ({ type: "output_text", text: value })
      assert.deepEqual(
        yield* back(
          { ...message([text("Let me see.")]), phase: "commentary" },
          { ...message([text("One"), text("Two")]), id: "msg_2", phase: "final_answer" },
          { ...message([text("None")]), id: "msg_3", phase: null },
          { ...message([text("New")]), id: "msg_4", phase: "never_heard_of" }
        ),
        [
          { role: "assistant", content: "Let me see.", phase: "commentary" },
          { role: "assistant", content: "One", phase: "final_answer" },
          { role: "assistant", content: "Two", phase: "final_answer" },
          { role: "assistant", content: "None" },
          { role: "assistant", content: "New" }
        ]
      )
    })
  )

  it.effect("everything", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* back(...output), [
        { role: "assistant", content: "Hello, world" },
        { role: "assistant", content: "I will not" },
        call,
        { type: "custom_tool_call", call_id: "call_2", name: "shell", input: "ls -la" },
        { type: "image_generation_call", id: "ig_1", result: "aGVsbG8=", status: "completed" }
      ])
    })
  )
})

describe("what only one event knows", () => {
  it.effect("the seal is told by the item's end, in a lane that has not ended before", () =>
    Effect.gen(function* () {
      const item = sealed("rs_1", "a")
      const added = yield* decoded({
        type: "response.output_item.added",
        output_index: 0,
        item: { ...item, summary: [], status: "in_progress" }
      })
      assert.deepInclude<unknown>(added?.statements[0], { lanes: [] })
      const done = yield* decoded({ type: "response.output_item.done", output_index: 0, item })
      assert.deepEqual<unknown>(lanesOfEvents([done!]), {
        "0/0": { lane: 0, kind: "reasoning", text: "a", metadata: { openai: { itemId: "rs_1" } } },
        "0/2000": {
          lane: 2000,
          kind: "reasoning",
          text: "",
          metadata: { openai: { itemId: "rs_1", encryptedContent: "sealed rs_1" } }
        }
      })
    })
  )

  it.effect("the phase is told when the message is announced", () =>
    Effect.gen(function* () {
      const item = { ...message([], "in_progress"), phase: "commentary" }
      const event = yield* decoded({ type: "response.output_item.added", output_index: 0, item })
      assert.deepInclude<unknown>(event?.statements[0], {
        lanes: [{ lane: 0, kind: "text", text: "", metadata: { openai: { itemId: "msg_1", phase: "commentary" } } }]
      })
      // A message that has no text after all shows the lane that was begun.
      const done = yield* decoded({
        type: "response.output_item.done",
        output_index: 0,
        item: { ...item, content: [{ type: "never_heard_of" }], status: "completed" }
      })
      assert.deepEqual(Object.keys(lanesOfEvents([done!])), ["0/0"])
    })
  )

  it.effect("citations keep what names their file and their place", () =>
    Effect.gen(function* () {
      const done = yield* decoded({ type: "response.output_item.done", output_index: 2, item: output[2] })
      const lane = lanesOfEvents([done!])["2/1000"]
      assert.deepEqual<unknown>(
        lane?.kind === "sources" && lane.sources.map((source) => source?.metadata?.["openai"]),
        [
          { type: "url_citation", startIndex: 0, endIndex: 2 },
          { type: "file_citation", fileId: "file-1", index: 3 },
          undefined,
          undefined,
          { type: "container_file_citation", fileId: "file-2", containerId: "c", startIndex: 0, endIndex: 1 },
          { type: "file_path", fileId: "file-3", index: 1 }
        ]
      )
    })
  )
})
