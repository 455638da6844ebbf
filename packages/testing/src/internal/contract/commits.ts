import type { RunRecord } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as AiError from "effect/ai/AiError"
import * as Response from "effect/ai/Response"
import { all, commitOf, factsOf, idOf, type Law, newRun, plain, range, turnsOf } from "./bench.ts"
import { equal } from "./violation.ts"

const failure = AiError.make({
  module: "OpenAi",
  method: "create",
  reason: new AiError.RateLimitError({ retryAfter: Duration.seconds(7) })
})

export const commits = {
  "a commit writes facts and position together": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const created = yield* recordOf("r-1")
      const first = commitOf("r-1", 1, { facts: [facts.requested(0), facts.accepted(0, "resp_1")] })
      const answer = yield* store.commit(lease, first)
      const before = yield* recordOf("r-1")
      yield* equal(answer, { outcome: "written", facts: before.journal }, "the first answer")
      yield* equal(plain(before.journal), [facts.requested(0), facts.accepted(0, "resp_1")], "the journal")
      const { journal, updatedAt } = before
      const position = first.position?.token
      yield* equal(before, { ...created, ordinal: 1, position, journal, updatedAt }, "the record")
      const second = commitOf("r-1", 2, { seen: 2 })
      yield* equal(yield* store.commit(lease, second), { outcome: "written", facts: [] }, "the second answer")
      const after = yield* recordOf("r-1")
      const moved = { ...before, ordinal: 2, position: second.position?.token, updatedAt: after.updatedAt }
      yield* equal(after, moved, "a position without facts")
      yield* store.commit(lease, { seen: 2, facts: [facts.delivered] })
      const last = yield* recordOf("r-1")
      const grown = { ...after, journal: last.journal, updatedAt: last.updatedAt }
      yield* equal(last, grown, "facts without a position leave it")
      yield* equal(plain(last.journal.slice(2)), [facts.delivered], "and are added")
    }),

  "the same commit again, and an earlier one, succeed and change nothing": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const first = commitOf("r-1", 1, { facts: [facts.requested(0)] })
      const second = commitOf("r-1", 2, { facts: [facts.refused(0)] })
      yield* store.commit(lease, first)
      yield* store.commit(lease, first)
      yield* store.commit(lease, second)
      const before = yield* recordOf("r-1")
      yield* equal(before.journal.length, 2, "each fact is in the journal once")
      const known = { outcome: "written", facts: before.journal }
      yield* equal(yield* store.commit(lease, second), known, "the answer to the second again")
      yield* equal(yield* store.commit(lease, first), known, "the answer to the first again")
      yield* equal(yield* store.commit(lease, { seen: 2 }), { outcome: "written", facts: [] }, "an empty commit")
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
    }),

  "a position that comes late takes nothing back, but its facts count": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.commit(lease, commitOf("r-1", 5))
      const { position } = yield* recordOf("r-1")
      for (const ordinal of [0, 4, 5]) {
        const late = commitOf("r-1", ordinal, { facts: [facts.requested(ordinal)] })
        const token = { ...position, sequenceNumber: 99 }
        yield* store.commit(lease, { ...late, position: { ordinal, token } })
      }
      const record = yield* recordOf("r-1")
      yield* equal({ ordinal: record.ordinal, position: record.position }, { ordinal: 5, position }, "the position")
      yield* equal(turnsOf(record), [0, 4, 5], "the journal")
    }),

  "ordinals may leave gaps": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1")
      yield* store.commit(lease, commitOf("r-1", 5))
      yield* store.commit(lease, commitOf("r-1", 17))
      yield* equal((yield* recordOf("r-1")).ordinal, 17, "the last ordinal")
    }),

  "commits at once end with the highest": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { lease } = yield* begin("r-1")
      const ordinals = range(64).map((i) => ((i * 37) % 64) + 1)
      yield* Effect.forEach(ordinals, (ordinal) => store.commit(lease, commitOf("r-1", ordinal)), {
        concurrency: "unbounded",
        discard: true
      })
      const { ordinal, position } = yield* recordOf("r-1")
      yield* equal({ ordinal, at: position.sequenceNumber }, { ordinal: 64, at: 64 }, "the highest commit is there")
    }),

  "an answer tells the facts from the number on that the writer knows": ({ begin, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.commit(lease, { seen: 0, facts: [facts.requested(0)] })
      yield* store.record(idOf("r-1"), facts.cancelRequested, all)
      const answer = yield* store.commit(lease, { seen: 1, facts: [facts.accepted(0, "resp_1")] })
      yield* equal(answer.outcome, "written", "facts of others keep no fact away")
      const expected = [facts.cancelRequested, facts.accepted(0, "resp_1")]
      yield* equal(plain(answer.facts), expected, "what others wrote, then what this one did")
      const whole = yield* store.commit(lease, commitOf("r-1", 1))
      yield* equal(plain(whole.facts), [facts.requested(0), ...expected], "all of it")
      yield* equal((yield* store.commit(lease, commitOf("r-1", 2, { seen: 3 }))).facts, [], "nothing new")
      yield* equal((yield* store.commit(lease, commitOf("r-1", 3, { seen: all }))).facts, [], "more than there are")
    }),

  "the first fact of a key counts, in commits and records alike": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, incarnation, lease } = yield* begin("r-1")
      const late = factsOf(incarnation, "late")
      const id = idOf("r-1")
      yield* store.commit(lease, { seen: all, facts: [facts.approved("c-1"), facts.rejected("c-1")] })
      yield* store.record(id, late.rejected("c-1"), all)
      yield* store.record(id, facts.toolEnded("c-1", { v: 1 }), all)
      yield* store.commit(lease, { seen: all, facts: [late.toolEnded("c-1", { v: 2 })] })
      yield* store.record(id, late.toolEnded("c-1", { v: 3 }), all)
      yield* store.commit(lease, { seen: all, facts: [facts.ended("completed")] })
      yield* store.record(id, late.ended("failed"), all)
      // A response has one end, whichever turn and writer the fact names.
      yield* store.record(id, facts.responseEnded(0, "resp_1", "completed"), all)
      yield* store.record(id, late.responseEnded(1, "resp_1", "failed"), all)
      const answer = yield* store.commit(lease, { seen: 0, facts: [late.ended("cancelled"), late.approved("c-2")] })
      const expected = [
        facts.approved("c-1"),
        facts.toolEnded("c-1", { v: 1 }),
        facts.ended("completed"),
        facts.responseEnded(0, "resp_1", "completed"),
        late.approved("c-2")
      ]
      yield* equal(plain(answer.facts), expected, "the answer")
      yield* equal(plain((yield* recordOf("r-1")).journal), expected, "the journal")
    }),

  "the order of facts is the order in which they came, by the store's clock": ({ advance, begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      for (const turn of [3, 1, 2]) {
        yield* advance(Duration.millis(5))
        if (turn === 1) yield* store.record(idOf("r-1"), facts.requested(turn), all)
        else yield* store.commit(lease, { seen: all, facts: [facts.requested(turn), facts.requested(turn, "2")] })
      }
      const { createdAt, journal } = yield* recordOf("r-1")
      yield* equal(turnsOf({ journal }), [3, 3, 1, 2, 2], "the order")
      const at = journal.map((fact) => fact.at)
      yield* equal(
        at,
        at.toSorted((a, b) => a - b),
        "the times rise"
      )
      yield* equal(
        (at[0] ?? 0) >= createdAt + 5 && (at[4] ?? 0) >= (at[0] ?? 0) + 10,
        true,
        "the times are the store's"
      )
      yield* equal([at[0], at[3]], [at[1], at[4]], "facts of one commit have one time")
    }),

  "each kind of fact comes back as it was": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, incarnation, lease } = yield* begin("r-1")
      const usage = new Response.Usage({
        inputTokens: { uncached: 3, total: 12, cacheRead: 9, cacheWrite: undefined },
        outputTokens: { total: 7, text: undefined, reasoning: 4 }
      })
      const call = { incarnation, by: "a", turn: 0, callId: "c-1" }
      const common = { incarnation, by: "a" }
      const written: ReadonlyArray<RunRecord.NewFact> = [
        facts.requested(0),
        facts.refused(0),
        { _tag: "Refused", ...common, turn: 1, try: "2", final: true },
        { _tag: "Accepted", ...common, turn: 0, responseId: "resp_1", streamed: false },
        {
          _tag: "ResponseEnded",
          ...common,
          turn: 0,
          responseId: "resp_1",
          status: "completed",
          finish: "tool-calls",
          usage,
          calls: [
            {
              callId: "c-1",
              name: "search",
              external: false,
              params: { q: ["a", null, 1.5, { b: true }] },
              metadata: { openai: { itemId: "fc_1", namespace: null } }
            },
            { callId: "c-3", name: "read", external: false, params: {}, provider: true },
            { callId: "c-2", name: "ask", external: true }
          ]
        },
        { _tag: "Allowed", ...call },
        { _tag: "ToolStarted", ...call, n: 1 },
        { _tag: "ToolDeferred", ...call, until: 12 },
        { _tag: "ToolEnded", ...call, result: [{ found: "é" }, 0, false, null], isFailure: true },
        { _tag: "ToolEnded", ...call, turn: 1, result: "no", isFailure: true, ends: "failed" },
        { _tag: "ToolEnded", ...call, turn: 2, result: null, isFailure: true, ends: "defect" },
        { _tag: "ApprovalAsked", ...call },
        { _tag: "ApprovalAsked", ...call, turn: 1, until: 12.5 },
        { _tag: "Rejected", ...call, reason: "" },
        { _tag: "Approved", ...call, callId: "c-2" },
        facts.cancelRequested,
        facts.cancelSent("resp_1"),
        { _tag: "LimitsRaised", ...common, limits: { turns: 3, tokens: 0 } },
        { _tag: "LimitsRaised", ...common, limits: { toolCalls: 9, time: 60_000, cost: 0.25 } },
        { _tag: "Ended", ...common, status: "incomplete", reason: "tool", unresolved: [{ turn: 1, try: "1" }] },
        facts.delivered,
        { _tag: "Retried", incarnation: lease.fence, by: "a", turn: 0 }
      ]
      yield* store.commit(lease, { seen: 0, facts: written.slice(0, 8) })
      for (const fact of written.slice(8, -1)) yield* store.record(idOf("r-1"), fact, all)
      yield* store.commit(lease, { seen: all, facts: written.slice(-1) })
      const found = plain((yield* recordOf("r-1")).journal)
      for (const [i, fact] of written.entries()) yield* equal(found[i], fact, `the fact ${fact._tag}`)
      yield* equal(found.length, written.length, "how many there are")
    }),

  "a failure in the journal comes back as it was": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      yield* store.commit(lease, { seen: 0, facts: [{ ...facts.ended("failed"), error: failure }] })
      yield* store.record(idOf("r-1"), { ...facts.refused(0), error: failure }, 0)
      for (const fact of (yield* recordOf("r-1")).journal) {
        const found = fact._tag === "Ended" || fact._tag === "Refused" ? fact.error : undefined
        const shown = { message: found?.message, reason: found?.reason._tag, isRetryable: found?.isRetryable }
        const expected = { message: failure.message, reason: "RateLimitError", isRetryable: failure.isRetryable }
        yield* equal(shown, expected, `the failure in ${fact._tag}`)
      }
      yield* equal((yield* recordOf("r-1")).journal.length, 2, "both facts are there")
    }),

  "text comes back as it was, whatever is in it": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      const odd = `{"a":[]} \n\r\t \\n '"\` \u0001\u2028 日本語 é e\u0301 👩‍👩‍👧 ${"%00"} null`
      const { record: created } = yield* store.create(
        newRun("r-1", { agent: odd, digest: odd, session: { previousResponseId: odd } })
      )
      const facts = factsOf(created.incarnation, odd)
      const written = [facts.requested(0, odd), facts.accepted(0, odd, odd), facts.approved(odd)]
      const lease = yield* acquire("r-1", odd)
      yield* store.commit(lease, commitOf("r-1", 1, { facts: written }))
      const { agent, digest, journal, lease: shown, session } = yield* recordOf("r-1")
      yield* equal({ agent, digest, session }, { agent: odd, digest: odd, session: { previousResponseId: odd } }, "run")
      yield* equal(plain(journal), written, "the journal")
      yield* equal(shown?.owner, odd, "the owner")
      yield* store.commit(lease, { seen: all, facts: written })
      yield* equal((yield* recordOf("r-1")).journal.length, 3, "the same facts again")
      yield* store.release(lease, { seen: all, due: Duration.infinity, parked: odd, attempt: "keep" })
      yield* equal((yield* recordOf("r-1")).parked?.reason, odd, "the reason")
      const { items } = yield* store.list({ agent: odd, limit: 2 })
      yield* equal(
        items.map(({ runId }) => runId),
        ["r-1"],
        "the runs of the agent"
      )
    }),

  "a journal may be long": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const name = "n".repeat(2000)
      for (let ordinal = 1; ordinal <= 10; ordinal++) {
        const hundred = range(100).map((i) => facts.requested(ordinal * 100 + i, name))
        yield* store.commit(lease, commitOf("r-1", ordinal, { seen: all, facts: hundred }))
      }
      const turns = range(1000).map((i) => i + 100)
      yield* equal(turnsOf(yield* recordOf("r-1")), turns, "the journal of the record")
      const { items } = yield* store.list({ limit: 1 })
      yield* equal(items.map(turnsOf), [turns], "the journal in the listing")
      const { facts: rest } = yield* store.commit(lease, { seen: 998, facts: [facts.requested(100, name)] })
      yield* equal(turnsOf({ journal: rest }), [1098, 1099], "the facts of an answer")
    }),

  "one commit may be megabytes": ({ begin, recordOf, store }) =>
    Effect.gen(function* () {
      const { facts, lease } = yield* begin("r-1")
      const text = "日r👍".repeat(500_000)
      yield* store.commit(lease, commitOf("r-1", 1, { seen: all, facts: [facts.toolEnded("c-1", text)] }))
      yield* store.commit(lease, commitOf("r-1", 2, { seen: all, facts: [facts.requested(1)] }))
      const { journal, ordinal } = yield* recordOf("r-1")
      // Compared before the check, because nobody can read a difference of megabytes.
      const [first] = journal
      const came = first?._tag === "ToolEnded" && first.result === text
      yield* equal({ came, facts: journal.length, ordinal }, { came: true, facts: 2, ordinal: 2 }, "the record")
    })
} satisfies Record<string, Law>
