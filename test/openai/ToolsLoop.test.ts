// The loop of turns against a server of the Responses API: what is sent there is what such a server takes.
import { NodeServices } from "@effect/platform-node"
import { Agent, TokenStore } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"

const parameters = Schema.Struct({ region: Schema.String, months: Schema.optionalKey(Schema.Array(Schema.Int)) })
const toolkit = Toolkit.make(
  Tool.make("sales", { parameters, success: Schema.Struct({ sold: Schema.Finite }) }),
  Tool.make("closed", { parameters, success: Schema.Void, failure: Schema.String, failureMode: "return" })
)

const input = `How were the sales?
call: sales {"region": "North"}
call: closed {"region": "South", "months": [1]}
then call: sales {"region": "West"}`

const options: ReadonlyArray<readonly [string, { readonly store?: boolean }, boolean]> = [
  ["in the background", {}, true],
  ["in the foreground", {}, false],
  ["with nothing stored", { store: false }, false]
]

const model = Layer.unwrap(
  Effect.map(ResponsesServer.ResponsesServer, ({ url }) =>
    OpenAiBackgroundModel.layer({ model: "sales-analyst" }).pipe(
      Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("any"), baseUrl: url }))
    )
  )
)

describe.each(options)("a run of three turns, %s", (_, params, background) => {
  const analyst = Agent.make("analyst", { toolkit, background, options: params })
  const handlers = Agent.toLayer(
    analyst,
    toolkit.toLayer({
      sales: ({ region }) => Effect.succeed({ sold: region.length }),
      closed: () => Effect.fail("the shop is closed")
    })
  )

  it.live("calls each tool once, and its answer has all results", () =>
    Effect.gen(function* () {
      const updates = yield* Stream.runCollect(Agent.stream(analyst, { input, runId: "r" }))
      const results = updates.flatMap(({ part }) =>
        part?.type === "tool-result" ? [[part.name, part.isFailure, part.result]] : []
      )
      assert.sameDeepMembers(results, [
        ["sales", false, { sold: 5 }],
        ["closed", true, "the shop is closed"],
        ["sales", false, { sold: 4 }]
      ])
      const text = updates.map((update) => update.text).join("")
      for (const part of ['{"sold":5}', "the shop is closed", '{"sold":4}']) assert.include(text, part)
      const server = yield* ResponsesServer.ResponsesServer
      assert.lengthOf((yield* server.ledger).responses, 3)
    }).pipe(
      Effect.provide(Layer.mergeAll(model, TokenStore.layerMemory, handlers)),
      Effect.provide([ResponsesServer.layer(), NodeServices.layer])
    )
  )
})

describe("a call of a server for MCP", () => {
  const mcp = {
    type: "mcp",
    server_label: "docs",
    server_url: "https://a.test/mcp",
    require_approval: "always"
  } as const
  const payer = Agent.make("payer", { background: true, options: { tools: [mcp] } })
  const run = { input: 'mcp: pay {"sum":5} -> Paid.', runId: "r" }

  it.live.each([true, false])("waits for approval, and the provider gets the answer: %s", (isApproved) =>
    Effect.gen(function* () {
      const before = yield* Stream.runCollect(Agent.stream(payer, run))
      assert.strictEqual(before.at(-1)?.waitingFor, "approval")
      const { pending } = yield* Agent.poll(payer, { runId: "r" })
      const ref = { runId: "r", callId: pending![0]!.callId }
      yield* isApproved ? Agent.approve(payer, ref) : Agent.reject(payer, { ...ref, reason: "too dear" })
      const after = yield* Stream.runCollect(Agent.resume(payer, { runId: "r" }))
      assert.strictEqual(after.at(-1)?.status, "completed")
      const results = after.filter(({ part }) => part?.type === "tool-result")
      assert.lengthOf(results, isApproved ? 1 : 0)
      const text = after.map((update) => update.text).join("")
      assert.include(text, isApproved ? "Paid." : "pay was not approved: too dear")
    }).pipe(
      Effect.provide(Layer.mergeAll(model, TokenStore.layerMemory)),
      Effect.provide([ResponsesServer.layer(), NodeServices.layer])
    )
  )
})
