// Tool calls and limits: approve, reject, complete, raise, and who may do that. Over real sockets.
import { Agent, Runs } from "@effect-baton/core"
import { RunCall } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { advance, afterCalls, agents, clerk, clerks, poorClerk, problem, quietClerk, send } from "./calling.ts"
import { ask, serving } from "./served.ts"

const { call } = ScriptedModel

const call1 = "r/turns/0/calls/call_1"
const date = "2026-11-30T00:00:00.000Z"

const answerOf = (runId: string) =>
  Effect.map(Runs.get(runId), ({ journal }) =>
    journal.flatMap((fact) =>
      fact._tag === "Approved" || fact._tag === "Rejected" || fact._tag === "ToolEnded" || fact._tag === "LimitsRaised"
        ? [`${fact._tag} by ${fact.by}`]
        : []
    )
  )

describe.each([clerk, quietClerk])("a call of $name", (agent) => {
  it.live("is approved: once, and as often as you like, and not rejected after that", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      assert.strictEqual(yield* advance(agent, "r"), "waiting")
      const { json: state } = yield* ask(`${url}/api/runs/r`, { as: "alice" })
      assert.strictEqual(state.status, "waiting")
      assert.strictEqual(state.waitingFor, "approval")
      assert.deepEqual<unknown>(state.pending, [
        {
          turn: 0,
          callId: "call_1",
          tool: "refund",
          params: { order: "7" },
          waitingFor: "approval",
          approvalId: "r:0:call_1",
          url: "/api/runs/r/turns/0/calls/call_1"
        }
      ])
      const early = yield* ask(`${url}/api/runs/r/result`, { as: "alice" })
      assert.strictEqual(early.status, 409)
      assert.strictEqual(problem(early.json), "run-waiting")
      assert.strictEqual(early.json.waitingFor, "approval")
      assert.deepStrictEqual(early.json.pending, state.pending)

      const approved = yield* send(url, `${call1}/approve`, "alice")
      assert.strictEqual(approved.status, 200)
      assert.strictEqual(approved.json.status, "in_progress")
      assert.strictEqual((yield* send(url, `${call1}/approve`, "approver")).status, 200)
      const late = yield* send(url, `${call1}/reject`, "approver", { reason: "no" })
      assert.strictEqual(late.status, 409)
      assert.strictEqual(problem(late.json), "call-answered")
      assert.strictEqual(late.json.answer, "approved")
      assert.isNumber(late.json.at)
      assert.notMatch(late.body, /alice/, "who answered is not told")
      assert.deepStrictEqual(yield* answerOf("r"), ["Approved by alice of sales"])
      const { json: freed } = yield* ask(`${url}/api/runs/r`, { as: "alice" })
      assert.strictEqual(freed.status, "in_progress")
      assert.notProperty(freed, "waitingFor")
      assert.notProperty(freed.pending?.[0], "waitingFor")

      assert.strictEqual(yield* advance(agent, "r"), "completed")
      const { body, json } = yield* ask(`${url}/api/runs/r/result`, { as: "alice" })
      assert.deepEqual<unknown>(
        json.content.map(({ result = null, type }) => [type, result]),
        [
          ["tool-call", null],
          ["tool-result", "paid back 7"],
          ["text", null]
        ]
      )
      assert.strictEqual(json.text, "Done.")
      assert.notMatch(body, /resp_|item_/)
      for (const [path, sent] of [
        [`${call1}/approve`, undefined],
        [`${call1}/reject`, { reason: "no" }],
        [`${call1}/complete`, { result: "x" }],
        ["r/raise", { turns: 9 }]
      ] as const) {
        const over = yield* send(url, path, "alice", sent)
        assert.strictEqual(over.status, 409, path)
        assert.strictEqual(problem(over.json), "run-over")
        assert.strictEqual(over.json.ended, "completed")
      }
      const { json: done } = yield* ask(`${url}/api/runs/r`, { as: "alice" })
      assert.strictEqual(done.status, "completed")
      assert.notProperty(done, "pending")
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" })))))
  )

  it.live("is rejected with a reason, which the model is told", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      yield* advance(agent, "r")
      for (const body of [undefined, {}, { reason: "" }, { reason: 1 }]) {
        assert.strictEqual((yield* send(url, `${call1}/reject`, "alice", body)).status, 400)
      }
      assert.deepStrictEqual(yield* answerOf("r"), [])
      for (const reason of ["It was not paid.", "another reason"]) {
        assert.strictEqual((yield* send(url, `${call1}/reject`, "alice", { reason })).status, 200)
      }
      const late = yield* send(url, `${call1}/approve`, "alice")
      assert.strictEqual(late.status, 409)
      assert.strictEqual(late.json.answer, "rejected")
      const completed = yield* send(url, `${call1}/complete`, "alice", { result: "x" })
      assert.strictEqual(completed.status, 409)
      assert.strictEqual(completed.json.answer, "rejected")
      assert.strictEqual(yield* advance(agent, "r"), "completed")
      const { json } = yield* ask(`${url}/api/runs/r/result`, { as: "alice" })
      const { result } = json.content.find(({ type }) => type === "tool-result")!
      assert.deepStrictEqual(result, { type: "execution-denied", reason: "It was not paid." })
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" })))))
  )

  it.live("is completed with a result that fits the tool", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      assert.strictEqual(yield* advance(agent, "r"), "waiting")
      const { json: state } = yield* ask(`${url}/api/runs/r`, { as: "alice" })
      assert.strictEqual(state.waitingFor, "deferred")
      assert.deepStrictEqual(
        state.pending?.map(({ waitingFor }) => waitingFor),
        ["deferred"]
      )
      for (const body of [{}, { result: 7 }, { result: "no date" }, { failure: "x" }, { result: date, failure: {} }]) {
        const unfit = yield* send(url, `${call1}/complete`, "alice", body)
        assert.strictEqual(unfit.status, 400, JSON.stringify(body))
        assert.strictEqual(unfit.headers.get("content-type"), "application/problem+json")
      }
      const undecided = yield* send(url, `${call1}/approve`, "alice")
      assert.strictEqual(undecided.status, 404)
      assert.strictEqual(problem(undecided.json), "call-not-found")
      assert.deepStrictEqual(yield* answerOf("r"), [])

      const payload = yield* RunCall.encodeAnswer(agent, { tool: "dueDate", result: new Date(date) })
      assert.deepStrictEqual(payload, { result: date })
      assert.strictEqual((yield* send(url, `${call1}/complete`, "robot", payload)).status, 200)
      assert.strictEqual((yield* send(url, `${call1}/complete`, "alice", payload)).status, 200)
      for (const other of [{ result: "2027-01-01T00:00:00.000Z" }, { failure: { code: 1 } }]) {
        const late = yield* send(url, `${call1}/complete`, "alice", other)
        assert.strictEqual(late.status, 409)
        assert.strictEqual(problem(late.json), "call-answered")
        assert.strictEqual(late.json.answer, "completed")
        assert.notMatch(late.body, /robot/)
      }
      assert.deepStrictEqual(yield* answerOf("r"), ["ToolEnded by robot of sales"])
      assert.strictEqual(yield* advance(agent, "r"), "completed")
      const { json } = yield* ask(`${url}/api/runs/r/result`, { as: "alice" })
      assert.strictEqual(json.content.find(({ type }) => type === "tool-result")?.result, date)
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("dueDate", { order: "7" })))))
  )

  it.live("is completed with a failure of the tool", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      yield* advance(agent, "r")
      const payload = yield* RunCall.encodeAnswer(agent, { tool: "dueDate", failure: { code: 7 } })
      assert.deepStrictEqual(payload, { failure: { code: 7 } })
      assert.strictEqual((yield* send(url, `${call1}/complete`, "alice", payload)).status, 200)
      assert.strictEqual(yield* advance(agent, "r"), "completed")
      const { json } = yield* ask(`${url}/api/runs/r/result`, { as: "alice" })
      assert.deepInclude(
        json.content.find(({ type }) => type === "tool-result"),
        { isFailure: true, result: { code: 7 } }
      )
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("dueDate", { order: "7" })))))
  )

  it.live("is named by its turn and its id, and by nothing else", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      yield* advance(agent, "r")
      for (const [path, status] of [
        ["r/turns/0/calls/call_2/approve", 404],
        ["r/turns/1/calls/call_1/approve", 404],
        ["r/turns/0/calls/r:0:call_1/approve", 404],
        ["r/turns/-1/calls/call_1/approve", 400],
        ["r/turns/0.5/calls/call_1/approve", 400],
        ["r/turns/x/calls/call_1/approve", 400]
      ] as const) {
        assert.strictEqual((yield* send(url, path, "alice")).status, status, path)
      }
      const unknown = yield* send(url, "r/turns/0/calls/call_2/complete", "alice", { result: "x" })
      assert.strictEqual(problem(unknown.json), "call-not-found")
      assert.deepStrictEqual(yield* answerOf("r"), [])
      const { json } = yield* ask(`${url}/api/runs/r`, { as: "alice" })
      const approved = yield* ask(`${url}${json.pending?.[0]?.url}/approve`, { as: "alice", method: "POST" })
      assert.strictEqual(approved.status, 200)
      assert.strictEqual(yield* advance(agent, "r"), "completed")
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" }, "a/b c%2F?#")))))
  )
})

describe("a limit", () => {
  it.live("is shown, and raised", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      assert.strictEqual(yield* advance(poorClerk, "r"), "waiting")
      const { json } = yield* ask(`${url}/api/runs/r`, { as: "guest" })
      assert.deepInclude(json, { status: "waiting", waitingFor: "limit", limit: "turns" })
      const early = yield* ask(`${url}/api/runs/r/result`, { as: "alice" })
      assert.strictEqual(early.status, 409)
      assert.deepInclude(early.json, { waitingFor: "limit", limit: "turns" })
      for (const body of [undefined, {}, { turn: 2 }, { turns: "2" }, { turns: 1.5 }, { turns: -1 }, { cost: -1 }]) {
        const refused = yield* send(url, "r/raise", "alice", body)
        assert.strictEqual(refused.status, 400, JSON.stringify(body))
      }
      assert.notMatch((yield* answerOf("r")).join(), /LimitsRaised/)
      for (const limits of [{ turns: 2 }, { turns: 2 }, { turns: 1, time: 60_000, cost: 0.5 }]) {
        const raised = yield* send(url, "r/raise", "owner", limits)
        assert.strictEqual(raised.status, 200)
        assert.strictEqual(raised.json.status, "in_progress")
      }
      assert.deepStrictEqual((yield* answerOf("r")).slice(1, 2), ["LimitsRaised by owner of sales"])
      assert.strictEqual(yield* advance(poorClerk, "r"), "completed")
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("lookUp", { order: "7" })))))
  )
})

describe("who may answer", () => {
  const requests = [
    ["turns/0/calls/call_1/approve", undefined, "approver"],
    ["turns/0/calls/call_1/reject", { reason: "no" }, "approver"],
    ["turns/0/calls/call_1/complete", { result: date }, "robot"],
    ["raise", { turns: 2 }, "owner"]
  ] as const

  it.live(
    "nobody without credentials; those that may not read the run learn nothing; others what they may not do",
    () =>
      Effect.gen(function* () {
        const url = yield* serving({ agents })
        yield* advance(clerk, "r")
        for (const [path, body, own] of requests) {
          for (const as of [undefined, "mallory"]) {
            assert.strictEqual((yield* send(url, `r/${path}`, as, body)).status, 401, path)
          }
          const theirs = yield* send(url, `r/${path}`, "bob", body)
          const none = yield* send(url, `none/${path}`, "bob", body)
          assert.strictEqual(theirs.status, 404)
          assert.strictEqual(theirs.body, none.body)
          assert.strictEqual(problem(none.json), "run-not-found")
          for (const as of ["guest", "approver", "robot", "owner"].filter((name) => name !== own)) {
            const refused = yield* send(url, `r/${path}`, as, body)
            assert.strictEqual(refused.status, 403, `${as} ${path}`)
            assert.strictEqual(problem(refused.json), "forbidden")
          }
          assert.deepStrictEqual(yield* answerOf("r"), [])
        }
        assert.strictEqual((yield* send(url, `r/${requests[3][0]}`, "owner", { turns: 2 })).status, 200)
      }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" })))))
  )

  it.live("calls that wait are content: only those see them that may watch, approve or complete", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      yield* advance(clerk, "r")
      for (const [as, sees] of [
        ["alice", true],
        ["approver", true],
        ["robot", true],
        ["guest", false],
        ["owner", false]
      ] as const) {
        const { body, json } = yield* ask(`${url}/api/runs/r`, { as })
        assert.strictEqual(json.waitingFor, "approval")
        assert.strictEqual(json.pending !== undefined, sees, as)
        assert.strictEqual(/refund|"7"/.test(body), sees, as)
      }
      const { body } = yield* ask(`${url}/api/runs`, { as: "approver" })
      assert.notMatch(body, /refund/, "listings have no calls")
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" })))))
  )

  it.live("a call of a tool that the service does not have is not completed", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents: [Agent.make("clerk")] })
      yield* advance(clerk, "r")
      const refused = yield* send(url, `${call1}/complete`, "alice", { result: date })
      assert.strictEqual(refused.status, 409)
      assert.strictEqual(problem(refused.json), "run-stuck")
      assert.deepStrictEqual(yield* answerOf("r"), [])
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("dueDate", { order: "7" })))))
  )

  it.live("a body that is too large is not read", () =>
    Effect.gen(function* () {
      const url = yield* serving({ agents })
      yield* advance(clerk, "r")
      for (const [path, body] of [
        ["turns/0/calls/call_1/reject", { reason: "x".repeat(2 ** 22) }],
        ["turns/0/calls/call_1/complete", { result: "x".repeat(2 ** 22) }],
        ["raise", { turns: 2, x: "x".repeat(2 ** 22) }]
      ] as const) {
        const { json, status } = yield* send(url, `r/${path}`, "alice", body)
        assert.strictEqual(status, 413)
        assert.strictEqual(problem(json), "input-too-large")
      }
    }).pipe(Effect.scoped, Effect.provide(clerks(afterCalls(call("refund", { order: "7" })))))
  )
})

it("an answer is encoded by the schema of its tool, or fails", () => {
  const wrong = RunCall.encodeAnswer(clerk, { tool: "lookUp", result: { price: "12" } as never })
  assert.isTrue(Schema.isSchemaError(Effect.runSync(Effect.flip(wrong))))
})
