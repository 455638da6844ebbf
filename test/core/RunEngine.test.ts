// What comes next for a run: each row of the table.
import { RunEngine, type RunRecord } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { born, call, error, fact, factsOf, foldOf, providerCall, usageOf } from "../support/journals.ts"

type Journal = ReadonlyArray<RunRecord.Fact>

const by = factsOf()
const { accepted, allowed, approvalAsked, approved, cancelRequested, cancelSent, delivered, ended } = by
const { limitsRaised, refused, rejected, requested, responseEnded, toolDeferred, toolEnded, toolFailed, toolStarted } =
  by

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
    case "AskPolicy":
      return [step._tag, step.turn, ...step.calls.map(({ callId }) => callId)]
    case "RunTools":
      return [step._tag, step.turn, ...step.starts.map(({ call: { callId }, n }) => `${callId}:${n}`)]
    case "GiveUp":
      return [step._tag, step.turn, step.call.callId, step.why]
    case "Open":
      return [step._tag, step.turn]
    case "Wait":
      return [step._tag, step.for, step.turn, step.limit, step.until].filter((one) => one !== undefined)
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
const calling = (...ids: ReadonlyArray<string>) => [
  ...opened,
  responseEnded("r0", { calls: ids.map((id) => call(id)) })
]
/** A run whose first response asks for these calls, all of which may run. */
const ready = (...ids: ReadonlyArray<string>) => [...calling(...ids), ...ids.map((id) => allowed(id))]
const busy = (...ids: ReadonlyArray<string>) => ({ underWay: new Set(ids.map((id) => RunEngine.callName(0, id))) })
const done = [...ready("a"), toolStarted("a", 1), toolEnded("a", 1)]
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

  it("row 13: a cancelled run does not run the calls of its last response; those under way are interrupted first", () => {
    assert.deepStrictEqual(short([...calling("a"), cancelRequested]), ["End", "cancelled"])
    assert.deepStrictEqual(short([...ready("a"), cancelRequested]), ["End", "cancelled"])
    assert.deepStrictEqual(short([...done, cancelRequested]), ["End", "cancelled"])
    const waiting = [...ready("a", "b"), approvalAsked("a", 70), toolDeferred("b", 80), cancelRequested]
    assert.deepStrictEqual(short(waiting, { now: 90 }), ["End", "cancelled"])
    const running = [...ready("a", "b"), toolStarted("a", 1), toolStarted("b", 1), cancelRequested]
    assert.deepStrictEqual(short(running, busy("a")), ["Wait", "tools", 0])
    assert.deepStrictEqual(short(running, { onCut: () => "again" }), ["End", "cancelled"])
    assert.deepStrictEqual(short([...running, toolEnded("a", 1)], busy("a")), ["End", "cancelled"])
    const further = [...done, requested("2", 1), accepted("r1", "2", 1), cancelRequested]
    assert.deepStrictEqual(short(further), ["CancelResponse", "r1"])
    // A failure that would have ended the run does not count any more.
    assert.deepStrictEqual(short([...running, toolFailed("a", "failed")]), ["End", "cancelled"])
  })

  it("row 14: it is asked once whether calls may run, about all of them at once", () => {
    assert.deepStrictEqual(short(calling("a", "b")), ["AskPolicy", 0, "a", "b"])
    assert.deepStrictEqual(short([...calling("a", "b"), allowed("a")]), ["AskPolicy", 0, "b"])
    assert.deepStrictEqual(short([...calling("a", "b"), approvalAsked("a")]), ["AskPolicy", 0, "b"])
    assert.deepStrictEqual(short([...calling("a", "b"), rejected("a")]), ["AskPolicy", 0, "b"])
    assert.deepStrictEqual(short([...calling("a", "b"), toolStarted("a", 1)], busy("a")), ["AskPolicy", 0, "b"])
    // Somebody can be faster than the policy.
    assert.deepStrictEqual(short([...calling("a"), approved("a")]), ["RunTools", 0, "a:1"])
    assert.deepStrictEqual(short([...calling("a"), toolEnded("a", 1)]), ["Open", 1])
    const mixed = responseEnded("r0", { calls: [{ ...call("a"), external: true }, call("b")] })
    assert.deepStrictEqual(short([...opened, mixed]), ["AskPolicy", 0, "b"])
  })

  it("row 15: calls that were allowed or approved run, while others wait for approval", () => {
    assert.deepStrictEqual(short(ready("a", "b")), ["RunTools", 0, "a:1", "b:1"])
    assert.deepStrictEqual(short([...calling("a"), approvalAsked("a"), approved("a")]), ["RunTools", 0, "a:1"])
    const one = [...calling("a", "b", "c"), approvalAsked("a"), allowed("b"), rejected("c")]
    assert.deepStrictEqual(short(one), ["RunTools", 0, "b:1"])
    assert.deepStrictEqual(short([...one, toolStarted("b", 1)], busy("b")), ["Wait", "tools", 0])
    assert.deepStrictEqual(short([...one, toolStarted("b", 1), toolEnded("b", 1)]), ["Wait", "approval", 0])
    // The name of a call is that of its turn: another turn may have a call of the same id.
    assert.deepStrictEqual(short(ready("a"), { underWay: new Set(["a", "1:a"]) }), ["RunTools", 0, "a:1"])
  })

  it("row 15: no more calls run at once than the agent allows", () => {
    const three = ready("a", "b", "c")
    assert.deepStrictEqual(short(three, { atOnce: 2 }), ["RunTools", 0, "a:1", "b:1"])
    const two = [...three, toolStarted("a", 1), toolStarted("b", 1)]
    assert.deepStrictEqual(short(two, { atOnce: 2, ...busy("a", "b") }), ["Wait", "tools", 0])
    const free = [...two, toolEnded("a", 1)]
    assert.deepStrictEqual(short(free, { atOnce: 2, ...busy("b") }), ["RunTools", 0, "c:1"])
    // Calls that wait for somebody do not take a place.
    assert.deepStrictEqual(short([...two, toolDeferred("a"), toolDeferred("b")], { atOnce: 1 }), ["RunTools", 0, "c:1"])
  })

  it("row 15: a call that was cut runs again, waits for its result, or fails, as its tool says", () => {
    const cut = [...ready("a"), toolStarted("a", 1)]
    assert.deepStrictEqual(short(cut), ["RunTools", 0, "a:2"])
    assert.deepStrictEqual(short(cut, { onCut: () => "again" }), ["RunTools", 0, "a:2"])
    assert.deepStrictEqual(short([...cut, toolStarted("a", 2)]), ["RunTools", 0, "a:3"])
    assert.deepStrictEqual(short(cut, { onCut: () => "wait" }), ["Wait", "deferred", 0])
    assert.deepStrictEqual(short(cut, { onCut: () => "fail" }), ["GiveUp", 0, "a", "interrupted"])
    assert.deepStrictEqual(short(cut, { onCut: () => "fail", ...busy("a") }), ["Wait", "tools", 0])
    assert.deepStrictEqual(short(ready("a"), { onCut: () => "fail" }), ["RunTools", 0, "a:1"])
    assert.deepStrictEqual(short([...cut, toolDeferred("a")], { onCut: () => "fail" }), ["Wait", "deferred", 0])
    const each = [...opened, responseEnded("r0", { calls: [call("a", "pay"), call("b", "read")] })]
    const both = [...each, toolStarted("a", 1), toolStarted("b", 1)]
    const onCut = ({ name }: RunRecord.Call) => (name === "pay" ? "wait" : "again")
    assert.deepStrictEqual(short(both, { onCut }), ["RunTools", 0, "b:2"])
  })

  it("row 16: else the run waits for approvals, or for results that others give, until one of them is too late", () => {
    assert.deepStrictEqual(short([...calling("a"), approvalAsked("a", 70)]), ["Wait", "approval", 0, 70])
    const deferred = [...ready("a"), toolStarted("a", 1), toolDeferred("a", 80)]
    assert.deepStrictEqual(short(deferred), ["Wait", "deferred", 0, 80])
    const both = [...calling("a", "b"), allowed("a"), toolDeferred("a", 80), approvalAsked("b", 70)]
    assert.deepStrictEqual(short(both), ["Wait", "deferred", 0, 70])
    assert.deepStrictEqual(short([...calling("a", "b"), approvalAsked("a"), approvalAsked("b", 60)]), [
      "Wait",
      "approval",
      0,
      60
    ])
  })

  it("row 16: an approval or a result that is too late is given up", () => {
    const asked = [...calling("a", "b"), approvalAsked("a", 70), allowed("b")]
    assert.deepStrictEqual(short(asked, { now: 69 }), ["RunTools", 0, "b:1"])
    assert.deepStrictEqual(short(asked, { now: 70 }), ["GiveUp", 0, "a", "expired"])
    assert.deepStrictEqual(short([...asked, approved("a")], { now: 70 }), ["RunTools", 0, "a:1", "b:1"])
    const deferred = [...ready("a"), toolStarted("a", 1), toolDeferred("a", 80)]
    assert.deepStrictEqual(short(deferred, { now: 79 }), ["Wait", "deferred", 0, 80])
    assert.deepStrictEqual(short(deferred, { now: 80 }), ["GiveUp", 0, "a", "expired"])
    assert.deepStrictEqual(short([...deferred, toolEnded("a", 1)], { now: 80 }), ["Open", 1])
    // Also while another call runs.
    const running = [...asked, toolStarted("b", 1)]
    assert.deepStrictEqual(short(running, { now: 69, ...busy("b") }), ["Wait", "tools", 0, 70])
    assert.deepStrictEqual(short(running, { now: 70, ...busy("b") }), ["GiveUp", 0, "a", "expired"])
    // Without a clock, nothing is too late.
    assert.deepStrictEqual(short(deferred), ["Wait", "deferred", 0, 80])
  })

  it("row 16: a result that ends the run ends it once no call is under way", () => {
    for (const ends of ["failed", "defect"] as const) {
      const failed = [...ready("a", "b", "c"), toolStarted("a", 1), toolStarted("b", 1), toolFailed("a", ends)]
      assert.deepStrictEqual(short(failed, busy("b")), ["Wait", "tools", 0])
      assert.deepStrictEqual(short([...failed, toolEnded("b", 1)]), ["End", "failed", "tool"])
      // Those that did not begin do not run, and nobody is waited for.
      assert.deepStrictEqual(short([...failed, toolDeferred("b")]), ["End", "failed", "tool"])
    }
    // All other failures are results, which the model gets.
    assert.deepStrictEqual(short([...ready("a"), toolFailed("a")]), ["Open", 1])
  })

  it("row 16: a call that the provider runs is never run here, and is done once it is decided", () => {
    const theirs = [...opened, responseEnded("r0", { calls: [providerCall("a"), call("b")] })]
    assert.deepStrictEqual(short(theirs), ["AskPolicy", 0, "a", "b"])
    const asked = [...theirs, approvalAsked("a"), allowed("b"), toolEnded("b", 1)]
    assert.deepStrictEqual(short(asked), ["Wait", "approval", 0])
    for (const decision of [approved("a"), rejected("a"), allowed("a")]) {
      assert.deepStrictEqual(short([...asked, decision]), ["Open", 1])
    }
  })

  it("row 17: a run whose next turn is over a limit waits, and says which, until the limit is raised", () => {
    const limits = { limits: { turns: 1 } }
    assert.deepStrictEqual(short(done, limits), ["Wait", "limit", 1, "turns"])
    assert.deepStrictEqual(short([...done, limitsRaised({ turns: 2 })], limits), ["Open", 1])
    assert.deepStrictEqual(short([...done, limitsRaised({ turns: 0 })], limits), ["Wait", "limit", 1, "turns"])
    assert.deepStrictEqual(short([...done, limitsRaised({ turns: 1 })], { limits: { turns: 2 } }), ["Open", 1])
    assert.deepStrictEqual(short([...done, limitsRaised({ tokens: 9 })], limits), ["Wait", "limit", 1, "turns"])
    // The first turn has no limit, and a turn under way is not cut short.
    assert.deepStrictEqual(short([], { limits: { turns: 0, tokens: 0, time: 0, cost: 0 } }), ["Open", 0])
    assert.deepStrictEqual(short([...done, requested("2", 1), accepted("r1", "2", 1)], limits), ["Follow", 1, "r1"])
    // A run that is cancelled needs no limit raised.
    assert.deepStrictEqual(short([...done, cancelRequested], limits), ["End", "cancelled"])
  })

  it("row 17: tokens and costs are those of all responses", () => {
    const costly = [...opened, responseEnded("r0", { calls: [call("a")], usage: usageOf(100) }), toolEnded("a", 1)]
    assert.deepStrictEqual(short(costly, { limits: { tokens: 100 } }), ["Wait", "limit", 1, "tokens"])
    assert.deepStrictEqual(short(costly, { limits: { tokens: 101 } }), ["Open", 1])
    const cost = ({ inputTokens: { total = 0 } }: { readonly inputTokens: { readonly total?: number | undefined } }) =>
      total / 50
    assert.deepStrictEqual(short(costly, { cost, limits: { cost: 2 } }), ["Wait", "limit", 1, "cost"])
    assert.deepStrictEqual(short(costly, { cost, limits: { cost: 2.1 } }), ["Open", 1])
    assert.deepStrictEqual(short(costly, { limits: { cost: 2 } }), ["Open", 1])
  })

  it("row 17: time is that in which a response or a call was under way, not that in which the run waits", () => {
    const at = (time: number, one: RunRecord.Fact): RunRecord.Fact => ({ ...one, at: time })
    const response = [
      at(0, requested("1")),
      at(100, accepted("r0", "1")),
      at(130, responseEnded("r0", { calls: [call("a"), call("b")] }))
    ]
    // Two calls at once, from 200 to 220 and from 210 to 250, of which the second then waits for its result.
    const calls = [
      at(200, toolStarted("a", 1)),
      at(210, toolStarted("b", 1)),
      at(220, toolEnded("a", 1)),
      at(250, toolDeferred("b")),
      at(900, toolEnded("b", 1))
    ]
    const spent = [...response, ...calls]
    assert.deepStrictEqual(short(spent, { limits: { time: 80 } }), ["Wait", "limit", 1, "time"])
    assert.deepStrictEqual(short(spent, { limits: { time: 81 } }), ["Open", 1])
  })

  it("row 17: calls are counted when they are started first", () => {
    const limits = { limits: { toolCalls: 2 } }
    const two = [...ready("a", "b", "c"), toolStarted("a", 1), toolStarted("b", 1)]
    assert.deepStrictEqual(short(ready("a", "b", "c"), limits), ["RunTools", 0, "a:1", "b:1"])
    assert.deepStrictEqual(short(two, { ...limits, ...busy("a", "b") }), ["Wait", "tools", 0])
    // Those that were cut were counted.
    assert.deepStrictEqual(short(two, limits), ["RunTools", 0, "a:2", "b:2"])
    const both = [...two, toolEnded("a", 1), toolEnded("b", 1)]
    assert.deepStrictEqual(short(both, limits), ["Wait", "limit", 0, "toolCalls"])
    assert.deepStrictEqual(short([...both, limitsRaised({ toolCalls: 3 })], limits), ["RunTools", 0, "c:1"])
    const late = [...calling("d"), approvalAsked("d", 70)]
    assert.deepStrictEqual(short(late, { limits: { toolCalls: 0 } }), ["Wait", "approval", 0, 70])
    const mixed = [...calling("d", "e"), approvalAsked("d", 70), allowed("e")]
    assert.deepStrictEqual(short(mixed, { limits: { toolCalls: 0 } }), ["Wait", "limit", 0, "toolCalls", 70])
  })

  it("row 18: the next turn is opened when each call has a result or was rejected, and goes by the same rows", () => {
    assert.deepStrictEqual(short(done), ["Open", 1])
    const mixed = [...calling("a", "b"), toolEnded("a", 1), approvalAsked("b"), rejected("b")]
    assert.deepStrictEqual(short(mixed), ["Open", 1])
    const second = [...done, requested("2", 1)]
    assert.deepStrictEqual(short(second), ["Wait", "unconfirmed", 1])
    assert.deepStrictEqual(short([...second, accepted("r1", "2", 1)]), ["Follow", 1, "r1"])
    const final = fact({ _tag: "Refused", turn: 1, try: "2", error: error("no"), final: true }, born)
    assert.deepStrictEqual(short([...second, final]), ["End", "failed", "refused"])
    // Its request comes from the journal: the run's input is not needed.
    assert.deepStrictEqual(short(done, { hasInput: false }), ["Open", 1])
  })
})
