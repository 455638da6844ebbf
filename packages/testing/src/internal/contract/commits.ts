import type { RunRecord } from "@effect-baton/core"
import { Duration, Effect } from "effect"
import { AiError } from "effect/ai"
import { commitOf, idOf, type Law, newRun, range, turnsOf } from "./bench.ts"
import { equal } from "./violation.ts"

export const commits = {
  "a commit writes position, status and journal together": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      const { record: created } = yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      const journal: ReadonlyArray<RunRecord.JournalEntry> = [
        { _tag: "Requested", turn: 0 },
        { _tag: "Accepted", turn: 0, responseId: "resp_1", streamed: true }
      ]
      const first = commitOf("r-1", 1, { journal })
      yield* equal(yield* store.commit(lease, first), [], "no signal came")
      const before = yield* recordOf("r-1")
      const { lease: held, updatedAt } = before
      const expected = { ...created, ordinal: 1, token: first.token, status: "in_progress", journal, updatedAt }
      yield* equal(before, { ...expected, lease: held }, "the first commit")
      yield* store.commit(lease, commitOf("r-1", 2, { status: "completed", token: null }))
      const after = yield* recordOf("r-1")
      const { updatedAt: later } = after
      const over = { ...before, ordinal: 2, token: null, status: "completed", updatedAt: later }
      yield* equal(after, over, "the second commit")
    }),

  "the same commit again, and an earlier one, succeed and change nothing": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      const first = commitOf("r-1", 1, { journal: [{ _tag: "Requested", turn: 0 }], attempts: 1 })
      const second = commitOf("r-1", 2, { journal: [{ _tag: "Refused", turn: 0 }], attempts: 2, setAside: "later" })
      yield* store.commit(lease, first)
      yield* store.commit(lease, first)
      yield* store.commit(lease, second)
      const before = yield* recordOf("r-1")
      yield* equal(before.journal.length, 2, "each commit is in the journal once")
      yield* store.commit(lease, second)
      yield* store.commit(lease, first)
      yield* store.commit(lease, commitOf("r-1", 1, { token: null, status: "failed", setAside: null }))
      yield* equal(yield* recordOf("r-1"), before, "the record is what it was")
    }),

  "ordinals may leave gaps": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      yield* store.commit(lease, commitOf("r-1", 5))
      yield* store.commit(lease, commitOf("r-1", 17))
      yield* equal((yield* recordOf("r-1")).ordinal, 17, "the last ordinal")
    }),

  "commits at once end with the highest": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      const ordinals = range(64).map((i) => ((i * 37) % 64) + 1)
      yield* Effect.forEach(ordinals, (ordinal) => store.commit(lease, commitOf("r-1", ordinal)), {
        concurrency: "unbounded",
        discard: true
      })
      const { ordinal, token } = yield* recordOf("r-1")
      yield* equal({ ordinal, at: token?.sequenceNumber }, { ordinal: 64, at: 64 }, "the highest commit is there")
    }),

  "a failure in the journal comes back as it was": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const error = AiError.make({
        module: "OpenAi",
        method: "create",
        reason: new AiError.RateLimitError({ retryAfter: Duration.seconds(7) })
      })
      yield* store.commit(
        yield* acquire("r-1"),
        commitOf("r-1", 1, { status: "failed", journal: [{ _tag: "Ended", status: "failed", error }] })
      )
      const [entry] = (yield* recordOf("r-1")).journal
      const found = entry?._tag === "Ended" ? entry.error : undefined
      const shown = { message: found?.message, reason: found?.reason._tag, isRetryable: found?.isRetryable }
      const expected = { message: error.message, reason: "RateLimitError", isRetryable: error.isRetryable }
      yield* equal(shown, expected, "the failure of the run")
    }),

  "text comes back as it was, whatever is in it": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      const odd = `{"a":[]} \n\r\t \\n '"\` \u0001\u2028 日本語 é e\u0301 👩‍👩‍👧 ${"%00"} null`
      yield* store.create(newRun("r-1", { agent: odd, digest: odd, session: { previousResponseId: odd } }))
      const journal: ReadonlyArray<RunRecord.JournalEntry> = [
        { _tag: "Accepted", turn: 0, responseId: odd, streamed: false }
      ]
      yield* store.commit(yield* acquire("r-1", odd), commitOf("r-1", 1, { journal, setAside: odd }))
      const record = yield* recordOf("r-1")
      const { agent, digest, session } = record
      yield* equal({ agent, digest, session }, { agent: odd, digest: odd, session: { previousResponseId: odd } }, "run")
      yield* equal(record.journal, journal, "the journal")
      yield* equal(record.setAside?.reason, odd, "the reason")
      yield* equal(record.lease?.owner, odd, "the owner")
      const { items } = yield* store.list({ agent: odd, limit: 2 })
      yield* equal(
        items.map(({ runId }) => runId),
        ["r-1"],
        "the runs of the agent"
      )
    }),

  "a journal may be long": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      const responseId = "r".repeat(2000)
      for (let ordinal = 1; ordinal <= 10; ordinal++) {
        const journal = range(100).map((i): RunRecord.JournalEntry => ({
          _tag: "Accepted",
          turn: ordinal * 100 + i,
          responseId,
          streamed: true
        }))
        yield* store.commit(lease, commitOf("r-1", ordinal, { journal }))
      }
      const turns = range(1000).map((i) => i + 100)
      yield* equal(turnsOf(yield* recordOf("r-1")), turns, "the journal of the record")
      const { items } = yield* store.list({ limit: 1 })
      yield* equal(items.map(turnsOf), [turns], "the journal in the listing")
    }),

  "one commit may be megabytes": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      const responseId = "日r👍".repeat(500_000)
      const entry: RunRecord.JournalEntry = { _tag: "Accepted", turn: 0, responseId, streamed: true }
      yield* store.commit(lease, commitOf("r-1", 1, { journal: [entry] }))
      yield* store.commit(lease, commitOf("r-1", 2, { journal: [{ _tag: "Requested", turn: 1 }] }))
      const { journal, ordinal } = yield* recordOf("r-1")
      // Not compared as a whole: nobody reads a difference of megabytes.
      const [first] = journal
      const came = first?._tag === "Accepted" && first.responseId === responseId
      yield* equal({ came, entries: journal.length, ordinal }, { came: true, entries: 2, ordinal: 2 }, "the record")
    }),

  "a removed run is gone; removing again is nothing": ({ acquire, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      yield* store.commit(yield* acquire("r-1"), commitOf("r-1", 1))
      yield* store.remove(idOf("r-1"))
      yield* store.remove(idOf("r-1"))
      yield* equal((yield* store.read(idOf("r-1")))._tag, "None", "nothing is read")
      yield* equal(yield* store.list({ limit: 10 }), { items: [] }, "nothing is listed")
      const { created, record } = yield* store.create(newRun("r-1", { digest: "d-2" }))
      const { digest, lease, ordinal } = record
      yield* equal(
        { created, digest, lease, ordinal },
        { created: true, digest: "d-2", lease: null, ordinal: 0 },
        "new"
      )
    })
} satisfies Record<string, Law>
