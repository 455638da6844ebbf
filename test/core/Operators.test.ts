import { Agent, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Schedule, Sink, Stream } from "effect"
import {
  analyst,
  claimOf,
  counter,
  halting,
  type Services,
  uninterrupted,
  type Update,
  type Updates
} from "../support/runs.ts"
import { Recorder, recording } from "../support/stores.ts"
import { passing } from "../support/time.ts"

type Work = (update: Update) => Effect.Effect<void>
/** `skip` says that an update was left out. */
type Consumer = (updates: Updates, work: Work, skip: () => void) => Effect.Effect<unknown, unknown, Services>

/** The operator, with the work done behind it. */
const before =
  (operator: (updates: Updates) => Stream.Stream<Update, unknown, Services>): Consumer =>
  (updates, work) =>
    Stream.runForEach(operator(updates), work)
/** The operator, with the work done behind it on all that it passes on together. */
const together =
  (operator: (updates: Updates) => Stream.Stream<ReadonlyArray<Update>, unknown, Services>): Consumer =>
  (updates, work) =>
    Stream.runForEach(operator(updates), (group) => Effect.forEach(group, work))
/** The work is done in the operator. */
const inside =
  (operator: (updates: Updates, work: Work) => Stream.Stream<unknown, unknown, Services>): Consumer =>
  (updates, work) =>
    Stream.runDrain(operator(updates, work))

/** What acknowledges an update only after the work on it: these may stand between a run and its consumer. */
const safe: Record<string, Consumer> = {
  "catchReason, catchTag": before(Stream.catchReason("AgentError", "RunCancelled", () => Stream.empty)),
  changes: before(Stream.changes),
  chunks: together(Stream.chunks),
  concat: before(Stream.concat(Stream.empty)),
  "drop, dropWhile": (updates, work, skip) => {
    skip()
    return Stream.runForEach(Stream.drop(updates, 1), work)
  },
  "ensuring, onExit": before(Stream.ensuring(Effect.void)),
  "filter, filterEffect": (updates, work, skip) =>
    Stream.runForEach(
      Stream.filter(updates, (update) => {
        if (update.text === "") skip()
        return update.text !== ""
      }),
      work
    ),
  flatMap: inside((updates, work) => Stream.flatMap(updates, (update) => Stream.fromEffect(work(update)))),
  "haltWhen, with what never comes": before(Stream.haltWhen(Effect.never)),
  interleave: before(Stream.interleave(Stream.empty)),
  "map, as": before(Stream.map((update) => update)),
  "mapAccum, scan": inside((updates, work) =>
    Stream.scanEffect(
      updates,
      () => 0,
      (n, update) => Effect.as(work(update), n + 1)
    )
  ),
  mapEffect: inside((updates, work) => Stream.mapEffect(updates, work)),
  "orElseIfEmpty, onStart, onEnd": before(Stream.onStart(Effect.void)),
  retry: before(Stream.retry(Schedule.recurs(1))),
  run: (updates, work) => Stream.run(updates, Sink.forEach(work)),
  "runFold, runFoldEffect": (updates, work) =>
    Stream.runFoldEffect(
      updates,
      () => 0,
      (n, update) => Effect.as(work(update), n + 1)
    ),
  "runForEach, runForEachWhile": (updates, work) =>
    Stream.runForEachWhile(updates, (update) => Effect.as(work(update), true)),
  runForEachArray: (updates, work) => Stream.runForEachArray(updates, (some) => Effect.forEach(some, work)),
  "take, takeUntil, takeWhile": before(Stream.take(6)),
  tap: inside((updates, work) => Stream.tap(updates, work)),
  throttle: before(Stream.throttle({ cost: () => 1, units: 1, duration: "100 millis" })),
  toPull: (updates, work) =>
    Effect.scoped(
      Effect.flatMap(Stream.toPull(updates), (pull) => Effect.forever(Effect.flatMap(pull, Effect.forEach(work))))
    ),
  withSpan: before(Stream.withSpan("reading")),
  zip: (updates, work) =>
    Stream.runForEach(
      Stream.zip(
        updates,
        Stream.iterate(0, (n) => n + 1)
      ),
      ([update]) => work(update)
    ),
  "zipWithIndex, zipWithPrevious": (updates, work) =>
    Stream.runForEach(Stream.zipWithPrevious(updates), ([, update]) => work(update))
}

/** What pulls the next update before the work on the last one is done: these need `acknowledge: "manual"`. */
const ahead: Record<string, Consumer> = {
  "aggregate, aggregateWithin": together(Stream.aggregate(Sink.take<Update>(2))),
  "broadcast, share": (updates, work) =>
    Effect.scoped(Effect.flatMap(Stream.share(updates, { capacity: 4 }), (shared) => Stream.runForEach(shared, work))),
  buffer: before(Stream.buffer({ capacity: 4 })),
  debounce: before(Stream.debounce("10 millis")),
  "flatMap with concurrency": inside((updates, work) =>
    Stream.flatMap(updates, (update) => Stream.fromEffect(work(update)), { concurrency: 2 })
  ),
  grouped: together(Stream.grouped(2)),
  groupedWithin: together(Stream.groupedWithin(2, "100 millis")),
  "mapEffect with concurrency": inside((updates, work) => Stream.mapEffect(updates, work, { concurrency: 2 })),
  merge: before(Stream.merge(Stream.empty)),
  rechunk: before(Stream.rechunk(2)),
  sliding: together(Stream.sliding(2)),
  switchMap: inside((updates, work) => Stream.switchMap(updates, (update) => Stream.fromEffect(work(update)))),
  timeout: before(Stream.timeout("1 minute")),
  toReadableStream: (updates, work) =>
    Effect.flatMap(Stream.toReadableStreamEffect(updates), (readable) =>
      Stream.runForEach(Stream.fromReadableStream({ evaluate: () => readable, onError: (error) => error }), work)
    ),
  zipWithNext: (updates, work) => Stream.runForEach(Stream.zipWithNext(updates), ([update]) => work(update))
}

const runsAhead = (consumer: Consumer) =>
  Effect.gen(function* () {
    const countOf = counter(yield* uninterrupted("whole"))
    const recorder = yield* Recorder
    let finished = 0
    let most = 0
    recorder.onCommit = (commit) => {
      const claim = claimOf(commit)
      if (claim !== undefined) most = Math.max(most, countOf(claim) - finished)
    }
    const work: Work = () =>
      Effect.andThen(
        Effect.sleep("700 millis"),
        Effect.sync(() => void finished++)
      )
    yield* passing(
      Effect.exit(consumer(Agent.stream(analyst, { input: "Hello", runId: "r" }), work, () => void finished++))
    )
    return { ahead: most, finished }
  }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), recording(TokenStore.layerMemory))))

describe("operators between a run and its consumer", () => {
  for (const [name, consumer] of Object.entries(safe)) {
    it.effect(`${name}: an update is acknowledged after the work on it`, () =>
      Effect.gen(function* () {
        const seen = yield* runsAhead(consumer)
        assert.isAbove(seen.finished, 4)
        assert.strictEqual(seen.ahead, 0)
      })
    )
  }
  for (const [name, consumer] of Object.entries(ahead)) {
    it.effect(`${name}: an update is acknowledged before the work on it`, () =>
      Effect.gen(function* () {
        const seen = yield* runsAhead(consumer)
        assert.isAbove(seen.ahead, 0)
      })
    )
  }

  it.effect("the documentation lists them", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const page = yield* fs.readFileString(new URL("../../docs/operators.md", import.meta.url).pathname)
      const [exact = "", ahead_ = ""] = page.split("## These pull ahead")
      const named = (consumers: Record<string, Consumer>) =>
        Object.keys(consumers).flatMap((names) => names.replace(/,? with .*/, "").split(", "))
      for (const name of named(safe)) assert.include(exact, `\`${name}\``)
      for (const name of named(ahead)) assert.include(ahead_, `\`${name}\``)
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
