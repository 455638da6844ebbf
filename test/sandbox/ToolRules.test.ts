// When the sandbox's model calls functions and custom tools, and how it goes on after their results.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ResponseInputItem } from "openai/resources/responses/responses"
import { connect } from "./sdk.ts"
import { answer, ask, callsOf, fn, itemsOf, outputsOf, streamed, typesIn } from "./toolTurns.ts"

const city = { city: { type: "string" } }
const weather = fn("get_weather", city, "Get the current weather for a city.")
const mail = fn("send_mail", { to: { type: "string", format: "email" } }, "Send a letter to a person.")
const note = { type: "custom", name: "write_note", description: "Keep a memo of something." } as const
const tools = [weather, mail, note]

const server = Effect.provide(ResponsesServer.layer())

describe("tools by rule", () => {
  it.live("a prompt that fits a tool calls it, with arguments from the prompt, and the answer has the result", () =>
    Effect.gen(function* () {
      const client = yield* connect
      for (const [prompt, called] of [
        ["What is the weather in Paris?", ["get_weather", { city: "Paris" }]],
        ["Please use send_mail now, to ann@example.org", ["send_mail", { to: "ann@example.org" }]],
        ["Send this letter to that person", ["send_mail", { to: "user@example.com" }]],
        ["Write a note: milk", ["write_note", "Write a note: milk"]]
      ] as const) {
        const first = yield* ask(client, prompt, { tools })
        assert.deepEqual(callsOf(first), [called], prompt)
        const last = yield* answer(client, first, { tools }, () => "It is 17 degrees.")
        assert.deepEqual(typesIn(last), ["message"])
        assert.include(last.output_text, "It is 17 degrees.")
      }
    }).pipe(server)
  )

  it.live("a prompt that fits none is answered at once", () =>
    Effect.gen(function* () {
      const client = yield* connect
      assert.deepEqual(typesIn(yield* ask(client, "How are you today?", { tools })), ["message"])
      assert.deepEqual(typesIn(yield* ask(client, "What is the weather in Paris?")), ["message"])
    }).pipe(server)
  )

  it.live("a required call is that of the tool that fits, or of the first, and is made once", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const params = { tools, tool_choice: "required" } as const
      assert.deepEqual(
        callsOf(yield* ask(client, "Hello there", params)).map(([name]) => name),
        ["get_weather"]
      )
      const fits = yield* ask(client, "Send a letter", params)
      assert.deepEqual(
        callsOf(fits).map(([name]) => name),
        ["send_mail"]
      )
      const last = yield* answer(client, fits, params)
      assert.deepEqual(typesIn(last), ["message"])
      assert.include(last.output_text, "send_mail is done")
      const again = yield* ask(client, "Send another letter", { ...params, previous_response_id: last.id })
      assert.deepEqual(typesIn(again), ["function_call"])
      assert.notStrictEqual(itemsOf(again, "function_call")[0]?.call_id, itemsOf(fits, "function_call")[0]?.call_id)
    }).pipe(server)
  )

  it.live("the chosen tool is called, whatever the prompt says", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const prompt = "What is the weather in Paris?"
      const named = (name: string) => ask(client, prompt, { tools, tool_choice: { type: "function", name } })
      assert.deepEqual(callsOf(yield* named("send_mail")), [["send_mail", { to: "user@example.com" }]])
      const custom = yield* ask(client, prompt, { tools, tool_choice: { type: "custom", name: "write_note" } })
      assert.deepEqual(callsOf(custom), [["write_note", prompt]])
      const allowed = (mode: "auto" | "required") =>
        ask(client, prompt, {
          tools,
          tool_choice: { type: "allowed_tools", mode, tools: [{ type: "function", name: "send_mail" }] }
        })
      assert.deepEqual(callsOf(yield* allowed("required")), [["send_mail", { to: "user@example.com" }]])
      assert.deepEqual(typesIn(yield* allowed("auto")), ["message"])
    }).pipe(server)
  )

  it.live("a choice of none never calls", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const prompt = 'What is the weather in Paris?\ncall: get_weather {"city":"Paris"}'
      assert.deepEqual(typesIn(yield* ask(client, prompt, { tools, tool_choice: "none" })), ["message"])
    }).pipe(server)
  )

  it.live("without parallel calls, the calls of a round come one after the other", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const params = { tools, parallel_tool_calls: false }
      const prompt = 'call: get_weather {"city":"Paris"}\ncall: get_weather {"city":"Oslo"}\nthen call: write_note both'
      const calls: Array<unknown> = []
      let response = yield* ask(client, prompt, params)
      for (let turn = 0; turn < 3; turn++) {
        calls.push(...callsOf(response))
        assert.strictEqual(callsOf(response).length, 1)
        response = yield* answer(client, response, params, (name) => `${name} ${turn}`)
      }
      assert.deepEqual(calls, [
        ["get_weather", { city: "Paris" }],
        ["get_weather", { city: "Oslo" }],
        ["write_note", "both"]
      ])
      for (const result of ["get_weather 0", "get_weather 1", "write_note 2"]) {
        assert.include(response.output_text, result)
      }
    }).pipe(server)
  )

  it.live("a line without arguments gets them from the schema", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const response = yield* ask(client, "We are in Oslo.\ncall: get_weather\ncall: get_weather nonsense", {
        tools
      })
      assert.deepEqual(callsOf(response), [["get_weather", { city: "Oslo" }]])
    }).pipe(server)
  )

  it.live("the results can also come with the whole conversation, or through a conversation", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const question = { role: "user", content: "What is the weather in Paris?" } as const
      const first = yield* ask(client, [question], { tools, store: false })
      const resent = [question, ...first.output, ...outputsOf(first)] as Array<ResponseInputItem>
      assert.include((yield* ask(client, resent, { tools, store: false })).output_text, "get_weather is done")

      const conversation = "conv_1"
      const second = yield* ask(client, [question], { tools, conversation })
      const last = yield* ask(client, outputsOf(second), { tools, conversation })
      assert.include(last.output_text, "get_weather is done")

      const third = yield* ask(client, [question], { tools })
      const referred = [
        question,
        ...third.output.map(({ id }) => ({ type: "item_reference" as const, id: id ?? "" })),
        ...outputsOf(third)
      ]
      assert.include((yield* ask(client, referred, { tools })).output_text, "get_weather is done")
    }).pipe(server)
  )

  it.live("a custom tool streams its input", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const input = "call: write_note buy milk -> and bread"
      const events = yield* streamed(client, { model: "analyst", input, tools })
      const deltas = events.flatMap((event) =>
        event.type === "response.custom_tool_call_input.delta" ? [event.delta] : []
      )
      assert.strictEqual(deltas.join(""), "buy milk -> and bread")
      const done = events.flatMap((event) => (event.type === "response.custom_tool_call_input.done" ? [event] : []))
      assert.deepEqual(
        done.map((event) => event.input),
        ["buy milk -> and bread"]
      )
      const last = events.at(-1)
      assert.deepEqual(last?.type === "response.completed" ? callsOf(last.response) : [], [
        ["write_note", "buy milk -> and bread"]
      ])
    }).pipe(server)
  )
})
