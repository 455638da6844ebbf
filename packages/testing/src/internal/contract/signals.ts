import { Effect, Fiber } from "effect"
import { cancel, commitOf, idOf, type Law, lasting, newRun, range } from "./bench.ts"
import { equal, refused } from "./violation.ts"

export const signals = {
  "anybody signals a run, and the next commit tells its holder": ({ acquire, recordOf, store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      const lease = yield* acquire("r-1")
      yield* equal(yield* store.commit(lease, commitOf("r-1", 1)), [], "before the signal")
      yield* store.signal(idOf("r-1"), cancel)
      yield* store.signal(idOf("r-1"), cancel)
      yield* equal((yield* recordOf("r-1")).signals, [cancel], "the signal is there once")
      yield* equal(yield* store.commit(lease, commitOf("r-1", 1)), [cancel], "a commit that changes nothing tells it")
      yield* equal(yield* store.commit(lease, commitOf("r-1", 2)), [cancel], "and one that does")
      yield* equal((yield* recordOf("r-1")).signals, [cancel], "the signal stays")
    }),

  "a signal is there for who acquires the run later": ({ store }) =>
    Effect.gen(function* () {
      yield* store.create(newRun("r-1"))
      yield* store.signal(idOf("r-1"), cancel)
      const { record } = yield* store.acquire(idOf("r-1"), { owner: "a", ttl: lasting })
      yield* equal(record.signals, [cancel], "the signal is in the record")
    }),

  "an unknown run cannot be signalled": ({ store }) =>
    refused(store.signal(idOf("nowhere"), cancel), "RunNotFound", "the run is not there"),

  "a commit after an acknowledged signal always sees it": ({ acquire, store }) =>
    Effect.forEach(
      range(32).map((i) => `r-${i}`),
      Effect.fnUntraced(function* (id) {
        yield* store.create(newRun(id))
        const lease = yield* acquire(id)
        const writer = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3, 4, 5], (ordinal) => store.commit(lease, commitOf(id, ordinal)))
        )
        yield* store.signal(idOf(id), cancel)
        yield* equal(yield* store.commit(lease, commitOf(id, 6)), [cancel], "the commit tells the signal")
        yield* Fiber.join(writer)
      }),
      { concurrency: "unbounded", discard: true }
    ),

  "of signals and commits at once none is lost": ({ acquire, recordOf, store }) =>
    Effect.forEach(
      range(32).map((i) => `r-${i}`),
      Effect.fnUntraced(function* (id) {
        yield* store.create(newRun(id))
        const lease = yield* acquire(id)
        yield* Effect.all(
          [
            ...[1, 2, 3].map((turn) =>
              store.commit(lease, commitOf(id, turn, { journal: [{ _tag: "Requested", turn }] }))
            ),
            store.signal(idOf(id), cancel),
            store.commit(lease, commitOf(id, 4, { journal: [{ _tag: "Requested", turn: 4 }] })),
            store.signal(idOf(id), cancel)
          ],
          { concurrency: "unbounded" }
        )
        const { ordinal, signals } = yield* recordOf(id)
        yield* equal({ ordinal, signals }, { ordinal: 4, signals: [cancel] }, "both are there")
        yield* equal(yield* store.commit(lease, commitOf(id, 5)), [cancel], "the next commit tells the signal")
      }),
      { concurrency: "unbounded", discard: true }
    )
} satisfies Record<string, Law>
