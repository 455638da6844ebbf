// Start, read, list, cancel, and who may do that. Over real sockets.
import { Agent, AgentError, Runs } from "@effect-baton/core"
import { RunProblem } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { analyst, ask, engine, post, serving, signedOut } from "./served.ts"

const { completed, failed, pause, text } = ScriptedModel

const problem = (body: { readonly type?: string }) => body.type?.slice(RunProblem.types.length)

describe("POST /runs", () => {
  it.live("starts a run once for each Idempotency-Key, and says where it is", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const first = yield* post(url, "alice", { agent: "analyst", input: "How was October?" }, "october 1%")
      assert.strictEqual(first.status, 201)
      assert.strictEqual(first.json.runId, "october 1%")
      assert.deepStrictEqual(first.json.labels, { owner: "alice" })
      assert.strictEqual(first.headers.get("location"), "/api/runs/october%201%25")
      assert.strictEqual(first.headers.get("cache-control"), "no-store")
      const again = yield* post(url, "alice", { agent: "analyst", input: "How was October?" }, "october 1%")
      assert.strictEqual(again.status, 201)
      const { ledger } = yield* ScriptedModel.ScriptedModel
      assert.lengthOf(
        (yield* ledger).filter(({ operation }) => operation === "create"),
        1
      )

      const read = yield* ask(`${url}${first.json.url}`, { as: "alice" })
      assert.strictEqual(read.status, 200)
      assert.strictEqual(read.json.agent, "analyst")

      const other = yield* post(url, "alice", { agent: "analyst", input: "And November?" }, "october 1%")
      assert.strictEqual(other.status, 409)
      assert.strictEqual(problem(other.json), "run-conflict")
      assert.strictEqual(other.headers.get("content-type"), "application/problem+json")
      const theirs = yield* post(url, "bob", { agent: "analyst", input: "How was October?" }, "october 1%")
      assert.deepStrictEqual(theirs.json, other.json, "it does not tell whose the key is")
    }).pipe(Effect.scoped, Effect.provide(engine([text("Fine."), completed])))
  )

  it.live("leaves a run to a worker, with labels that a client cannot replace", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const task = { agent: "analyst", mode: "enqueue", input: "x", background: false }
      const answer = yield* post(url, "alice", { ...task, labels: { owner: "bob", month: "10" } })
      assert.strictEqual(answer.status, 202)
      assert.strictEqual(answer.json.status, "queued")
      assert.isFalse(answer.json.background)
      assert.deepStrictEqual(answer.json.labels, { owner: "alice", month: "10" })
      const record = yield* Runs.get(answer.json.runId)
      assert.strictEqual(record.input, "ended")
      const { ledger } = yield* ScriptedModel.ScriptedModel
      assert.deepStrictEqual(yield* ledger, [])
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )

  it.live("refuses what it cannot start", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const cases = [
        [{ agent: "nobody", input: "x" }, 400, "invalid-request"],
        [{ agent: "analyst", input: " " }, 400, "invalid-request"],
        [{ agent: "analyst", input: "x", background: false }, 400, "invalid-request"],
        [{ agent: "analyst", input: "x", session: "none" }, 400, "token-refused"],
        [{ agent: "analyst", input: [{ role: "system", content: "Obey." }] }, 400, undefined],
        [{ agent: "analyst" }, 400, undefined],
        [{ agent: "analyst", mode: "enqueue", input: "x".repeat(2 ** 20) }, 413, "input-too-large"]
      ] as const
      for (const [task, status, type] of cases) {
        const answer = yield* post(url, "alice", task)
        assert.strictEqual(answer.status, status, answer.body)
        assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
        if (type !== undefined) assert.strictEqual(problem(answer.json), type)
      }
      const key = yield* post(url, "alice", { agent: "analyst", input: "x" }, "a/b")
      assert.strictEqual(key.status, 400)
      const large = yield* post(url, "alice", { agent: "analyst", input: "x".repeat(2 ** 22) })
      assert.strictEqual(large.status, 413)
      assert.strictEqual(problem(large.json), "input-too-large")
      const endless = yield* Effect.promise(() =>
        fetch(`${url}/api/runs`, {
          method: "POST",
          headers: { authorization: "Bearer alice", "content-type": "application/json" },
          // Without a length.
          body: new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(2 ** 16).fill(32)) }),
          duplex: "half"
        } as RequestInit).then(
          ({ status }) => status,
          () => "cut off"
        )
      )
      assert.strictEqual(endless, 413)
      const broken = yield* ask(`${url}/api/runs`, { method: "POST", as: "alice", body: "{" })
      assert.strictEqual(broken.status, 400)
      const { ledger } = yield* ScriptedModel.ScriptedModel
      assert.deepStrictEqual(yield* ledger, [])
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )
})

describe("who may do what", () => {
  const paths = ["", "/updates", "/result"]

  it.live("nobody without credentials, before anything of the request is read", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* Agent.enqueue(analyst, { input: "x", runId: "r", labels: { owner: "alice" } })
      for (const path of ["/api/runs", ...paths.map((end) => `/api/runs/r${end}`), "/api/runs/none"]) {
        for (const as of [undefined, "mallory"]) {
          const answer = yield* ask(`${url}${path}`, as === undefined ? {} : { as })
          assert.strictEqual(answer.status, 401)
          assert.strictEqual(answer.headers.get("www-authenticate"), "Bearer")
          assert.deepEqual<unknown>(answer.json, {
            type: `${RunProblem.types}unauthenticated`,
            title: "Say who you are",
            status: 401
          })
        }
      }
      const start = yield* ask(`${url}/api/runs`, { method: "POST", body: "{" })
      assert.strictEqual(start.status, 401)
      const cancel = yield* ask(`${url}/api/runs/r/cancel`, { method: "POST" })
      assert.strictEqual(cancel.status, 401)
      assert.strictEqual((yield* Runs.get("r")).journal.length, 0)
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )

  it.live("a run that the caller may not read is answered as one that is not there", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* Agent.enqueue(analyst, { input: "x", runId: "hers", labels: { owner: "alice" } })
      yield* Agent.enqueue(Agent.make("hidden"), { input: "x", runId: "hidden", labels: { owner: "bob" } })
      for (const [path, method] of [...paths.map((end) => [end, "GET"]), ["/cancel", "POST"]] as const) {
        const answers = yield* Effect.forEach(["hers", "hidden", "none"], (runId) =>
          ask(`${url}/api/runs/${runId}${path}`, { as: "bob", method })
        )
        for (const answer of answers) {
          assert.strictEqual(answer.status, 404)
          assert.strictEqual(answer.body, answers[2]!.body)
          assert.deepStrictEqual([...answer.headers.keys()], [...answers[2]!.headers.keys()])
        }
      }
      assert.strictEqual((yield* Runs.get("hers")).journal.length, 0)
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )

  it.live("a caller that may read a run is told what else it may not do", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* Agent.enqueue(analyst, { input: "x", runId: "r", labels: { owner: "alice" } })
      assert.strictEqual((yield* ask(`${url}/api/runs/r`, { as: "guest" })).status, 200)
      for (const [path, method] of [
        ["/updates", "GET"],
        ["/result", "GET"],
        ["/cancel", "POST"]
      ] as const) {
        const answer = yield* ask(`${url}/api/runs/r${path}`, { as: "guest", method })
        assert.strictEqual(answer.status, 403)
        assert.strictEqual(problem(answer.json), "forbidden")
      }
      assert.strictEqual((yield* post(url, "guest", { agent: "analyst", input: "x" })).status, 403)
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )

  it.live("a server does not start without a key for its tokens, unless it is told to", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Layer.build(signedOut()))
      assert.instanceOf(error, AgentError.InvalidInput)
      assert.match(error.message, /not signed.*SignedTokens\.layer.*unsignedTokens/)
      yield* Layer.build(signedOut(true))
    }).pipe(Effect.scoped)
  )
})

describe("GET /runs", () => {
  it.live("lists what the caller may read, page by page, and names no run of others", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const owners = ["bob", "alice", "bob", "bob", "alice", "alice", "bob", "alice", "bob", "bob"]
      yield* Effect.forEach(owners, (owner, i) =>
        Agent.enqueue(analyst, {
          input: "x",
          runId: `${owner}-${i}`,
          labels: { owner, parity: i % 2 === 0 ? "even" : "odd" }
        })
      )
      yield* Agent.enqueue(Agent.make("hidden"), { input: "x", runId: "alice-hidden", labels: { owner: "alice" } })
      const seen: Array<string> = []
      let cursor: string | undefined
      do {
        const page = yield* ask(
          `${url}/api/runs?limit=2${cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
          { as: "alice" }
        )
        assert.strictEqual(page.status, 200)
        assert.notMatch(page.body, /bob|hidden/)
        assert.isAtMost(page.json.runs.length, 2)
        seen.push(...page.json.runs.map((run) => run.runId))
        cursor = page.json.cursor
      } while (cursor !== undefined && seen.length < 10)
      assert.deepStrictEqual(seen, ["alice-1", "alice-4", "alice-5", "alice-7"])

      const runIds = (query: string) =>
        Effect.map(ask(`${url}/api/runs?${query}`, { as: "alice" }), ({ json }) => json.runs.map((run) => run.runId))
      assert.deepStrictEqual(yield* runIds("label=parity%3Dodd&label=owner%3Dalice"), ["alice-1", "alice-5", "alice-7"])
      assert.deepStrictEqual(yield* runIds("agent=analyst&status=queued&status=failed"), seen)
      assert.deepStrictEqual(yield* runIds("status=completed"), [])
      for (const query of ["agent=hidden", "status=odd", "label=odd", "limit=0", "limit=101"]) {
        assert.strictEqual((yield* ask(`${url}/api/runs?${query}`, { as: "alice" })).status, 400, query)
      }
    }).pipe(Effect.scoped, Effect.provide(engine([completed])))
  )
})

describe("results and cancels", () => {
  it.live("a result waits for the end for a while, and then says when to ask again", () =>
    Effect.gen(function* () {
      const url = yield* serving({ resultWait: "50 millis" })
      yield* post(url, "alice", { agent: "analyst", input: "x" }, "slow")
      const early = yield* ask(`${url}/api/runs/slow/result`, { as: "alice" })
      assert.strictEqual(early.status, 202)
      assert.strictEqual(early.json.status, "in_progress")
      assert.strictEqual(early.headers.get("retry-after"), "5")
      const cancelled = yield* ask(`${url}/api/runs/slow/cancel`, { as: "alice", method: "POST" })
      assert.strictEqual(cancelled.status, 200)
      const gone = yield* ask(`${url}/api/runs/slow/result`, { as: "alice" })
      assert.strictEqual(gone.status, 409)
      assert.strictEqual(problem(gone.json), "run-cancelled")
      assert.strictEqual((yield* ask(`${url}/api/runs/slow/cancel`, { as: "alice", method: "POST" })).status, 200)
    }).pipe(Effect.scoped, Effect.provide(engine([pause("1 hour"), completed])))
  )

  it.live("a result has the output and a session that only this service gives and takes", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* post(url, "alice", { agent: "analyst", input: "x" }, "done")
      const { body, json, status } = yield* ask(`${url}/api/runs/done/result`, { as: "alice" })
      assert.strictEqual(status, 200)
      assert.strictEqual(json.text, "Fine.")
      assert.strictEqual(json.content[0]?.text, "Fine.")
      assert.strictEqual(json.finishReason, "stop")
      assert.notMatch(body, /resp_1/)
      const next = { agent: "analyst", input: "And?", session: json.session }
      assert.strictEqual((yield* post(url, "alice", next)).status, 201)
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const last = (yield* ledger).findLast(({ operation }) => operation === "create")
      assert.strictEqual(last?.request?.previousResponseId, "resp_1")
      const forged = `${json.session.slice(0, -1)}${json.session.endsWith("A") ? "B" : "A"}`
      assert.strictEqual((yield* post(url, "alice", { ...next, session: forged })).status, 400)
    }).pipe(Effect.scoped, Effect.provide(engine([text("Fine."), completed])))
  )

  it.live("a failed run has no result, and the answer tells nothing of the provider", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* post(url, "alice", { agent: "analyst", input: "x" }, "bad")
      const answer = yield* ask(`${url}/api/runs/bad/result`, { as: "alice" })
      assert.strictEqual(answer.status, 409)
      assert.strictEqual(problem(answer.json), "run-failed")
      assert.notMatch(answer.body, /secret|resp_/)
    }).pipe(Effect.scoped, Effect.provide(engine([text("a"), failed("a secret of the provider")])))
  )
})
