// Published clients of the Responses API run their tool loops against the sandbox.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { zodResponsesFunction } from "openai/helpers/zod"
import { runnerFunction, ResponsesToolRunner } from "openai/helpers/responses-tool-runner"
import * as Zod from "zod"
import { agents, ai, aiProvider } from "./clients.ts"
import { call, connect } from "./sdk.ts"
import { callsOf, mcp, typesIn } from "./toolTurns.ts"

const server = Effect.provide(ResponsesServer.layer())

const city = Zod.object({ city: Zod.string() })
const weatherIn = (of: string) => `It is 17 degrees in ${of}.`
const description = "Get the current weather for a city."
const prompt = "What is the weather in Paris?"
const two =
  'call: get_weather {"city":"Paris"}\ncall: get_weather {"city":"Oslo"}\nthen call: get_weather {"city":"Rome"}'
const cities = ["Paris", "Oslo", "Rome"]

const includesAll = (text: string | undefined, parts: ReadonlyArray<string>) => {
  for (const part of parts) assert.include(text ?? "", part)
}

describe("openai-node", () => {
  const weather = runnerFunction(
    zodResponsesFunction({
      name: "get_weather",
      description,
      parameters: city,
      function: (input) => weatherIn(input.city)
    })
  )

  it.live.each([false, true])("its tool runner, streaming: %s", (stream) =>
    Effect.gen(function* () {
      const client = yield* connect
      const runner = new ResponsesToolRunner({ functions: [weather] })
      const run = (input: string) => call(() => runner.run(client, { model: "analyst", input }, { stream }))
      includesAll((yield* run(prompt)).output_text, [weatherIn("Paris")])
      includesAll((yield* run(two)).output_text, cities.map(weatherIn))
    }).pipe(server)
  )

  it.live("its tool runner with an MCP server that needs approval", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const runner = new ResponsesToolRunner({ functions: [weather] })
      const asked: Array<string> = []
      const run = (approve: boolean) =>
        call(() =>
          runner.run(
            client,
            {
              model: "analyst",
              input: 'call: get_weather {"city":"Paris"}\nthen mcp: pay {"sum":5} -> Paid.',
              tools: [mcp({ require_approval: "always" })]
            },
            { approveMcp: ({ name }) => asked.push(name) > 0 && approve }
          )
        )
      const yes = yield* run(true)
      assert.include(typesIn(yes), "mcp_call")
      includesAll(yes.output_text, [weatherIn("Paris"), "Paid."])
      const no = yield* run(false)
      assert.notInclude(typesIn(no), "mcp_call")
      includesAll(no.output_text, ["pay was not approved"])
      assert.deepEqual(asked, ["pay", "pay"])
    }).pipe(server)
  )

  it.live("its stream helper collects calls and parses their arguments", () =>
    Effect.gen(function* () {
      const client = yield* connect
      const tools = [zodResponsesFunction({ name: "get_weather", description, parameters: city })]
      const stream = client.responses.stream({ model: "analyst", input: prompt, tools })
      const response = yield* call(() => stream.finalResponse())
      assert.deepEqual(callsOf(response), [["get_weather", { city: "Paris" }]])
      assert.deepEqual(
        response.output.map((item) => (item.type === "function_call" ? item.parsed_arguments : undefined)),
        [{ city: "Paris" }]
      )
    }).pipe(server)
  )
})

describe("ai with @ai-sdk/openai", () => {
  const openai = Effect.map(ResponsesServer, ({ url }) => aiProvider({ apiKey: "any", baseURL: url }))
  const tools = {
    get_weather: ai.tool({
      description,
      inputSchema: city,
      execute: (input: { readonly city: string }) => weatherIn(input.city)
    })
  }
  const settings = { tools, stopWhen: ai.isStepCount(5), maxRetries: 0 }

  it.live.each([true, false])("generateText runs its loop, with stored responses: %s", (store) =>
    Effect.gen(function* () {
      const model = (yield* openai).responses("analyst")
      const run = (text: string) =>
        call(() => ai.generateText({ ...settings, model, prompt: text, providerOptions: { openai: { store } } }))
      const one = yield* run(prompt)
      includesAll(one.text, [weatherIn("Paris")])
      assert.deepEqual(
        one.steps.map(({ toolCalls }) => toolCalls.map(({ input }) => input)),
        [[{ city: "Paris" }], []]
      )
      includesAll((yield* run(two)).text, cities.map(weatherIn))
    }).pipe(server)
  )

  it.live("streamText runs its loop, and stops after a call that it must make", () =>
    Effect.gen(function* () {
      const model = (yield* openai).responses("analyst")
      // This client asks for the call in every step of its loop, and refuses an answer without one.
      const required = { ...settings, model, prompt: "Rome", toolChoice: "required" as const }
      const must = yield* call(() => ai.generateText({ ...required, stopWhen: ai.isStepCount(1) }))
      assert.deepEqual(
        must.steps.map(({ toolCalls }) => toolCalls.map(({ toolName }) => toolName)),
        [["get_weather"]]
      )
      const seen = yield* call(async () => {
        const result = ai.streamText({ ...settings, model, prompt })
        const types: Array<string> = []
        for await (const part of result.fullStream) {
          if (part.type === "error") return Promise.reject(part.error)
          types.push(part.type)
        }
        return { types, text: await result.text }
      })
      assert.includeMembers(seen.types, ["tool-input-delta", "tool-call", "tool-result", "text-delta", "finish"])
      includesAll(seen.text, [weatherIn("Paris")])
    }).pipe(server)
  )

  it.live("takes custom tools, reasoning, searches with sources, and code", () =>
    Effect.gen(function* () {
      const provider = yield* openai
      const options = {
        model: provider.responses("analyst"),
        prompt: "think: Well.\nsearch: rain -> It rains.\ncode: print(6*7)\nthen call: note umbrella",
        tools: {
          web_search: provider.tools.webSearch({}),
          code_interpreter: provider.tools.codeInterpreter({}),
          note: {
            ...provider.tools.customTool({ description: "Keep a memo." }),
            execute: (input: string) => `noted: ${input}`
          }
        },
        stopWhen: ai.isStepCount(3),
        maxRetries: 0
      }
      const result = yield* call(() => ai.generateText(options))
      includesAll(result.text, ["noted: umbrella"])
      const [first] = result.steps
      assert.deepEqual(
        first?.toolCalls.map(({ toolName }) => toolName),
        ["web_search", "code_interpreter", "note"]
      )
      const searched = yield* call(() => ai.generateText({ ...options, prompt: "search: rain -> It rains." }))
      assert.deepEqual(searched.content.flatMap(({ type, url }) => (type === "source" ? [url] : [])).slice(-2), [
        "https://example.com/rain",
        "https://example.com/rain/more"
      ])
      const types = yield* call(async () => {
        const seen: Array<string> = []
        for await (const part of ai.streamText(options).fullStream) {
          if (part.type === "error") return Promise.reject(part.error)
          seen.push(part.type)
        }
        return seen
      })
      assert.includeMembers(types, ["reasoning-delta", "tool-call", "tool-result", "text-delta", "finish"])
    }).pipe(server)
  )

  it.live.each([true, false])("asks for the approval of an MCP call, approved: %s", (approved) =>
    Effect.gen(function* () {
      const provider = yield* openai
      const options = {
        model: provider.responses("analyst"),
        tools: {
          mcp: provider.tools.mcp({
            serverLabel: "docs",
            serverUrl: "https://example.com/mcp",
            requireApproval: "always"
          })
        },
        maxRetries: 0
      }
      const question = { role: "user", content: 'mcp: pay {"sum":5} -> Paid.' }
      const first = yield* call(() => ai.generateText({ ...options, messages: [question] }))
      const approvals = first.content.flatMap((part) =>
        part.type === "tool-approval-request"
          ? [{ type: "tool-approval-response", approvalId: part.approvalId, approved, providerExecuted: true }]
          : []
      )
      assert.strictEqual(approvals.length, 1)
      const messages = [question, ...first.responseMessages, { role: "tool", content: approvals }]
      const last = yield* call(() => ai.generateText({ ...options, messages }))
      includesAll(last.text, [approved ? "Paid." : "pay was not approved"])
    }).pipe(server)
  )
})

describe("@openai/agents", () => {
  agents.setTracingDisabled(true)

  const weather = agents.tool({
    name: "get_weather",
    description,
    parameters: city,
    execute: (input: { readonly city: string }) => weatherIn(input.city)
  })
  const agent = (tools: ReadonlyArray<object>, settings: object = {}) =>
    Effect.map(
      connect,
      (client) =>
        new agents.Agent({
          name: "analyst",
          model: new agents.OpenAIResponsesModel(client, "analyst"),
          tools,
          modelSettings: settings
        })
    )

  it.live("run goes through its loop, with and without storage", () =>
    Effect.gen(function* () {
      const one = yield* agent([weather])
      includesAll((yield* call(() => agents.run(one, prompt))).finalOutput, [weatherIn("Paris")])
      includesAll((yield* call(() => agents.run(one, two))).finalOutput, cities.map(weatherIn))
      const unstored = yield* agent([weather], { store: false, toolChoice: "required", parallelToolCalls: false })
      includesAll((yield* call(() => agents.run(unstored, "Go to Oslo"))).finalOutput, [weatherIn("Oslo")])
    }).pipe(server)
  )

  it.live("a streamed run goes through its loop", () =>
    Effect.gen(function* () {
      const one = yield* agent([weather])
      const result = yield* call(async () => {
        const streamed = await agents.run(one, two, { stream: true })
        const types: Array<string> = []
        for await (const { type } of streamed) types.push(type)
        await streamed.completed
        return { types, output: streamed.finalOutput }
      })
      assert.include(result.types, "run_item_stream_event")
      includesAll(result.output, cities.map(weatherIn))
    }).pipe(server)
  )

  it.live("hosted tools run, and an MCP call waits for its approval", () =>
    Effect.gen(function* () {
      const hosted = agents.hostedMcpTool({
        serverLabel: "docs",
        serverUrl: "https://example.com/mcp",
        requireApproval: "always"
      })
      const one = yield* agent([weather, hosted, agents.webSearchTool(), agents.codeInterpreterTool()])
      const input = 'search: rain -> It rains.\ncode: 6*7\nmcp: pay {"sum":5} -> Paid.'
      const asked = yield* call(() => agents.run(one, input))
      assert.deepEqual(
        asked.interruptions.map(({ name }) => name),
        ["pay"]
      )
      for (const interruption of asked.interruptions) asked.state.approve(interruption)
      const approved = yield* call(() => agents.run(one, asked.state))
      includesAll(approved.finalOutput, ["Paid."])

      const again = yield* call(() => agents.run(one, input))
      for (const interruption of again.interruptions) again.state.reject(interruption)
      const rejected = yield* call(() => agents.run(one, again.state))
      includesAll(rejected.finalOutput, ["pay was not approved"])
    }).pipe(server)
  )
})
