import type { TokenStore } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { all, commitOf, idOf, type Law, lasting, leave, newRun } from "./bench.ts"
import { equal } from "./violation.ts"

const left = (how: TokenStore.ReleaseOptions["attempt"]): TokenStore.ReleaseOptions => ({ ...leave, attempt: how })

export const attempts = {
  "a claim counts one attempt for its lease, and promises the run to its consumer": ({
    acquire,
    attempt,
    recordOf,
    store
  }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const plain = yield* acquire("r-1", "viewer")
      const before = Struct.pick(yield* recordOf("r-1"), ["attempts", "handled"])
      yield* equal(before, { attempts: [], handled: false }, "after a lease that is no attempt")
      yield* store.release(plain, leave)
      const { lease: first, record } = yield* attempt("a")
      const found = { attempts: record.attempts, handled: record.handled }
      yield* equal(found, { attempts: [first.fence], handled: true }, "the answer to the first claim")
      yield* equal(yield* recordOf("r-1"), record, "the record")
      yield* equal((yield* attempt("a")).lease, first, "the lease of the same owner again")
      yield* acquire("r-1", "a")
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "the same owner again is no second attempt")
      const { lease: stolen } = yield* store.acquire(idOf("r-1"), { owner: "b", ttl: lasting, steal: true })
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "nor is who steals it")
      yield* store.release(stolen, left("keep"))
      const { lease: second } = yield* attempt("c")
      const last = yield* recordOf("r-1")
      yield* equal(last.attempts, [first.fence, second.fence], "another claim is")
      yield* equal(last.handled, true, "the promise stays")
    }),

  "a run may be promised to a consumer from its creation on": ({ acquire, recordOf, store, work }) =>
    Effect.gen(function* () {
      const { record } = yield* store.create(newRun("r-1"), { handled: true, due: lasting })
      yield* equal([record.handled, record.attempts], [true, []], "the answer")
      yield* store.release(yield* acquire("r-1"), { ...leave, due: lasting })
      yield* equal((yield* recordOf("r-1")).handled, true, "the promise stays")
      const fact = { _tag: "Ended", incarnation: record.incarnation, by: "b", status: "cancelled" } as const
      yield* store.conclude(idOf("r-1"), { seen: all, facts: [fact], due: lasting })
      yield* equal(yield* work, ["r-1"], "its consumer is still to be told")
    }),

  "who leaves a run gives its attempt back, keeps it, or has all forgotten": ({ attempt, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const { lease: first } = yield* attempt("a")
      yield* store.release(first, left("keep"))
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "kept")
      const { lease: second } = yield* attempt("a")
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence, second.fence], "the next one")
      yield* store.release(second, left("back"))
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "given back")
      const { lease: third } = yield* attempt("b")
      yield* store.release(third, left("keep"))
      const { lease: fourth } = yield* attempt("b")
      yield* store.release(fourth, left("reset"))
      yield* equal((yield* recordOf("r-1")).attempts, [], "all forgotten")
      yield* equal((yield* recordOf("r-1")).handled, true, "the promise stays")
    }),

  "a lease that was lost gives its attempt back all the same, and nothing else": ({
    advance,
    attempt,
    beyond,
    recordOf,
    store,
    ttl
  }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const { lease: first } = yield* attempt("a")
      const { lease: thief } = yield* store.acquire(idOf("r-1"), { owner: "thief", ttl: lasting, steal: true })
      yield* store.release(thief, leave)
      const { lease: second } = yield* attempt("b", ttl)
      yield* advance(beyond)
      const { lease: third } = yield* attempt("c")
      const before = yield* recordOf("r-1")
      yield* equal(before.attempts, [first.fence, second.fence, third.fence], "three attempts")
      yield* store.release(second, { ...left("back"), parked: "late" })
      const after = yield* recordOf("r-1")
      yield* equal(after, { ...before, attempts: [first.fence, third.fence] }, "one is given back")
      yield* store.release(second, left("back"))
      yield* store.release(first, left("keep"))
      yield* equal(yield* recordOf("r-1"), after, "once, and only when asked for")
      yield* store.release(third, left("back"))
      yield* store.release(third, left("back"))
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "the holder gives its own back")
    }),

  "attempts before the holder's are forgotten when its consumer comes further": ({
    acquire,
    attempt,
    recordOf,
    store
  }) =>
    Effect.gen(function* () {
      const { record } = yield* store.create(newRun("r-1"))
      const { lease: first } = yield* attempt("a")
      yield* store.commit(first, commitOf("r-1", 1))
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "the holder's own stays")
      yield* store.release(first, left("keep"))
      const { lease: second } = yield* attempt("b")
      yield* store.commit(second, commitOf("r-1", 1))
      const fact = { _tag: "CancelRequested", incarnation: record.incarnation, by: "b" } as const
      yield* store.commit(second, { seen: all, facts: [fact] })
      const both = [first.fence, second.fence]
      yield* equal((yield* recordOf("r-1")).attempts, both, "neither a late position nor a fact forgets one")
      yield* store.commit(second, commitOf("r-1", 2))
      yield* equal((yield* recordOf("r-1")).attempts, [second.fence], "a position that moves does")
      yield* store.release(second, left("keep"))
      yield* store.commit(yield* acquire("r-1", "viewer"), commitOf("r-1", 3))
      yield* equal((yield* recordOf("r-1")).attempts, [], "also under a lease that is no attempt")
    })
} satisfies Record<string, Law>
