import { assert, describe, it } from "@effect/vitest"
import { ContinuationToken, Run, type RunRecord, TokenStore } from "@effect-baton/core"
import { Duration, Effect, Exit, Fiber, type Layer, Option, Result } from "effect"
import { AiError } from "effect/ai"
import { TestClock } from "effect/testing"

/** How a store's time passes: by default the test clock's, and leases are as long as in life. */
export interface TokenStoreContractOptions {
  /** How long the suite's leases are. */
  readonly ttl?: Duration.Input
  /** Lets time pass for the store. */
  readonly advance?: (duration: Duration.Duration) => Effect.Effect<void>
  /** Whether the tests run by the real clock. */
  readonly live?: boolean
}

/** A run as the suite creates it. */
export const newRun = (runId: string, change: Partial<RunRecord.NewRun> = {}): RunRecord.NewRun => ({
  runId: Run.RunId.make(runId),
  agent: "analyst",
  digest: "d-1",
  background: true,
  session: {},
  ...change
})

/** A commit of the suite: the position after event `ordinal`. */
export const commitOf = (
  runId: string,
  ordinal: number,
  change: Partial<TokenStore.Commit> = {}
): TokenStore.Commit => ({
  ordinal,
  token: { ...ContinuationToken.start("analyst", Run.RunId.make(runId)), sequenceNumber: ordinal },
  status: "in_progress",
  ...change
})

const idOf = Run.RunId.make
const cancel: RunRecord.Signal = { _tag: "Cancel" }
const failureOf = <A, E extends { readonly _tag: string }>(result: Result.Result<A, E>): string =>
  Result.match(result, { onFailure: (error) => error._tag, onSuccess: () => "Success" })

/** What every token store promises, whatever it keeps its runs in. */
export const tokenStoreContract = <E>(
  name: string,
  layer: Layer.Layer<TokenStore.TokenStore, E>,
  options: TokenStoreContractOptions = {}
): void => {
  const ttl = Duration.fromInputUnsafe(options.ttl ?? "30 seconds")
  const advance = options.advance ?? ((duration: Duration.Duration) => TestClock.adjust(duration))
  const beyond = Duration.times(ttl, 1.5)
  const test = (
    title: string,
    effect: (store: TokenStore.TokenStore["Service"]) => Effect.Effect<unknown, unknown>
  ): void => {
    const run = () => Effect.flatMap(TokenStore.TokenStore, effect).pipe(Effect.provide(layer))
    if (options.live === true) it.live(title, run)
    else it.effect(title, run)
  }
  const acquire = (store: TokenStore.TokenStore["Service"], id: string, owner = "a") =>
    Effect.map(store.acquire(idOf(id), { owner, ttl }), ({ lease }) => lease)
  const recordOf = (store: TokenStore.TokenStore["Service"], id: string) =>
    Effect.flatMap(store.read(idOf(id)), (record) => Effect.fromOption(record))

  describe(`token store: ${name}`, () => {
    describe("create and read", () => {
      test("a new run is queued, unleased, and at its start", (store) =>
        Effect.gen(function* () {
          const run = newRun("r-1", { agentVersion: "2", session: { previousResponseId: "resp_0" } })
          const { created, record } = yield* store.create(run)
          assert.isTrue(created)
          assert.deepStrictEqual(record, {
            version: 1,
            ...run,
            status: "queued",
            ordinal: 0,
            token: ContinuationToken.start("analyst", run.runId),
            journal: [],
            signals: [],
            lease: null,
            attempts: 0,
            setAside: null,
            createdAt: record.createdAt,
            updatedAt: record.createdAt
          })
          assert.deepStrictEqual(yield* store.read(run.runId), Option.some(record))
        }))

      test("creating it again gives back what is there, and changes nothing", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          yield* store.commit(lease, commitOf("r-1", 3))
          const before = yield* recordOf(store, "r-1")
          const again = yield* store.create(newRun("r-1", { agent: "other", digest: "d-2" }))
          assert.isFalse(again.created)
          assert.deepStrictEqual(again.record, before)
          assert.deepStrictEqual(yield* recordOf(store, "r-1"), before)
        }))

      test("of many who create a run at once, one does", (store) =>
        Effect.gen(function* () {
          const all = yield* Effect.forEach(
            Array.from({ length: 64 }, (_, i) => i),
            (i) => store.create(newRun("r-1", { digest: `d-${i}` })),
            { concurrency: "unbounded" }
          )
          const winners = all.filter(({ created }) => created)
          assert.strictEqual(winners.length, 1)
          for (const { record } of all) assert.strictEqual(record.digest, winners[0]?.record.digest)
        }))

      test("an unknown run is none", (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* store.read(idOf("nowhere")), Option.none())
        }))

      test("ids may be odd, and stay apart", (store) =>
        Effect.gen(function* () {
          const ids = [
            "..",
            ".",
            " ",
            "a b",
            "a",
            "A",
            "a.",
            "{a}",
            "a:b",
            "a*",
            "%2F",
            "C:\\x",
            `'"\``,
            "__proto__",
            "constructor",
            "日本語",
            "é",
            "e\u0301",
            "👩‍👩‍👧",
            "\u2028\u2029",
            "\u{1F600}".repeat(32),
            "x".repeat(128),
            "-1",
            "null"
          ]
          for (const [i, id] of ids.entries()) {
            assert.isTrue((yield* store.create(newRun(id, { digest: `d-${i}` }))).created, id)
            const lease = yield* acquire(store, id)
            yield* store.commit(lease, commitOf(id, i + 1))
          }
          for (const [i, id] of ids.entries()) {
            const record = yield* recordOf(store, id)
            assert.strictEqual(record.runId, id)
            assert.strictEqual(record.digest, `d-${i}`)
            assert.strictEqual(record.ordinal, i + 1)
          }
          const { items } = yield* store.list({ limit: 1000 })
          assert.deepStrictEqual(new Set(items.map(({ runId }) => String(runId))), new Set(ids))
        }))
    })

    describe("leases", () => {
      test("nobody acquires a run that is not there", (store) =>
        Effect.gen(function* () {
          assert.strictEqual(failureOf(yield* Effect.result(acquire(store, "nowhere"))), "RunNotFound")
        }))

      test("a held run is refused, naming who holds it and until when", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const { lease, record } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
          assert.deepStrictEqual(lease, { runId: idOf("r-1"), owner: "a", fence: lease.fence })
          assert.strictEqual(record.lease?.owner, "a")
          assert.strictEqual(record.lease?.fence, lease.fence)
          const refused = yield* Effect.flip(store.acquire(idOf("r-1"), { owner: "b", ttl }))
          assert.strictEqual(refused._tag, "RunLeased")
          if (refused._tag === "RunLeased") {
            assert.strictEqual(refused.owner, "a")
            assert.strictEqual(refused.until, record.lease?.expiresAt)
          }
        }))

      test("the same owner acquires again, and holds the same lease", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const first = yield* acquire(store, "r-1")
          const again = yield* acquire(store, "r-1")
          assert.deepStrictEqual(again, first)
          yield* store.commit(first, commitOf("r-1", 1))
        }))

      test("a released run is free; releasing again, or for another, is nothing", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const a = yield* acquire(store, "r-1", "a")
          yield* store.release(a)
          yield* store.release(a)
          assert.isNull((yield* recordOf(store, "r-1")).lease)
          const b = yield* acquire(store, "r-1", "b")
          assert.isAbove(b.fence, a.fence)
          yield* store.release(a)
          assert.strictEqual((yield* recordOf(store, "r-1")).lease?.owner, "b")
          yield* store.commit(b, commitOf("r-1", 1))
          yield* store.release({ runId: idOf("nowhere"), owner: "a", fence: 1 })
        }))

      test("a lease ends with its time", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const a = yield* acquire(store, "r-1", "a")
          yield* advance(beyond)
          assert.isNull((yield* recordOf(store, "r-1")).lease)
          assert.strictEqual(failureOf(yield* Effect.result(store.commit(a, commitOf("r-1", 1)))), "LeaseLost")
          assert.strictEqual(failureOf(yield* Effect.result(store.renew(a, ttl))), "LeaseLost")
          const b = yield* acquire(store, "r-1", "b")
          assert.isAbove(b.fence, a.fence)
        }))

      test("renewing keeps it", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          let lease = yield* acquire(store, "r-1", "a")
          for (let i = 0; i < 4; i++) {
            yield* advance(Duration.times(ttl, 0.6))
            lease = yield* store.renew(lease, ttl)
          }
          assert.strictEqual(failureOf(yield* Effect.result(acquire(store, "r-1", "b"))), "RunLeased")
          yield* store.commit(lease, commitOf("r-1", 1))
        }))

      test("who lost a lease writes nothing, though it is the same owner again", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const stale = yield* acquire(store, "r-1", "a")
          yield* advance(beyond)
          const lease = yield* acquire(store, "r-1", "a")
          assert.isAbove(lease.fence, stale.fence)
          yield* store.commit(lease, commitOf("r-1", 1))
          const before = yield* recordOf(store, "r-1")
          assert.strictEqual(failureOf(yield* Effect.result(store.commit(stale, commitOf("r-1", 2)))), "LeaseLost")
          assert.strictEqual(failureOf(yield* Effect.result(store.renew(stale, ttl))), "LeaseLost")
          yield* store.release(stale)
          assert.deepStrictEqual(yield* recordOf(store, "r-1"), before)
        }))

      test("who released a lease writes nothing", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          yield* store.release(lease)
          assert.strictEqual(failureOf(yield* Effect.result(store.commit(lease, commitOf("r-1", 1)))), "LeaseLost")
          assert.strictEqual(failureOf(yield* Effect.result(store.renew(lease, ttl))), "LeaseLost")
        }))

      test("a fence never goes back, not even for a run that was removed", (store) =>
        Effect.gen(function* () {
          let last = 0
          for (let i = 0; i < 5; i++) {
            yield* store.create(newRun("r-1"))
            const lease = yield* acquire(store, "r-1")
            assert.isAbove(lease.fence, last)
            last = lease.fence
            yield* store.remove(idOf("r-1"))
            assert.strictEqual(failureOf(yield* Effect.result(store.commit(lease, commitOf("r-1", 1)))), "LeaseLost")
            assert.strictEqual(failureOf(yield* Effect.result(store.renew(lease, ttl))), "LeaseLost")
          }
        }))

      test("of many who acquire at once, one does", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const all = yield* Effect.forEach(
            Array.from({ length: 64 }, (_, i) => `owner-${i}`),
            (owner) => Effect.result(acquire(store, "r-1", owner)),
            { concurrency: "unbounded" }
          )
          const tags = all.map(failureOf)
          assert.strictEqual(tags.filter((tag) => tag === "Success").length, 1)
          assert.strictEqual(tags.filter((tag) => tag === "RunLeased").length, 63)
        }))
    })

    describe("commits", () => {
      test("a commit writes position, status and journal together", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          const commit = commitOf("r-1", 1, {
            journal: [
              { _tag: "Requested", turn: 0 },
              { _tag: "Accepted", turn: 0, responseId: "resp_1", streamed: true }
            ]
          })
          assert.deepStrictEqual(yield* store.commit(lease, commit), [])
          yield* store.commit(lease, commitOf("r-1", 2, { status: "completed", token: null }))
          const record = yield* recordOf(store, "r-1")
          assert.strictEqual(record.ordinal, 2)
          assert.strictEqual(record.status, "completed")
          assert.isNull(record.token)
          assert.deepStrictEqual(record.journal, commit.journal)
        }))

      test("the same commit again, and an earlier one, succeed and change nothing", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          const first = commitOf("r-1", 1, { journal: [{ _tag: "Requested", turn: 0 }] })
          const second = commitOf("r-1", 2, { journal: [{ _tag: "Refused", turn: 0 }] })
          yield* store.commit(lease, first)
          yield* store.commit(lease, first)
          yield* store.commit(lease, second)
          const before = yield* recordOf(store, "r-1")
          yield* store.commit(lease, second)
          yield* store.commit(lease, first)
          assert.deepStrictEqual(yield* recordOf(store, "r-1"), before)
          assert.strictEqual(before.journal.length, 2)
        }))

      test("ordinals may leave gaps", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          yield* store.commit(lease, commitOf("r-1", 5))
          yield* store.commit(lease, commitOf("r-1", 17))
          assert.strictEqual((yield* recordOf(store, "r-1")).ordinal, 17)
        }))

      test("commits at once end with the highest", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          const ordinals = Array.from({ length: 64 }, (_, i) => ((i * 37) % 64) + 1)
          yield* Effect.forEach(ordinals, (ordinal) => store.commit(lease, commitOf("r-1", ordinal)), {
            concurrency: "unbounded",
            discard: true
          })
          const record = yield* recordOf(store, "r-1")
          assert.strictEqual(record.ordinal, 64)
          assert.strictEqual(record.token?.sequenceNumber, 64)
        }))

      test("a failure in the journal comes back as it was", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          const error = AiError.make({
            module: "OpenAi",
            method: "create",
            reason: new AiError.RateLimitError({ retryAfter: Duration.seconds(7) })
          })
          yield* store.commit(
            lease,
            commitOf("r-1", 1, { status: "failed", journal: [{ _tag: "Ended", status: "failed", error }] })
          )
          const [entry] = (yield* recordOf(store, "r-1")).journal
          assert.strictEqual(entry?._tag, "Ended")
          if (entry?._tag === "Ended") {
            assert.strictEqual(entry.error?.message, error.message)
            assert.strictEqual(entry.error?.reason._tag, "RateLimitError")
          }
        }))

      test("a journal may be long", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          const responseId = "r".repeat(2000)
          for (let ordinal = 1; ordinal <= 10; ordinal++) {
            const journal = Array.from({ length: 100 }, (_, i): RunRecord.JournalEntry => ({
              _tag: "Accepted",
              turn: ordinal * 100 + i,
              responseId,
              streamed: true
            }))
            yield* store.commit(lease, commitOf("r-1", ordinal, { journal }))
          }
          const record = yield* recordOf(store, "r-1")
          assert.deepStrictEqual(
            record.journal.map((entry) => (entry._tag === "Accepted" ? entry.turn : -1)),
            Array.from({ length: 1000 }, (_, i) => i + 100)
          )
        }))
    })

    describe("signals", () => {
      test("anybody signals a run, and the next commit tells its holder", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          assert.deepStrictEqual(yield* store.commit(lease, commitOf("r-1", 1)), [])
          yield* store.signal(idOf("r-1"), cancel)
          yield* store.signal(idOf("r-1"), cancel)
          assert.deepStrictEqual((yield* recordOf(store, "r-1")).signals, [cancel])
          // Also a commit that changes nothing.
          assert.deepStrictEqual(yield* store.commit(lease, commitOf("r-1", 1)), [cancel])
          assert.deepStrictEqual(yield* store.commit(lease, commitOf("r-1", 2)), [cancel])
          assert.deepStrictEqual((yield* recordOf(store, "r-1")).signals, [cancel])
        }))

      test("a signal is there for who acquires the run later", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          yield* store.signal(idOf("r-1"), cancel)
          const { record } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
          assert.deepStrictEqual(record.signals, [cancel])
        }))

      test("an unknown run cannot be signalled", (store) =>
        Effect.gen(function* () {
          assert.strictEqual(failureOf(yield* Effect.result(store.signal(idOf("nowhere"), cancel))), "RunNotFound")
        }))

      test("a commit after an acknowledged signal always sees it", (store) =>
        Effect.gen(function* () {
          yield* Effect.forEach(
            Array.from({ length: 32 }, (_, i) => `r-${i}`),
            (id) =>
              Effect.gen(function* () {
                yield* store.create(newRun(id))
                const lease = yield* acquire(store, id)
                const writer = yield* Effect.forkChild(
                  Effect.forEach([1, 2, 3, 4, 5], (ordinal) => store.commit(lease, commitOf(id, ordinal)))
                )
                yield* store.signal(idOf(id), cancel)
                assert.deepStrictEqual(yield* store.commit(lease, commitOf(id, 6)), [cancel])
                yield* Fiber.join(writer)
              }),
            { concurrency: "unbounded", discard: true }
          )
        }))
    })

    describe("remove", () => {
      test("a removed run is gone; removing again is nothing", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          yield* store.remove(idOf("r-1"))
          yield* store.remove(idOf("r-1"))
          assert.deepStrictEqual(yield* store.read(idOf("r-1")), Option.none())
          assert.strictEqual((yield* store.list({ limit: 10 })).items.length, 0)
          const again = yield* store.create(newRun("r-1", { digest: "d-2" }))
          assert.isTrue(again.created)
          assert.strictEqual(again.record.ordinal, 0)
        }))
    })

    describe("list", () => {
      const fill = (store: TokenStore.TokenStore["Service"], count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, i) => i),
          (i) => Effect.andThen(store.create(newRun(`r-${String(i).padStart(3, "0")}`)), advance(Duration.millis(2)))
        )
      const pages = Effect.fnUntraced(function* (
        store: TokenStore.TokenStore["Service"],
        filter: TokenStore.RunFilter
      ) {
        const all: Array<ReadonlyArray<string>> = []
        let cursor: string | undefined
        do {
          const page: TokenStore.Page<RunRecord.RunRecord> = yield* store.list({
            ...filter,
            ...(cursor === undefined ? {} : { cursor })
          })
          all.push(page.items.map(({ runId }) => runId))
          cursor = page.cursor
        } while (cursor !== undefined && all.length < 100)
        return all
      })

      test("lists the oldest first, page by page, each run once", (store) =>
        Effect.gen(function* () {
          yield* fill(store, 23)
          const all = yield* pages(store, { limit: 5 })
          assert.deepStrictEqual(
            all.map((page) => page.length),
            [5, 5, 5, 5, 3]
          )
          assert.deepStrictEqual(
            all.flat(),
            Array.from({ length: 23 }, (_, i) => `r-${String(i).padStart(3, "0")}`)
          )
          assert.deepStrictEqual(yield* pages(store, { limit: 23 }), [all.flat()])
        }))

      test("runs of the same moment are each listed once", (store) =>
        Effect.gen(function* () {
          const ids = Array.from({ length: 17 }, (_, i) => `same-${i}`)
          yield* Effect.forEach(ids, (id) => store.create(newRun(id)), { concurrency: "unbounded" })
          const all = (yield* pages(store, { limit: 4 })).flat()
          assert.strictEqual(all.length, 17)
          assert.deepStrictEqual(new Set(all), new Set(ids))
        }))

      test("pages hold while runs are added and removed", (store) =>
        Effect.gen(function* () {
          yield* fill(store, 9)
          const first = yield* store.list({ limit: 3 })
          assert.isDefined(first.cursor)
          yield* store.remove(idOf("r-002"))
          yield* store.remove(idOf("r-004"))
          yield* store.create(newRun("z"))
          const second = yield* store.list({ limit: 3, cursor: first.cursor ?? "" })
          assert.deepStrictEqual(
            second.items.map(({ runId }) => String(runId)),
            ["r-003", "r-005", "r-006"]
          )
        }))

      test("filters by status, agent and lease", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("queued"))
          yield* store.create(newRun("other", { agent: "poet" }))
          yield* store.create(newRun("working"))
          yield* store.create(newRun("done"))
          const working = yield* acquire(store, "working")
          yield* store.commit(working, commitOf("working", 1))
          const done = yield* acquire(store, "done")
          yield* store.commit(done, commitOf("done", 1, { status: "completed", token: null }))
          yield* store.release(done)
          const idsOf = (filter: Omit<TokenStore.RunFilter, "limit">) =>
            Effect.map(store.list({ ...filter, limit: 10 }), ({ items }) =>
              items.map(({ runId }) => String(runId)).toSorted()
            )
          assert.deepStrictEqual(yield* idsOf({ status: ["queued"] }), ["other", "queued"])
          assert.deepStrictEqual(yield* idsOf({ status: ["in_progress", "completed"] }), ["done", "working"])
          assert.deepStrictEqual(yield* idsOf({ status: [] }), [])
          assert.deepStrictEqual(yield* idsOf({ agent: "poet" }), ["other"])
          assert.deepStrictEqual(yield* idsOf({ unleased: true }), ["done", "other", "queued"])
          assert.deepStrictEqual(yield* idsOf({ unleased: true, status: ["queued"], agent: "analyst" }), ["queued"])
          yield* advance(beyond)
          assert.deepStrictEqual(yield* idsOf({ unleased: true }), ["done", "other", "queued", "working"])
        }))

      test("an empty store has one empty page", (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* store.list({ limit: 10 }), { items: [] })
        }))
    })

    describe("interruption", () => {
      test("who is interrupted leaves the store whole, and may repeat the operation", (store) =>
        Effect.gen(function* () {
          yield* store.create(newRun("r-1"))
          const lease = yield* acquire(store, "r-1")
          for (let ordinal = 1; ordinal <= 20; ordinal++) {
            const fiber = yield* Effect.forkChild(
              store.commit(lease, commitOf("r-1", ordinal, { journal: [{ _tag: "Requested", turn: ordinal }] }))
            )
            if (ordinal % 2 === 0) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
            yield* store.commit(lease, commitOf("r-1", ordinal, { journal: [{ _tag: "Requested", turn: ordinal }] }))
          }
          const record = yield* recordOf(store, "r-1")
          assert.strictEqual(record.ordinal, 20)
          assert.deepStrictEqual(
            record.journal.map((entry) => (entry._tag === "Requested" ? entry.turn : -1)),
            Array.from({ length: 20 }, (_, i) => i + 1)
          )
          assert.isTrue(Exit.isSuccess(yield* Effect.exit(store.release(lease))))
        }))
    })
  })
}
