// What a journal says does not depend on when its facts arrived, or on how often they were written.
import { ContinuationToken, Run, type RunRecord, RunState } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import {
  AnyFact,
  AnyFacts,
  born,
  call,
  distinctIn,
  error,
  factIn,
  factsOf,
  foldOf,
  inForce,
  isOrdered,
  journalIn,
  providerCall,
  viewOf
} from "../support/journals.ts"
import { law } from "../support/law.ts"

const options = { arbitrary: { runs: 2000 } }
const Places = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 }))).check(
  Schema.isMinLength(3),
  Schema.isMaxLength(24)
)
const position = ContinuationToken.start("analyst", Run.RunId.make("r"), born)

const { accepted, allowed, approvalAsked, approved, cancelRequested, ended, refused, rejected } = factsOf()
const { requested, responseEnded, retried, toolDeferred, toolEnded, toolStarted } = factsOf()
const second = factsOf(2)

describe("the fold of a journal", () => {
  law(
    "is total, and so is everything that is read from it, for any facts in any order",
    [AnyFacts],
    ([said]) =>
      Effect.sync(() => {
        const journal = journalIn(said)
        const state = foldOf(journal)
        assert.isTrue(Run.RunStatus.literals.includes(RunState.statusOf(state, position)))
        assert.isTrue(
          Run.RunStatus.literals.includes(RunState.statusOf(state, { ...position, status: "in_progress", turn: 7 }))
        )
        assert.isAtMost(RunState.currentTurn(state), state.turns.length)
        assert.isAtMost(RunState.winners(state).length, state.turns.length)
        RunState.responseIds({ journal })
      }),
    options
  )

  law(
    "is the same if neighbours change places, unless both are Accepted of one turn, or Retried",
    [AnyFacts],
    ([said]) =>
      Effect.sync(() => {
        const journal = distinctIn(said)
        const view = viewOf(foldOf(journal))
        for (let i = 1; i < journal.length; i++) {
          const [a, b] = [journal[i - 1]!, journal[i]!]
          if (isOrdered(a, b)) continue
          const swapped = [...journal.slice(0, i - 1), b, a, ...journal.slice(i + 1)]
          assert.deepStrictEqual(viewOf(foldOf(swapped)), view, `${a._tag} and ${b._tag}`)
        }
      }),
    options
  )

  law(
    "is the same in any order that leaves Accepted and Retried in theirs",
    [AnyFacts, Places],
    ([said, places]) =>
      Effect.sync(() => {
        const journal = distinctIn(said)
        const isKept = ({ _tag }: RunRecord.Fact) => _tag === "Accepted" || _tag === "Retried"
        const place = new Map(journal.map((fact, i) => [fact, places[i % places.length]!]))
        const shuffled = journal.toSorted((a, b) => place.get(a)! - place.get(b)!)
        const kept = journal.filter(isKept).values()
        const other = shuffled.map((fact) => (isKept(fact) ? kept.next().value! : fact))
        assert.deepStrictEqual(viewOf(foldOf(other)), viewOf(foldOf(journal)))
      }),
    options
  )

  law(
    "is the same after a fact whose key is in the journal",
    [AnyFacts, AnyFacts],
    ([said, more]) =>
      Effect.sync(() => {
        const journal = distinctIn(said)
        const again = distinctIn([...said, ...more])
        const repeated = [...journalIn(said), ...journalIn(more)]
        assert.deepStrictEqual(foldOf(journalIn(said)), foldOf(journal))
        assert.deepStrictEqual(foldOf(repeated), foldOf(again))
      }),
    options
  )

  law(
    "changes nothing but what is loose and unresolved by late facts of another incarnation",
    [AnyFacts, AnyFact],
    ([said, late]) =>
      Effect.sync(() => {
        const journal = distinctIn(said)
        const fact = factIn(late)
        // A turn before the one that was retried stays with the incarnation that opened it.
        if (fact._tag === "Retried" || inForce(journal)(fact)) return
        const { loose, unresolved, ...rest } = foldOf(journal)
        // What is known of a response is known of it, whichever incarnation it was recorded under.
        const isOfWinner =
          (fact._tag === "CancelSent" || fact._tag === "ResponseEnded") &&
          rest.turns.some(({ winner }) => winner?.responseId === fact.responseId)
        if (isOfWinner) return
        const after = foldOf([...journal, fact])
        assert.deepStrictEqual({ ...after, loose, unresolved }, { ...rest, loose, unresolved })
        if (fact._tag !== "Accepted") assert.isAtMost(after.loose.length, loose.length, "only what was bought is loose")
        if (fact._tag !== "Requested") assert.isAtMost(after.unresolved.length, unresolved.length)
      }),
    options
  )

  law(
    "never forgets what was bought: a response is a winner, over, cancelled, or loose",
    [AnyFacts],
    ([said]) =>
      Effect.sync(() => {
        const journal = distinctIn(said)
        const state = foldOf(journal)
        const loose = new Set(state.loose.map(({ responseId }) => responseId))
        const winners = new Set(RunState.winners(state).map(({ responseId }) => responseId))
        for (const id of RunState.responseIds({ journal })) {
          const isDone = journal.some(
            (fact) => (fact._tag === "ResponseEnded" || fact._tag === "CancelSent") && fact.responseId === id
          )
          const isFollowed = winners.has(id) && state.ended === undefined
          assert.strictEqual(loose.has(id), !isDone && !isFollowed, id)
        }
      }),
    options
  )

  law(
    "the winner of a turn never changes, whatever is recorded later",
    [AnyFacts, AnyFacts],
    ([said, later]) =>
      Effect.sync(() => {
        const before = foldOf(distinctIn(said))
        const more = later.filter(({ tag }) => tag !== "Retried")
        const after = foldOf(distinctIn([...said, ...more]))
        for (const [i, { winner }] of before.turns.entries()) {
          if (winner !== undefined) assert.deepStrictEqual(after.turns[i]?.winner, winner)
        }
      }),
    options
  )
})

describe("what a journal says", () => {
  it("an Accepted before its Requested, and a ResponseEnded before its Accepted, count", () => {
    const state = foldOf([responseEnded("r0"), accepted("r0", "1"), requested("1")])
    assert.deepStrictEqual(state.unresolved, [])
    assert.deepStrictEqual(state.loose, [])
    assert.strictEqual(state.turns[0]?.end?.responseId, "r0")
  })

  it("of refusals the last counts, one for good before all, and one of the provider before a withdrawal", () => {
    const [final, later, withdrawn] = [
      { ...refused("1", { error: error("quota"), final: true }), at: 1 },
      { ...refused("2", { error: error("busy") }), at: 2 },
      { ...refused("3"), at: 3 }
    ]
    const refusalOf = (...journal: ReadonlyArray<RunRecord.Fact>) => foldOf(journal).turns[0]?.refusal
    assert.deepStrictEqual(refusalOf(final, later, withdrawn), final)
    assert.deepStrictEqual(refusalOf(withdrawn, later), later)
    const last = { ...refused("4", { error: error("busy again") }), at: 4 }
    assert.deepStrictEqual(refusalOf(last, later), last)
  })

  it("a retry begins at its turn, and keeps the turns before it", () => {
    const state = foldOf([
      requested("1"),
      accepted("r0", "1"),
      responseEnded("r0", { calls: [call("c")] }),
      toolEnded("c", 1),
      requested("2", 1),
      accepted("r1", "2", 1),
      responseEnded("r1", { status: "failed" }, 1),
      ended("failed"),
      second.retried(1)
    ])
    assert.strictEqual(state.incarnation, 2)
    assert.isUndefined(state.ended)
    assert.deepStrictEqual(
      RunState.winners(state).map(({ responseId }) => responseId),
      ["r0"]
    )
    assert.strictEqual(state.turns[0]?.calls[0]?.result?.result, 1)
    assert.strictEqual(RunState.statusOf(state, position), "in_progress")
  })

  it("a cancel of before a retry does not stop the new incarnation", () => {
    assert.isFalse(foldOf([cancelRequested, ended("cancelled"), second.retried()]).cancelled)
    assert.isTrue(foldOf([cancelRequested, ended("cancelled"), second.retried(), second.cancelRequested]).cancelled)
  })

  it("a request of before a retry stays unresolved, and its response is loose", () => {
    const before = [requested("1"), ended("failed"), second.retried()]
    assert.deepStrictEqual(foldOf(before).unresolved, [{ turn: 0, try: "1" }])
    const after = foldOf([...before, accepted("r0", "1")])
    assert.deepStrictEqual(after.unresolved, [])
    assert.deepStrictEqual(
      after.loose.map(({ responseId }) => responseId),
      ["r0"]
    )
    assert.deepStrictEqual(RunState.winners(after), [])
  })

  it("of two retries the last counts", () => {
    const state = foldOf([retried(1), second.retried(0), second.requested("1")])
    assert.strictEqual(state.incarnation, 2)
    assert.deepStrictEqual(state.turns[0]?.open, ["1"])
  })
})

describe("the status of a run", () => {
  const statusOf = (journal: ReadonlyArray<RunRecord.Fact>, status: "queued" | "in_progress" = "queued") =>
    RunState.statusOf(foldOf(journal), { ...position, status })
  const opened = [requested("1"), accepted("r0", "1")]
  const called = responseEnded("r0", { calls: [call("c")] })

  it("is queued until its first response was seen to work", () => {
    assert.strictEqual(statusOf([]), "queued")
    assert.strictEqual(statusOf([requested("1")], "in_progress"), "queued")
    assert.strictEqual(statusOf(opened), "queued")
    assert.strictEqual(statusOf(opened, "in_progress"), "in_progress")
  })

  it("is that of its end, or of a response that leads nowhere else", () => {
    assert.strictEqual(statusOf([...opened, responseEnded("r0", { status: "incomplete" })]), "incomplete")
    assert.strictEqual(statusOf([...opened, responseEnded("r0"), ended("failed")]), "failed")
    assert.strictEqual(statusOf([...opened, ended("cancelled"), second.retried()]), "queued")
  })

  it("is in progress while the run has calls, and between its turns", () => {
    assert.strictEqual(statusOf([...opened, called]), "in_progress")
    const answered = [...opened, called, toolEnded("c", 1)]
    assert.strictEqual(statusOf(answered), "in_progress")
    assert.strictEqual(statusOf([...answered, requested("2", 1)]), "in_progress")
    const external = responseEnded("r0", { calls: [{ ...call("c"), external: true }] })
    assert.strictEqual(statusOf([...opened, external]), "completed")
  })
})

describe("the status of a run, as its record alone shows it", () => {
  const statusOf = (
    journal: ReadonlyArray<RunRecord.Fact>,
    rest: Partial<Pick<RunRecord.RunRecord, "due" | "lease" | "parked">> = {}
  ) => RunState.statusOfRecord({ incarnation: born, journal, due: 0, lease: null, parked: null, ...rest })
  const opened = [requested("1"), accepted("r0", "1")]
  const calling = (...ids: ReadonlyArray<string>) => [
    ...opened,
    responseEnded("r0", { calls: ids.map((id) => call(id)) })
  ]
  const lease = { owner: "w", fence: 2, expiresAt: 9 }
  const parked = { reason: "why", at: 0 }

  it("is queued, then in progress, then that of its end", () => {
    assert.strictEqual(statusOf([]), "queued")
    assert.strictEqual(statusOf([requested("1")], { lease }), "queued")
    assert.strictEqual(statusOf(opened), "in_progress")
    assert.strictEqual(statusOf(calling("a")), "in_progress")
    assert.strictEqual(statusOf([...calling("a"), ended("failed")], { due: null }), "failed")
  })

  it("is waiting if nobody has work with the run before a fact comes", () => {
    assert.strictEqual(statusOf(calling("a"), { due: null }), "waiting")
    assert.strictEqual(statusOf([], { due: null }), "waiting")
    assert.strictEqual(statusOf(calling("a"), { due: null, lease }), "in_progress")
    assert.strictEqual(statusOf(calling("a"), { due: null, parked }), "in_progress")
  })

  it("is waiting if the run is due only because an approval or a result can be too late", () => {
    const asked = [...calling("a"), approvalAsked("a", 70)]
    assert.strictEqual(statusOf(asked, { due: 70 }), "waiting")
    assert.strictEqual(statusOf([...asked, approved("a")], { due: 70 }), "in_progress")
    assert.strictEqual(statusOf(asked, { due: 70, lease }), "in_progress")
    assert.strictEqual(statusOf(asked, { due: 70, parked }), "in_progress")
    const deferred = [...calling("a"), toolDeferred("a", 80)]
    assert.strictEqual(statusOf(deferred, { due: 80 }), "waiting")
    assert.strictEqual(statusOf([...deferred, toolEnded("a", 1)], { due: 80 }), "in_progress")
  })

  it("is in progress while a call can run beside those that wait", () => {
    const one = [...calling("a", "b"), approvalAsked("a", 70)]
    assert.strictEqual(statusOf(one, { due: 70 }), "in_progress")
    assert.strictEqual(statusOf([...one, allowed("b")], { due: 70 }), "in_progress")
    assert.strictEqual(statusOf([...one, toolDeferred("b")], { due: 70 }), "waiting")
    assert.strictEqual(statusOf([...one, rejected("b")], { due: 70 }), "waiting")
    assert.strictEqual(statusOf([...one, toolEnded("b", 1)], { due: 70 }), "waiting")
    assert.strictEqual(statusOf([...opened, responseEnded("r0", { calls: [providerCall("a")] })]), "in_progress")
  })

  it("knows of a call that the provider runs nothing more than that it was decided", () => {
    const theirs = [...opened, responseEnded("r0", { calls: [providerCall("a"), call("b")] }), toolDeferred("b", 80)]
    assert.strictEqual(statusOf([...theirs, approvalAsked("a")], { due: 80 }), "waiting")
    for (const decision of [allowed("a"), approved("a"), rejected("a")]) {
      assert.strictEqual(statusOf([...theirs, decision], { due: 80 }), "waiting")
      assert.strictEqual(statusOf([...theirs, decision, toolEnded("b", 1)], { due: 80 }), "in_progress")
    }
  })
})

describe("the calls of a turn", () => {
  const opened = [requested("1"), accepted("r0", "1"), responseEnded("r0", { calls: [call("a")] })]
  const callOf = (...journal: ReadonlyArray<RunRecord.Fact>) => foldOf([...opened, ...journal]).turns[0]!.calls[0]!

  it("say how often they were started, and when first", () => {
    assert.deepInclude(callOf(), { starts: 0, startedAt: undefined })
    const [one, two] = [
      { ...toolStarted("a", 1), at: 5 },
      { ...toolStarted("a", 2), at: 9 }
    ]
    assert.deepInclude(callOf(one, two), { starts: 2, startedAt: 5 })
    assert.deepInclude(callOf(two, one), { starts: 2, startedAt: 5 })
  })

  it("have of each kind the first fact", () => {
    const at = <F extends RunRecord.Fact>(fact: F, time: number): F => ({ ...fact, at: time })
    const { allowed: one, asked } = callOf(
      at(allowed("a"), 1),
      at(allowed("a"), 2),
      at(approvalAsked("a", 70), 1),
      at(approvalAsked("a", 80), 2)
    )
    assert.strictEqual(one?.at, 1)
    assert.deepStrictEqual([asked?._tag, asked?._tag === "ApprovalAsked" && asked.until], ["ApprovalAsked", 70])
  })

  it("keep what belongs to them, and not to a call of that name in another turn or incarnation", () => {
    const other = [allowed("a", 1), second.allowed("a"), second.toolEnded("a", 1)]
    assert.deepInclude(callOf(...other), { allowed: undefined, result: undefined })
  })
})
