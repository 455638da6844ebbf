import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import {
  all,
  type Bench,
  factsOf,
  idOf,
  leave,
  leaveForGood,
  newRun,
  numbered,
  type PlaceLaw,
  range,
  type Terms
} from "./bench.ts"
import { above, equal, refused } from "./violation.ts"

/** A place whose store forgets runs after these times. */
export interface Forgetting extends Terms {
  readonly open: Parameters<PlaceLaw>[0]["open"]
  readonly retention: Duration.Duration
  readonly abandonedAfter: Duration.Duration
}

type Law = (place: Forgetting) => ReturnType<PlaceLaw>

/** Operations that bring a run to an end, or leave it without one. */
type Story = (bench: Bench, id: string) => Effect.Effect<unknown, unknown>

const many = range(40)

const started = Effect.fnUntraced(function* ({ store }: Bench, id: string) {
  const { record } = yield* store.create(newRun(id), { due: Duration.infinity })
  return factsOf(record.incarnation)
})

/** Writes facts under a lease, and releases the run. */
const written = Effect.fnUntraced(function* (
  bench: Bench,
  id: string,
  of: (facts: ReturnType<typeof factsOf>) => ReadonlyArray<Parameters<Bench["store"]["record"]>[1]>,
  left = leaveForGood
) {
  const { lease, record } = yield* bench.store.acquire(idOf(id), { owner: id, ttl: bench.ttl })
  yield* bench.store.commit(lease, { seen: all, facts: of(factsOf(record.incarnation)) })
  yield* bench.store.release(lease, left)
})

/** Runs that are over, though nobody streamed them to their end. */
const over: Record<string, Story> = {
  polled: (bench, id) =>
    Effect.flatMap(started(bench, id), (facts) =>
      bench.store.conclude(idOf(id), {
        seen: all,
        facts: [facts.accepted(0, `${id}-1`), facts.responseEnded(0, `${id}-1`), facts.ended("completed")],
        due: Duration.infinity
      })
    ),
  result: (bench, id) =>
    Effect.andThen(
      started(bench, id),
      written(bench, id, (of) => [of.accepted(0, `${id}-1`), of.responseEnded(0, `${id}-1`), of.ended("completed")])
    ),
  cancelled: (bench, id) =>
    Effect.flatMap(started(bench, id), (facts) =>
      Effect.andThen(
        bench.store.record(idOf(id), facts.cancelRequested, all),
        written(bench, id, (of) => [of.ended("cancelled")])
      )
    ),
  refused: (bench, id) =>
    Effect.andThen(
      started(bench, id),
      written(bench, id, (of) => [of.requested(0), of.refused(0), of.ended("failed")])
    ),
  handled: (bench, id) =>
    Effect.andThen(
      bench.store.create(newRun(id), { handled: true, due: Duration.infinity }),
      written(bench, id, (of) => [of.ended("completed"), of.delivered])
    )
}

/** Runs that are not over: a response may have been bought or may still run, or the run waits for its caller. */
const unfinished: Record<string, Story> = {
  unconfirmed: (bench, id) =>
    Effect.andThen(
      started(bench, id),
      written(bench, id, (of) => [of.requested(0)], { ...leaveForGood, parked: "unconfirmed" })
    ),
  left: (bench, id) =>
    Effect.andThen(
      bench.store.create(newRun(id)),
      written(bench, id, (of) => [of.requested(0), of.accepted(0, `${id}-1`)], leave)
    ),
  loose: (bench, id) =>
    Effect.andThen(
      started(bench, id),
      written(bench, id, (of) => [of.accepted(0, `${id}-1`), of.ended("failed")])
    ),
  undelivered: (bench, id) =>
    Effect.andThen(
      bench.store.create(newRun(id), { handled: true, due: Duration.infinity }),
      written(bench, id, (of) => [of.ended("completed")])
    ),
  waiting: (bench, id) =>
    Effect.andThen(
      started(bench, id),
      written(bench, id, (of) => [{ ...of.approved("c-1"), _tag: "ApprovalAsked" }])
    )
}

const tell = (bench: Bench, stories: Record<string, Story>) =>
  Effect.forEach(
    Object.entries(stories),
    ([kind, story]) => Effect.forEach(many, (i) => story(bench, `${kind}-${numbered(i)}`), { concurrency: 16 }),
    { discard: true }
  )

/** How many runs of each kind there are. */
const kindsOf = ({ pages }: Bench) =>
  Effect.map(pages({ limit: 100 }), (found) => {
    const counts = new Map<string, number>()
    for (const id of found.flat()) {
      const [kind = ""] = id.split("-")
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    }
    return Object.fromEntries(counts)
  })

const fullOf = (stories: Record<string, Story>) =>
  Object.fromEntries(Object.keys(stories).map((kind) => [kind, many.length]))

/** Checks that the store knows nothing of a run any more. */
const isGone = Effect.fnUntraced(function* ({ acquire, store }: Bench, id: string) {
  yield* equal(yield* store.read(idOf(id)), Option.none(), `${id} is not read`)
  yield* equal(yield* store.read({ responseId: `${id}-1` }), Option.none(), `${id} is not found by its response`)
  yield* refused(acquire(id), "RunNotFound", `${id} is not taken`)
})

/** Uses the store until it has forgotten the runs whose time is over. */
const forgotten = Effect.fnUntraced(function* ({ advance, claim, runs, store }: Bench) {
  for (let i = 0; i < runs; i++) {
    const counts = yield* store.count({ agent: "analyst" })
    if (Object.values(counts).every((count) => count === 0)) return
    // Each creation and each claim also removes some forgotten runs.
    yield* store.create(newRun(`other-${i}`, { agent: "other" }))
    yield* claim({ agents: ["other"], owner: `other-${i}` })
    yield* advance(Duration.millis(1))
  }
  yield* equal(yield* store.count({ agent: "analyst" }), {}, "what is counted, long after all is gone")
})

/** Lets a share of the retention (or of `abandonedAfter`) pass. */
const passed = (place: Forgetting, what: "retention" | "abandonedAfter", share: number) =>
  place.advance(Duration.times(place[what], share))

export const retention = {
  "what is over is kept for its time, and then gone from everything": (place) =>
    Effect.gen(function* () {
      const bench = yield* place.open
      yield* tell(bench, over)
      yield* passed(place, "retention", 0.6)
      yield* equal(yield* kindsOf(bench), fullOf(over), "what is there until then")
      yield* passed(place, "retention", 0.6)
      yield* equal(yield* kindsOf(bench), {}, "what is listed after it")
      for (const kind of Object.keys(over)) yield* isGone(bench, `${kind}-${numbered(7)}`)
      yield* equal((yield* bench.claim()).ids, [], "nothing is claimed")
      yield* forgotten(bench)
    }),

  "what is not over is kept until nothing came for it for long": (place) =>
    Effect.gen(function* () {
      const bench = yield* place.open
      yield* tell(bench, unfinished)
      yield* above(
        Duration.toMillis(place.abandonedAfter),
        Duration.toMillis(place.retention) * 2,
        "what is not over stays longer"
      )
      yield* passed(place, "retention", 1.5)
      yield* equal(yield* kindsOf(bench), fullOf(unfinished), "what is there when others are gone")
      const { incarnation } = yield* bench.recordOf(`waiting-${numbered(7)}`)
      yield* bench.store.record(idOf(`waiting-${numbered(7)}`), factsOf(incarnation).cancelRequested, all)
      yield* passed(place, "abandonedAfter", 0.8)
      yield* equal(yield* kindsOf(bench), { waiting: 1 }, "what is there long after it")
      for (const kind of Object.keys(unfinished)) yield* isGone(bench, `${kind}-${numbered(8)}`)
      const { ids } = yield* bench.claim({ limit: 1 })
      yield* equal(ids, [`waiting-${numbered(7)}`], "what is claimed, though others were due before it")
    }),

  "a run that is held is not forgotten, however long": (place) =>
    Effect.gen(function* () {
      const { begin, recordOf, store } = yield* place.open
      const long = Duration.times(place.abandonedAfter, 3)
      const { facts, lease } = yield* begin("r-1", "a", long)
      const ended = yield* begin("r-2", "a", long)
      yield* store.commit(ended.lease, { seen: 0, facts: [ended.facts.ended("completed")] })
      yield* passed(place, "abandonedAfter", 2)
      yield* equal((yield* store.list({ limit: 10 })).items.length, 2, "what is there")
      yield* store.commit(lease, { seen: 0, facts: [facts.requested(0)] })
      yield* store.release(lease, leave)
      yield* passed(place, "abandonedAfter", 0.5)
      yield* equal((yield* recordOf("r-1")).journal.length, 1, "it stays for its time from then on")
    }),

  "a run that is due later counts from then": (place) =>
    Effect.gen(function* () {
      const bench = yield* place.open
      yield* bench.store.create(newRun("r-1"), { due: Duration.times(place.abandonedAfter, 2) })
      yield* passed(place, "abandonedAfter", 2.5)
      yield* equal((yield* bench.pages({ limit: 10 })).flat(), ["r-1"], "it is there when it is due")
      yield* passed(place, "abandonedAfter", 0.7)
      yield* equal((yield* bench.pages({ limit: 10 })).flat(), [], "it is gone after its time")
      yield* isGone(bench, "r-1")
    }),

  "a run whose time is over is no more, and its id is free for a new one": (place) =>
    Effect.gen(function* () {
      const bench = yield* place.open
      const { recordOf, store } = bench
      const input = { text: "old", until: "ended" } as const
      const { record: before } = yield* store.create(newRun("r-1", { labels: { a: "b" }, agentVersion: "1" }), {
        input
      })
      const old = factsOf(before.incarnation)
      yield* written(bench, "r-1", (of) => [of.accepted(0, "r-1-1"), of.cancelSent("r-1-1"), of.ended("failed")])
      yield* passed(place, "retention", 1.2)
      yield* refused(store.record(idOf("r-1"), old.delivered, 0), "Gone", "a fact of it")
      const decide = store.conclude(idOf("r-1"), { seen: all, facts: [old.delivered], due: Duration.infinity })
      yield* refused(decide, "Gone", "a decision for it")
      const { created, record } = yield* store.create(newRun("r-1", { digest: "d-2" }))
      yield* equal(created, true, "a new run of its name is created")
      yield* above(record.incarnation, before.incarnation, "its incarnation is a later one")
      const expected = { journal: [], digest: "d-2", labels: undefined, agentVersion: undefined, input: undefined }
      const { agentVersion, digest, input: kept, journal, labels } = yield* recordOf("r-1")
      yield* equal({ agentVersion, digest, input: kept, journal, labels }, expected, "nothing is left of the other")
      yield* equal(yield* store.read({ responseId: "r-1-1" }), Option.none(), "nor its response")
      yield* refused(store.record(idOf("r-1"), old.delivered, 0), "Gone", "a fact of the one before")
    })
} satisfies Record<string, Law>

export const retentionOfPlaces = {
  "a run that takes the place of one whose time is over is itself after closing and opening again": (place) =>
    Effect.gen(function* () {
      const begun = yield* Effect.scoped(
        Effect.gen(function* () {
          const bench = yield* place.open
          yield* bench.store.create(newRun("r-1", { labels: { a: "b" } }))
          yield* written(bench, "r-1", (of) => [of.cancelRequested, of.ended("failed")])
          yield* bench.store.create(newRun("r-2"))
          yield* written(bench, "r-2", (of) => [of.ended("failed")])
          yield* passed(place, "retention", 1.2)
          const { record } = yield* bench.store.create(newRun("r-1", { digest: "d-2" }))
          yield* written(bench, "r-1", (of) => [of.requested(1)])
          return record.incarnation
        })
      )
      const bench = yield* place.open
      const { digest, incarnation, journal, labels } = yield* bench.recordOf("r-1")
      const tags = journal.map(({ _tag }) => _tag)
      const expected = { digest: "d-2", incarnation: begun, labels: undefined, tags: ["Requested"] }
      yield* equal({ digest, incarnation, labels, tags }, expected, "the run")
      yield* isGone(bench, "r-2")
    })
} satisfies Record<string, Law>
