// What comes next for a run: each row of the table, and what no journal can make it ask for.
import { RunEngine, type RunRecord } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  AnyContext,
  AnyFacts,
  born,
  call,
  contextIn,
  distinctIn,
  error,
  fact,
  factsOf,
  foldOf,
  journalIn
} from "../support/journals.ts"
import { law } from "../support/law.ts"

type Journal = ReadonlyArray<RunRecord.Fact>

const options = { arbitrary: { runs: 2000 } }

/** A step, and the facts that it follows from. */
const stepsOf = (journal: Journal, context: RunEngine.Context) =>
  Array.from({ length: journal.length + 1 }, (_, length) => {
    const prefix = journal.slice(0, length)
    const state = foldOf(prefix)
    return { prefix, state, step: RunEngine.decide(state, context) }
  })

/** Whether what a step will record is in the journal. */
const isDone = (journal: Journal, incarnation: number, step: RunEngine.Step): boolean => {
  const ofCall = (tag: RunRecord.Fact["_tag"], turn: number, callId: string, by: number) =>
    journal.some(
      (one) =>
        one._tag === tag && "callId" in one && one.turn === turn && one.callId === callId && one.incarnation === by
    )
  const winnerOf = (turn: number) => foldOf(journal).turns[turn]?.winner?.incarnation ?? incarnation
  switch (step._tag) {
    case "CancelResponse":
      return journal.some(
        (one) =>
          (one._tag === "CancelSent" || one._tag === "ResponseEnded") && one.responseId === step.response.responseId
      )
    case "Deliver":
      return journal.some((one) => one._tag === "Delivered" && one.incarnation === incarnation)
    case "End":
      return journal.some((one) => one._tag === "Ended" && one.incarnation === incarnation)
    case "Open":
      return foldOf(journal).turns[step.turn]?.winner !== undefined
    case "Follow":
      return journal.some((one) => one._tag === "ResponseEnded" && one.responseId === step.response.responseId)
    case "AskApproval": {
      const by = winnerOf(step.turn)
      return (
        ofCall("ApprovalAsked", step.turn, step.call.callId, by) ||
        ofCall("Approved", step.turn, step.call.callId, by) ||
        ofCall("Rejected", step.turn, step.call.callId, by)
      )
    }
    case "RunTool": {
      const by = winnerOf(step.turn)
      const { callId } = step.call
      return (
        ofCall("ToolEnded", step.turn, callId, by) ||
        ofCall("ToolDeferred", step.turn, callId, by) ||
        journal.some(
          (one) =>
            one._tag === "ToolStarted" &&
            one.turn === step.turn &&
            one.callId === callId &&
            one.incarnation === by &&
            one.n >= step.n
        )
      )
    }
    case "Over":
    case "Wait":
      return false
  }
}

describe("what comes next", () => {
  law(
    "is answered for any facts in any order",
    [AnyFacts, AnyContext],
    ([said, context]) =>
      Effect.sync(() => {
        for (const { step } of stepsOf(journalIn(said), contextIn(context))) assert.isString(step._tag)
      }),
    options
  )

  law(
    "is never a step whose fact is in the journal, whatever part of it was read",
    [AnyFacts, AnyContext],
    ([said, context]) =>
      Effect.sync(() => {
        for (const { prefix, state, step } of stepsOf(distinctIn(said), contextIn(context))) {
          assert.isFalse(isDone(prefix, state.incarnation, step), step._tag)
        }
      }),
    options
  )

  law(
    "never opens a turn of a cancelled run, nor runs a call or asks about one",
    [AnyFacts, AnyContext],
    ([said, context]) =>
      Effect.sync(() => {
        for (const { state, step } of stepsOf(distinctIn(said), contextIn(context))) {
          if (state.cancelled) assert.notInclude(["Open", "RunTool", "AskApproval"], step._tag)
        }
      }),
    options
  )

  law(
    "never ends a run while a response of it may run, and its end names each request without an answer",
    [AnyFacts, AnyContext],
    ([said, context]) =>
      Effect.sync(() => {
        for (const { state, step } of stepsOf(distinctIn(said), contextIn(context))) {
          if (step._tag !== "End") continue
          const running = state.turns.filter(({ end, winner }) => winner !== undefined && end === undefined)
          assert.deepStrictEqual(running, [])
          assert.deepStrictEqual(step.unresolved, state.unresolved)
        }
      }),
    options
  )

  law(
    "is to cancel a loose response before all, also after the end, unless that is under way",
    [AnyFacts, AnyContext],
    ([said, context]) =>
      Effect.sync(() => {
        const { underWay = new Set() } = contextIn(context)
        for (const { state, step } of stepsOf(distinctIn(said), contextIn(context))) {
          const loose = state.loose.filter(({ responseId }) => !underWay.has(responseId))
          if (loose.length > 0) assert.strictEqual(step._tag, "CancelResponse")
          else if (state.ended !== undefined) assert.include(["Deliver", "Over"], step._tag)
        }
      }),
    options
  )

  law(
    "sends no request twice: under `fail`, a turn with a request that nobody answered is not opened",
    [AnyFacts, AnyContext],
    ([said, context]) =>
      Effect.sync(() => {
        const known = { ...contextIn(context), onUnconfirmed: "fail" as const }
        for (const { state, step } of stepsOf(distinctIn(said), known)) {
          if (step._tag === "Open") assert.deepStrictEqual(state.turns[step.turn]?.open ?? [], [])
        }
      }),
    options
  )
})

const by = factsOf()
const { accepted, approvalAsked, approved, cancelRequested, cancelSent, delivered, ended } = by
const { refused, rejected, requested, responseEnded, toolDeferred, toolEnded, toolStarted } = by

const next = (journal: Journal, context: Partial<RunEngine.Context> = {}): RunEngine.Step =>
  RunEngine.decide(foldOf(journal), { onUnconfirmed: "fail", hasInput: true, handled: false, ...context })

/** A step in which facts and calls are named by their ids. */
const short = (journal: Journal, context?: Partial<RunEngine.Context>) => {
  const step = next(journal, context)
  switch (step._tag) {
    case "CancelResponse":
      return [step._tag, step.response.responseId]
    case "Follow":
      return [step._tag, step.turn, step.response.responseId]
    case "AskApproval":
      return [step._tag, step.turn, step.call.callId]
    case "RunTool":
      return [step._tag, step.turn, step.call.callId, step.n]
    case "Open":
      return [step._tag, step.turn]
    case "Wait":
      return [step._tag, step.for, step.turn, ...(step.until === undefined ? [] : [step.until])]
    case "End":
      return [
        step._tag,
        step.status,
        ...(step.reason === undefined ? [] : [step.reason]),
        ...step.unresolved.map((one) => `${one.turn}:${one.try}`)
      ]
    case "Deliver":
    case "Over":
      return [step._tag]
  }
}

const opened = [requested("1"), accepted("r0", "1")]
const restart = { onUnconfirmed: "restart" } as const
const calling = (...ids: ReadonlyArray<string>) => [...opened, responseEnded("r0", { calls: ids.map(call) })]
const tools = { runs: () => true }
const careful = { ...tools, needsApproval: () => true }
const over = [...opened, responseEnded("r0"), ended()]

describe("the table", () => {
  it("row 1: a loose response is cancelled, also after the end, until the cancel or its end is recorded", () => {
    const two = [...opened, accepted("r1", "2")]
    assert.deepStrictEqual(short(two), ["CancelResponse", "r1"])
    assert.deepStrictEqual(short([...two, ended("failed")]), ["CancelResponse", "r0"])
    assert.deepStrictEqual(short([...two, ended("failed"), cancelSent("r0")]), ["CancelResponse", "r1"])
    assert.deepStrictEqual(short([...two, ended("failed"), cancelSent("r0"), responseEnded("r1")]), ["Over"])
    assert.deepStrictEqual(short([...two, ended("failed"), cancelSent("r0")], { underWay: new Set(["r1"]) }), ["Over"])
    assert.deepStrictEqual(short([...opened, ended("failed"), factsOf(2).retried()]), ["CancelResponse", "r0"])
  })

  it("row 2: the rest of a run that is over is delivered if its consumer was promised it", () => {
    assert.deepStrictEqual(short(over, { handled: true }), ["Deliver"])
  })

  it("row 3: a run that is over, and delivered if that was promised, is over", () => {
    assert.deepStrictEqual(short(over), ["Over"])
    assert.deepStrictEqual(short([...over, delivered], { handled: true }), ["Over"])
  })

  it("row 4: a cancelled run whose request nobody answered fails as unconfirmed, and is never called cancelled", () => {
    const open = [requested("1"), cancelRequested]
    assert.deepStrictEqual(short(open), ["End", "failed", "unconfirmed", "0:1"])
    assert.deepStrictEqual(short(open, restart), ["End", "failed", "unconfirmed", "0:1"])
    assert.deepStrictEqual(short(open, { underWay: new Set(["1"]) }), ["Wait", "unconfirmed", 0])
  })

  it("row 5: a request that nobody answered waits for a person, until its response is known", () => {
    assert.deepStrictEqual(short([requested("1")]), ["Wait", "unconfirmed", 0])
    assert.deepStrictEqual(short([requested("1")], { underWay: new Set(["1"]), ...restart }), [
      "Wait",
      "unconfirmed",
      0
    ])
    assert.deepStrictEqual(short([requested("1"), accepted("r0", "1")]), ["Follow", 0, "r0"])
  })

  it("row 6: a cancelled run that bought nothing ends as cancelled, and names what an earlier incarnation may have bought", () => {
    assert.deepStrictEqual(short([cancelRequested]), ["End", "cancelled"])
    assert.deepStrictEqual(short([requested("1"), refused("1"), cancelRequested]), ["End", "cancelled"])
    const second = factsOf(2)
    const retried = [requested("1"), ended("failed"), second.retried(), second.cancelRequested]
    assert.deepStrictEqual(short(retried), ["End", "cancelled", "0:1"])
  })

  it("row 7: a request that would be refused again, or was tried too often, ends the run with its last refusal", () => {
    const final = refused("1", { error: error("quota"), final: true })
    assert.deepStrictEqual(next([requested("1"), final]), {
      _tag: "End",
      status: "failed",
      reason: "refused",
      unresolved: [],
      error: error("quota")
    })
    const often = (times: number) =>
      Array.from({ length: times }, (_, i) => [
        requested(`${i}`),
        refused(`${i}`, { error: error(`${i}`), final: false })
      ]).flat()
    assert.deepStrictEqual(short(often(RunEngine.maxTries - 1)), ["Open", 0])
    assert.deepStrictEqual(short(often(RunEngine.maxTries)), ["End", "failed", "refused"])
    // Requests that nobody answered are tries too.
    const silent = Array.from({ length: RunEngine.maxTries }, (_, i) => requested(`${i}`))
    assert.deepStrictEqual(short(silent.slice(1), restart), ["Open", 0])
    assert.deepStrictEqual(short(silent, restart).slice(0, 3), ["End", "failed", "unconfirmed"])
  })

  it("row 8: a run that was never opened waits if its input is not here", () => {
    assert.deepStrictEqual(short([], { hasInput: false }), ["Wait", "input", 0])
    assert.deepStrictEqual(short([requested("1"), refused("1")], { hasInput: false }), ["Wait", "input", 0])
  })

  it("row 9: else its first turn is opened, again after a refusal for now, and under `restart` after no answer", () => {
    assert.deepStrictEqual(short([]), ["Open", 0])
    assert.deepStrictEqual(short([requested("1"), refused("1", { error: error("busy"), final: false })]), ["Open", 0])
    assert.deepStrictEqual(short([requested("1"), refused("1")]), ["Open", 0])
    assert.deepStrictEqual(short([requested("1")], restart), ["Open", 0])
  })

  it("row 10: the response of a cancelled run is cancelled", () => {
    assert.deepStrictEqual(short([...opened, cancelRequested]), ["CancelResponse", "r0"])
  })

  it("row 11: a response is followed until its end is recorded, also after its cancel was sent", () => {
    assert.deepStrictEqual(short(opened), ["Follow", 0, "r0"])
    assert.deepStrictEqual(short([...opened, cancelRequested, cancelSent("r0")]), ["Follow", 0, "r0"])
    assert.deepStrictEqual(short([...opened, cancelRequested], { underWay: new Set(["r0"]) }), ["Follow", 0, "r0"])
  })

  it("row 12: a response that leads nowhere else ends the run as itself, whatever was asked, and names what is unresolved", () => {
    for (const status of ["completed", "incomplete", "failed", "cancelled", "expired"] as const) {
      const journal = [...opened, responseEnded("r0", { status })]
      assert.deepStrictEqual(short(journal), ["End", status])
      assert.deepStrictEqual(short([...journal, cancelRequested]), ["End", status])
    }
    const external = { ...call("c"), external: true }
    assert.deepStrictEqual(short([...opened, responseEnded("r0", { calls: [external] })]), ["End", "completed"])
    // Calls of a response that failed are nobody's.
    assert.deepStrictEqual(short([...opened, responseEnded("r0", { status: "failed", calls: [call("c")] })]), [
      "End",
      "failed"
    ])
    const twice = [requested("1"), requested("2"), accepted("r1", "2"), cancelRequested]
    assert.deepStrictEqual(short([...twice, responseEnded("r1", { status: "cancelled" })]), ["End", "cancelled", "0:1"])
  })

  it("row 13: a cancelled run does not run the calls of its last response", () => {
    assert.deepStrictEqual(short([...calling("a"), cancelRequested], tools), ["End", "cancelled"])
    assert.deepStrictEqual(short([...calling("a"), toolEnded("a", 1), cancelRequested], tools), ["End", "cancelled"])
    const further = [...calling("a"), toolEnded("a", 1), requested("2", 1), accepted("r1", "2", 1), cancelRequested]
    assert.deepStrictEqual(short(further, tools), ["CancelResponse", "r1"])
  })

  it("row 14: a call that needs approval is asked about once", () => {
    assert.deepStrictEqual(short(calling("a"), careful), ["AskApproval", 0, "a"])
    assert.deepStrictEqual(short([...calling("a", "b"), approvalAsked("a")], careful), ["AskApproval", 0, "b"])
    assert.deepStrictEqual(short([...calling("a"), approvalAsked("a")], careful), ["Wait", "approval", 0])
  })

  it("row 15: a call that is approved, or needs no approval, is run, again if nobody knows what became of it", () => {
    assert.deepStrictEqual(short(calling("a"), tools), ["RunTool", 0, "a", 1])
    assert.deepStrictEqual(short([...calling("a"), approvalAsked("a"), approved("a")], careful), ["RunTool", 0, "a", 1])
    assert.deepStrictEqual(short([...calling("a"), toolStarted("a", 1)], tools), ["RunTool", 0, "a", 2])
    assert.deepStrictEqual(short([...calling("a"), toolStarted("a", 1)], { ...tools, underWay: new Set(["a"]) }), [
      "Wait",
      "deferred",
      0
    ])
    // One that waits does not hold the others up.
    assert.deepStrictEqual(short([...calling("a", "b"), approvalAsked("a")], tools), ["RunTool", 0, "b", 1])
  })

  it("row 16: else the run waits for an approval, or for results of calls that others answer", () => {
    assert.deepStrictEqual(short([...calling("a"), approvalAsked("a", 70)], careful), ["Wait", "approval", 0, 70])
    assert.deepStrictEqual(short([...calling("a"), toolStarted("a", 1), toolDeferred("a", 80)], tools), [
      "Wait",
      "deferred",
      0,
      80
    ])
    assert.deepStrictEqual(short(calling("a")), ["Wait", "deferred", 0])
    const both = [...calling("a", "b"), approved("a"), toolDeferred("a", 80), approvalAsked("b", 70)]
    assert.deepStrictEqual(short(both, careful), ["Wait", "deferred", 0, 70])
  })

  it("row 17: a run whose next turn is over a limit waits until the limit is raised", () => {
    const done = [...calling("a"), toolEnded("a", 1)]
    const limits = { ...tools, limits: { turns: 1 } }
    assert.deepStrictEqual(short(done, limits), ["Wait", "limit", 1])
    assert.deepStrictEqual(short([...done, by.limitsRaised({ turns: 2 })], limits), ["Open", 1])
    assert.deepStrictEqual(short([...done, by.limitsRaised({ turns: 0 })], limits), ["Wait", "limit", 1])
    const usage = { inputTokens: { total: 60 }, outputTokens: { total: 40 } } as NonNullable<
      RunRecord.FactOf<"ResponseEnded">["usage"]
    >
    const costly = [...opened, responseEnded("r0", { calls: [call("a")], usage }), toolEnded("a", 1)]
    assert.deepStrictEqual(short(costly, { ...tools, limits: { tokens: 100 } }), ["Wait", "limit", 1])
    assert.deepStrictEqual(short(costly, { ...tools, limits: { tokens: 101 } }), ["Open", 1])
  })

  it("row 18: the next turn is opened when each call has a result or was rejected, and goes by the same rows", () => {
    assert.deepStrictEqual(short([...calling("a"), toolEnded("a", 1)], tools), ["Open", 1])
    const mixed = [...calling("a", "b"), toolEnded("a", 1), approvalAsked("b"), rejected("b")]
    assert.deepStrictEqual(short(mixed, careful), ["Open", 1])
    const second = [...calling("a"), toolEnded("a", 1), requested("2", 1)]
    assert.deepStrictEqual(short(second, tools), ["Wait", "unconfirmed", 1])
    assert.deepStrictEqual(short([...second, accepted("r1", "2", 1)], tools), ["Follow", 1, "r1"])
    const final = fact({ _tag: "Refused", turn: 1, try: "2", error: error("no"), final: true }, born)
    assert.deepStrictEqual(short([...second, final], tools), ["End", "failed", "refused"])
    // Its request comes from the journal: the run's input is not needed.
    assert.deepStrictEqual(short([...calling("a"), toolEnded("a", 1)], { ...tools, hasInput: false }), ["Open", 1])
  })
})
