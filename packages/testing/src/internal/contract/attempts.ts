import type { TokenStore } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { all, type Bench, commitOf, idOf, type Law, lasting, leave, newRun } from "./bench.ts"
import { equal } from "./violation.ts"

const attempt = ({ store }: Bench, owner: string, change: Partial<TokenStore.AcquireOptions> = {}) =>
  Effect.map(store.acquire(idOf("r-1"), { owner, ttl: lasting, attempt: true, ...change }), ({ lease }) => lease)

const left = (how: TokenStore.ReleaseOptions["attempt"]): TokenStore.ReleaseOptions => ({ ...leave, attempt: how })

export const attempts = {
  "an attempt is counted once for each lease, and promises the run to its consumer": (bench) =>
    Effect.gen(function* () {
      const { acquire, recordOf, store } = bench
      yield* store.create(newRun("r-1"))
      const plain = yield* acquire("r-1", "viewer")
      const before = Struct.pick(yield* recordOf("r-1"), ["attempts", "handled"])
      yield* equal(before, { attempts: [], handled: false }, "after a lease that is no attempt")
      yield* store.release(plain, leave)
      const { lease: first, record } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl: lasting, attempt: true })
      const found = { attempts: record.attempts, handled: record.handled }
      yield* equal(found, { attempts: [first.fence], handled: true }, "the answer to the first attempt")
      yield* attempt(bench, "a")
      yield* acquire("r-1", "a")
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "the same owner again is no second one")
      const second = yield* attempt(bench, "b", { steal: true })
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence, second.fence], "another one is")
      yield* store.release(second, left("keep"))
      const third = yield* acquire("r-1", "viewer")
      yield* attempt(bench, "viewer")
      const last = yield* recordOf("r-1")
      yield* equal(last.attempts, [first.fence, second.fence, third.fence], "a lease that becomes one")
      yield* equal(last.handled, true, "the promise stays")
    }),

  "who leaves a run gives its attempt back, keeps it, or has all forgotten": (bench) =>
    Effect.gen(function* () {
      const { recordOf, store } = bench
      yield* store.create(newRun("r-1"))
      const first = yield* attempt(bench, "a")
      yield* store.release(first, left("keep"))
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "kept")
      const second = yield* attempt(bench, "a")
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence, second.fence], "the next one")
      yield* store.release(second, left("back"))
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "given back")
      const third = yield* attempt(bench, "b")
      yield* store.release(third, left("keep"))
      const fourth = yield* attempt(bench, "b")
      yield* store.release(fourth, left("reset"))
      yield* equal((yield* recordOf("r-1")).attempts, [], "all forgotten")
      yield* equal((yield* recordOf("r-1")).handled, true, "the promise stays")
    }),

  "a lease that was lost gives its attempt back all the same, and nothing else": (bench) =>
    Effect.gen(function* () {
      const { advance, beyond, recordOf, store, ttl } = bench
      yield* store.create(newRun("r-1"))
      const first = yield* attempt(bench, "a")
      const second = yield* attempt(bench, "b", { steal: true, ttl })
      yield* advance(beyond)
      const third = yield* attempt(bench, "c")
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

  "attempts before the holder's are forgotten when its consumer comes further": (bench) =>
    Effect.gen(function* () {
      const { acquire, recordOf, store } = bench
      const { record } = yield* store.create(newRun("r-1"))
      const first = yield* attempt(bench, "a")
      yield* store.commit(first, commitOf("r-1", 1))
      yield* equal((yield* recordOf("r-1")).attempts, [first.fence], "the holder's own stays")
      yield* store.release(first, left("keep"))
      const second = yield* attempt(bench, "b")
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
