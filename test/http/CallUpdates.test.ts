// Tool calls in the updates of a run: what viewers see of them, while the run waits and after that.
import { Run } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { advance, afterCalls, agents, clerk, clerks, poorClerk, send } from "./calling.ts"
import { Api, serving } from "./served.ts"
import { type Heard, lastIdOf, textOf, updatesOf, watch } from "./watching.ts"

const { call, says } = ScriptedModel

/** What updates say of calls, statuses and turns. */
const told = (heard: ReadonlyArray<Heard>) =>
  updatesOf(heard).flatMap(({ data: { limit, part, status, turn, waitingFor } = { status: "", text: "" } }) =>
    part?.type.startsWith("tool-") || part?.type === "finish" || status === "waiting"
      ? [[part?.type ?? "", status, turn ?? "", waitingFor ?? "", limit ?? ""].join(" ").trim()]
      : []
  )

const partsOf = (heard: ReadonlyArray<Heard>, type: string) =>
  updatesOf(heard).flatMap(({ data }) => (data?.part?.type === type ? [data.part] : []))

/** A call that comes with what the provider says about itself. */
const secretCall = says(
  {
    _tag: "PartAdded",
    index: 1,
    lane: {
      lane: 1,
      kind: "single",
      part: {
        type: "tool-call",
        id: "call_1",
        name: "refund",
        params: { order: "7" },
        providerExecuted: false,
        metadata: { openai: { itemId: "a secret of the provider" } }
      }
    }
  },
  { _tag: "ItemDone", index: 1 }
)

describe("updates of tool calls", () => {
  it.live("have calls, requests for approval and results; a viewer stays while the run waits", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      let waits = false
      const viewer = yield* Effect.forkChild(
        watch(url, "r", { onHeard: (now) => void (waits = told(now).some((one) => /waiting/.test(one))) }).pipe(
          // The run may not be there yet.
          Effect.repeat({ until: ({ status }) => status === 200 })
        )
      )
      assert.strictEqual(yield* advance(clerk, "r"), "waiting")
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => waits })
      yield* send(url, "r/turns/0/calls/call_1/approve", "approver")
      assert.strictEqual(yield* advance(clerk, "r"), "completed")
      const { heard, text: body } = yield* Fiber.join(viewer)
      assert.deepStrictEqual(told(heard), [
        "tool-call in_progress",
        "finish in_progress 0",
        "tool-approval-request in_progress 0",
        "waiting  approval",
        "tool-result in_progress 0",
        "finish completed 1"
      ])
      assert.deepInclude(partsOf(heard, "tool-call")[0], { id: "call_1", name: "refund", params: { order: "7" } })
      assert.deepInclude(partsOf(heard, "tool-approval-request")[0], {
        approvalId: "r:0:call_1",
        toolCallId: "call_1"
      })
      assert.deepInclude(partsOf(heard, "tool-result")[0], {
        id: "call_1",
        name: "refund",
        result: "paid back 7",
        isFailure: false
      })
      assert.strictEqual(textOf(heard), "Let me see.Done.")
      assert.notMatch(body, /secret|metadata|resp_|approver/)
      for (const { id } of updatesOf(heard)) {
        const rest = yield* watch(url, "r", { lastEventId: id })
        const offset = Number(id?.split(".")[0])
        assert.deepStrictEqual(updatesOf(rest.heard), updatesOf(heard).slice(offset))
      }
      assert.strictEqual((yield* watch(url, "r", { lastEventId: lastIdOf(heard) })).status, 204)
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(secretCall))))
  )

  it.live("say which limit was reached, and what was rejected", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      yield* advance(poorClerk, "r")
      yield* send(url, "r/turns/0/calls/call_1/reject", "alice", { reason: "It was not paid." })
      assert.strictEqual(yield* advance(poorClerk, "r"), "waiting")
      yield* send(url, "r/raise", "alice", { turns: 2 })
      assert.strictEqual(yield* advance(poorClerk, "r"), "completed")
      const { heard } = yield* watch(url, "r")
      assert.deepStrictEqual(told(heard).slice(2), [
        "tool-approval-request in_progress 0",
        "waiting  approval",
        "tool-result in_progress 0",
        "waiting  limit turns",
        "finish completed 1"
      ])
      assert.deepInclude(partsOf(heard, "tool-result")[0], {
        isFailure: true,
        result: { type: "execution-denied", reason: "It was not paid." }
      })
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" })))))
  )

  it.live("end if the run is cancelled while it waits, with the status that the run then has", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      yield* advance(clerk, "r")
      let waits = false
      const viewer = yield* Effect.forkChild(
        watch(url, "r", { onHeard: (now) => void (waits = told(now).includes("waiting  approval")) })
      )
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => waits })
      const { status } = yield* send(url, "r/cancel", "alice")
      assert.strictEqual(status, 200)
      yield* advance(clerk, "r")
      const { heard } = yield* Fiber.join(viewer)
      assert.deepInclude(heard.at(-1)!.data, { status: "cancelled" })
      assert.match(heard.at(-1)?.data?.problem?.type ?? "", /#run-cancelled$/)
      const late = yield* send(url, "r/turns/0/calls/call_1/approve", "alice")
      assert.strictEqual(late.json.ended, "cancelled")
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" })))))
  )

  it.live("are those of the typed client, which answers for calls too", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      const { runs } = yield* HttpApiClient.make(Api, {
        baseUrl: url,
        transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken("alice"))
      }).pipe(Effect.provide(FetchHttpClient.layer))
      yield* advance(clerk, "r")
      const params = { runId: Run.RunId.make("r") }
      const waiting = yield* Effect.flip(runs.result({ params }))
      assert.strictEqual(waiting._tag, "RunWaiting")
      const { pending = [] } = yield* runs.state({ params })
      for (const { callId, turn } of pending) {
        yield* runs.reject({ params: { ...params, callId, turn }, payload: { reason: "no" } })
        const late = yield* Effect.flip(runs.approve({ params: { ...params, callId, turn } }))
        assert.strictEqual(late._tag, "CallAnswered")
        assert.strictEqual(late._tag === "CallAnswered" ? late.answer : undefined, "rejected")
        const other = runs.complete({ params: { ...params, callId: "none", turn }, payload: { result: 1 } })
        assert.strictEqual((yield* Effect.flip(other))._tag, "CallNotFound")
      }
      assert.lengthOf(pending, 1)
      yield* advance(clerk, "r")
      const over = yield* Effect.flip(runs.raise({ params, payload: { turns: 3 } }))
      assert.strictEqual(over._tag === "RunOver" ? over.ended : over._tag, "completed")
      const response = yield* runs.updates({ params, query: {}, headers: {} })
      const events = Stream.isStream(response) ? yield* Stream.runCollect(response) : []
      const results = events.flatMap((event) =>
        event.event === "update" && event.data.part?.type === "tool-result" ? [event.data] : []
      )
      assert.deepStrictEqual(
        results.map(({ part, turn }) => [turn, part?.type === "tool-result" ? part.result : undefined]),
        [[0, { type: "execution-denied", reason: "no" }]]
      )
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" })))))
  )
})
