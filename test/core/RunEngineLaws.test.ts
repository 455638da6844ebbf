// What no journal can make a run do next, whatever its facts are and in whatever order they came.
import { RunEngine, type RunRecord, RunState } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import {
  actsIn,
  AnyActs,
  AnyContext,
  AnyFacts,
  contextIn,
  distinctIn,
  foldOf,
  isOrdered,
  journalIn
} from "../support/journals.ts"
import { law } from "../support/law.ts"

type Journal = ReadonlyArray<RunRecord.Fact>

const options = { arbitrary: { runs: 2000 } }

/** Facts in any order, and what happens to the calls of a response. */
const AnyJournals = Schema.Struct({ said: AnyFacts, acts: AnyActs })
type AnyJournals = typeof AnyJournals.Type

const journalsOf = ({ acts, said }: AnyJournals): ReadonlyArray<Journal> => [distinctIn(said), actsIn(acts)]

/** The step after each part of the journals that somebody can have read, and the facts that it follows from. */
const stepsOf = (all: AnyJournals, context: RunEngine.Context) =>
  journalsOf(all).flatMap((journal) =>
    Array.from({ length: journal.length + 1 }, (_, length) => {
      const prefix = journal.slice(0, length)
      const state = foldOf(prefix)
      return { prefix, state, step: RunEngine.decide(state, context) }
    })
  )

/** Whether what a step will record is in the journal. */
const isDone = (journal: Journal, incarnation: number, step: RunEngine.Step): boolean => {
  const ofCall = (tag: RunRecord.Fact["_tag"], turn: number, callId: string, n = 0) => {
    const by = foldOf(journal).turns[turn]?.winner?.incarnation ?? incarnation
    return journal.some(
      (one) =>
        one._tag === tag &&
        "callId" in one &&
        one.turn === turn &&
        one.callId === callId &&
        one.incarnation === by &&
        (one._tag !== "ToolStarted" || one.n >= n)
    )
  }
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
    case "AskPolicy":
      return step.calls.some(({ callId }) =>
        (["Allowed", "ApprovalAsked", "Approved", "Rejected", "ToolStarted"] as const).some((tag) =>
          ofCall(tag, step.turn, callId, 1)
        )
      )
    case "RunTools":
      return step.starts.some(
        ({ call: { callId }, n }) =>
          ofCall("ToolEnded", step.turn, callId) ||
          ofCall("ToolDeferred", step.turn, callId) ||
          ofCall("Rejected", step.turn, callId) ||
          ofCall("ToolStarted", step.turn, callId, n)
      )
    case "GiveUp": {
      const { callId } = step.call
      return (
        ofCall("ToolEnded", step.turn, callId) ||
        ofCall("Rejected", step.turn, callId) ||
        (step.call.starts === 0 && step.call.deferred === undefined && ofCall("Approved", step.turn, callId))
      )
    }
    case "Over":
    case "Wait":
      return false
  }
}

/** A step in which requests without an answer are in one order. */
const stepView = (step: RunEngine.Step) =>
  step._tag === "End"
    ? { ...step, unresolved: step.unresolved.map((one) => `${one.turn} ${one.try}`).toSorted() }
    : step

describe("what comes next", () => {
  law(
    "is answered for any facts in any order",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        const known = contextIn(context)
        for (const { step } of stepsOf(all, known)) assert.isString(step._tag)
        // Nobody should have a journal in which facts have one key, but a step is answered for it too.
        assert.isString(RunEngine.decide(foldOf(journalIn(all.said)), known)._tag)
      }),
    options
  )

  law(
    "is never a step whose fact is in the journal, whatever part of it was read",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        for (const { prefix, state, step } of stepsOf(all, contextIn(context))) {
          assert.isFalse(isDone(prefix, state.incarnation, step), step._tag)
        }
      }),
    options
  )

  law(
    "never opens a turn of a cancelled run, nor runs a call or asks about one",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        for (const { state, step } of stepsOf(all, contextIn(context))) {
          if (state.cancelled) assert.notInclude(["Open", "RunTools", "AskPolicy", "GiveUp"], step._tag)
        }
      }),
    options
  )

  law(
    "never ends a run while a response of it may run, and its end names each request without an answer",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        for (const { state, step } of stepsOf(all, contextIn(context))) {
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
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        const { underWay = new Set() } = contextIn(context)
        for (const { state, step } of stepsOf(all, contextIn(context))) {
          const loose = state.loose.filter(({ responseId }) => !underWay.has(responseId))
          if (loose.length > 0) assert.strictEqual(step._tag, "CancelResponse")
          else if (state.ended !== undefined) assert.include(["Deliver", "Over"], step._tag)
        }
      }),
    options
  )

  law(
    "sends no request twice: under `fail`, a turn with a request that nobody answered is not opened",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        const known = { ...contextIn(context), onUnconfirmed: "fail" as const }
        for (const { state, step } of stepsOf(all, known)) {
          if (step._tag === "Open") assert.deepStrictEqual(state.turns[step.turn]?.open ?? [], [])
        }
      }),
    options
  )

  law(
    "runs only calls that were allowed or approved, and that nobody runs, answers or waits for",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        const known = contextIn(context)
        for (const { step } of stepsOf(all, known)) {
          if (step._tag !== "RunTools") continue
          for (const { call, n } of step.starts) {
            assert.isFalse(call.external)
            assert.isFalse(RunState.isDone(call), "it has its result, or was rejected")
            assert.isFalse(RunState.isUndecided(call), "it waits for approval")
            assert.isUndefined(call.deferred, "somebody else gives its result")
            assert.isFalse(known.underWay?.has(RunEngine.callName(step.turn, call.callId)), "it is under way")
            assert.isTrue(
              n > 1 || call.allowed !== undefined || call.decision?._tag === "Approved",
              "nobody allowed it"
            )
          }
        }
      }),
    options
  )

  law(
    "never runs more calls at once than it may, nor starts one beyond the limit of calls",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        const { atOnce = Number.POSITIVE_INFINITY, limits = {}, underWay, ...rest } = contextIn(context)
        const known = { ...rest, atOnce, limits, ...(underWay === undefined ? {} : { underWay }) }
        for (const { state, step } of stepsOf(all, known)) {
          if (step._tag !== "RunTools") continue
          const calls = state.turns[step.turn]?.calls.filter((call) => !call.external && !RunState.isDone(call)) ?? []
          const busy = calls.filter(({ callId }) => underWay?.has(RunEngine.callName(step.turn, callId)))
          assert.isAtMost(busy.length + step.starts.length, atOnce)
          if (limits.toolCalls === undefined) continue
          const most = Math.max(limits.toolCalls, state.limits.toolCalls ?? 0)
          const started = state.turns.flatMap((turn) => turn.calls).filter(({ starts }) => starts > 0)
          const first = step.starts.filter(({ n }) => n === 1)
          if (first.length > 0) assert.isAtMost(started.length + first.length, most)
        }
      }),
    options
  )

  law(
    "opens a turn only when no call of the turn before is open",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        for (const { state, step } of stepsOf(all, contextIn(context))) {
          if (step._tag !== "Open" || step.turn === 0) continue
          const calls = state.turns[step.turn - 1]?.calls.filter(({ external }) => !external) ?? []
          assert.isAbove(calls.length, 0)
          for (const call of calls) assert.isTrue(RunState.isDone(call), call.callId)
        }
      }),
    options
  )

  law(
    "is the same if the store has the facts in another order",
    [AnyJournals, AnyContext],
    ([all, context]) =>
      Effect.sync(() => {
        const known = contextIn(context)
        for (const journal of journalsOf(all)) {
          const view = stepView(RunEngine.decide(foldOf(journal), known))
          for (let i = 1; i < journal.length; i++) {
            const [a, b] = [journal[i - 1]!, journal[i]!]
            // Loose responses are cancelled in the order in which they became known.
            if (isOrdered(a, b) || (a._tag === "Accepted" && b._tag === "Accepted")) continue
            const swapped = [...journal.slice(0, i - 1), b, a, ...journal.slice(i + 1)]
            const other = RunEngine.decide(foldOf(swapped), known)
            assert.deepStrictEqual(stepView(other), view, `${a._tag} and ${b._tag}`)
          }
        }
      }),
    options
  )

  it.effect("the random journals lead to each step", () =>
    Effect.gen(function* () {
      const Case = Schema.Struct({ all: AnyJournals, context: AnyContext })
      const cases = yield* Arbitrary.sampleEffect(Arbitrary.schema(Case), { count: 2000, seed: 1 })
      const counts: Record<string, number> = {}
      for (const { all, context } of cases) {
        for (const { step } of stepsOf(all, contextIn(context))) {
          const name =
            step._tag === "Wait" ? `Wait ${step.for}` : step._tag === "Open" ? `Open ${step.turn}` : step._tag
          counts[name] = (counts[name] ?? 0) + 1
        }
      }
      const steps = ["AskPolicy", "CancelResponse", "Deliver", "End", "Follow", "GiveUp", "Open 1", "Over", "RunTools"]
      const waits = ["approval", "deferred", "limit", "tools", "unconfirmed", "input"]
      for (const name of [...steps, ...waits.map((one) => `Wait ${one}`)]) {
        assert.isAbove(counts[name] ?? 0, 10, name)
      }
    })
  )
})
