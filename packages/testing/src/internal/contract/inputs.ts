import * as Effect from "effect/Effect"
import { all, type Bench, factsOf, idOf, lasting, type Law, leave, newRun } from "./bench.ts"
import { equal } from "./violation.ts"

const secret = `{"prompt":"é 日本語 \\"'\` \u2028 do not show this"}`

/** Acquires the run, and returns its input and what the record says about it. */
const told = ({ store }: Bench, id: string) =>
  Effect.gen(function* () {
    const { input, lease, record } = yield* store.acquire(idOf(id), { owner: "a", ttl: lasting, steal: true })
    return { lease, input, until: record.input }
  })

/** Records facts of a run one after the other, and checks after each whether the input is still kept. */
const keptThrough = (
  bench: Bench,
  id: string,
  until: "ended" | "accepted",
  facts: (of: ReturnType<typeof factsOf>) => ReadonlyArray<Parameters<Bench["store"]["record"]>[1]>,
  isKept: ReadonlyArray<boolean>
) =>
  Effect.gen(function* () {
    const { record } = yield* bench.store.create(newRun(id), { input: { text: secret, until } })
    for (const [i, fact] of facts(factsOf(record.incarnation)).entries()) {
      yield* bench.store.record(idOf(id), fact, all)
      const { input, until: flag } = yield* told(bench, id)
      const expected = isKept[i] === true ? { input: secret, flag: until } : { input: undefined, flag: undefined }
      yield* equal({ input, flag }, expected, `the input of ${id} after ${fact._tag}`)
    }
  })

export const inputs = {
  "an input comes back as it was, to whoever takes the run or claims it": (bench) =>
    Effect.gen(function* () {
      const { attempt, recordOf, store } = bench
      const { record } = yield* store.create(newRun("r-1"), { input: { text: secret, until: "ended" } })
      yield* equal(record.input, "ended", "the record says that there is one")
      const first = yield* told(bench, "r-1")
      yield* equal(first.input, secret, "for who acquires it")
      yield* equal((yield* recordOf("r-1")).input, "ended", "the record says that there is one still")
      yield* store.release(first.lease, leave)
      const claimed = yield* attempt("worker")
      yield* equal(claimed.input, secret, "for who claims it")
      yield* equal((yield* attempt("worker")).input, secret, "and claims it again")
      yield* store.create(newRun("r-2"))
      const none = yield* told(bench, "r-2")
      yield* equal(
        { input: none.input, until: none.until },
        { input: undefined, until: undefined },
        "a run without one"
      )
      yield* store.create(newRun("r-3"), { input: { text: "", until: "accepted" } })
      yield* equal((yield* told(bench, "r-3")).input, "", "an empty one is one")
    }),

  "an input may be megabytes": (bench) =>
    Effect.gen(function* () {
      const text = "日r👍".repeat(200_000)
      yield* bench.store.create(newRun("r-1"), { input: { text, until: "ended" } })
      // Compared before the check, because nobody can read a difference of megabytes.
      yield* equal((yield* told(bench, "r-1")).input === text, true, "it comes back as it was")
    }),

  "nobody else is shown an input": (bench) =>
    Effect.gen(function* () {
      const { begin, store } = bench
      const run = newRun("r-1", { labels: { team: "a" } })
      const answers: Array<unknown> = []
      const note = <A, E>(effect: Effect.Effect<A, E>) => Effect.map(effect, (answer) => void answers.push(answer))
      yield* note(store.create(run, { input: { text: secret, until: "ended" } }))
      yield* note(store.create(run, { input: { text: secret, until: "ended" } }))
      const { facts, lease } = yield* begin("r-1")
      yield* note(store.commit(lease, { seen: 0, facts: [facts.accepted(0, "resp_1")] }))
      yield* note(store.renew(lease, lasting, 0))
      yield* note(Effect.flip(store.acquire(idOf("r-1"), { owner: "other", ttl: lasting })))
      yield* note(store.record(idOf("r-1"), facts.cancelRequested, 0))
      yield* note(store.conclude(idOf("r-1"), { seen: 0, facts: [facts.ended("failed")], due: lasting }))
      yield* note(store.read(idOf("r-1")))
      yield* note(store.read({ responseId: "resp_1" }))
      for (const filter of [
        {},
        { agent: "analyst" },
        { labels: { team: "a" } },
        { status: ["in_progress"] as const }
      ]) {
        yield* note(store.list({ ...filter, limit: 10 }))
      }
      yield* note(store.count({}))
      yield* note(store.release(lease, leave))
      yield* note(store.read(idOf("r-1")))
      const isShown = answers.some((answer) => JSON.stringify(answer ?? null).includes("do not show this"))
      yield* equal(isShown, false, "its text is in no other answer")
      yield* equal((yield* told(bench, "r-1")).input, secret, "though it is kept")
    }),

  "an input that is kept to the end goes when the run ended well, and stays when it failed": (bench) =>
    Effect.gen(function* () {
      yield* keptThrough(
        bench,
        "completed",
        "ended",
        (of) => [of.requested(0), of.accepted(0, "r1"), of.responseEnded(0, "r1"), of.ended("completed")],
        [true, true, true, false]
      )
      yield* keptThrough(bench, "incomplete", "ended", (of) => [of.ended("incomplete")], [false])
      for (const status of ["failed", "cancelled", "expired"] as const) {
        yield* keptThrough(bench, status, "ended", (of) => [of.ended(status), of.delivered], [true, true])
      }
    }),

  "an input that is kept until a response is accepted goes with the first one": (bench) =>
    Effect.gen(function* () {
      yield* keptThrough(
        bench,
        "accepted",
        "accepted",
        (of) => [of.requested(0), of.refused(0), of.accepted(0, "r2", "2"), of.ended("failed")],
        [true, true, false, false]
      )
      yield* keptThrough(bench, "refused", "accepted", (of) => [of.refused(0), of.ended("failed")], [true, true])
      yield* keptThrough(bench, "over", "accepted", (of) => [of.ended("completed")], [false])
    }),

  "an input goes by whatever way its end comes": (bench) =>
    Effect.gen(function* () {
      const { store } = bench
      const input = { text: secret, until: "accepted" } as const
      const { record } = yield* store.create(newRun("committed"), { input })
      const { lease } = yield* told(bench, "committed")
      yield* store.commit(lease, { seen: 0, facts: [factsOf(record.incarnation).accepted(0, "r-1")] })
      yield* equal((yield* told(bench, "committed")).input, undefined, "with a commit")
      const second = yield* store.create(newRun("concluded"), { input: { ...input, until: "ended" } })
      const facts = [factsOf(second.record.incarnation).ended("completed")]
      yield* store.conclude(idOf("concluded"), { seen: 0, facts, due: lasting })
      yield* equal((yield* told(bench, "concluded")).input, undefined, "with a decision")
      const adopted = { _tag: "Accepted", by: "a", turn: 0, responseId: "r-2", streamed: true } as const
      const third = yield* store.create(newRun("adopted"), { input, facts: [adopted] })
      yield* equal(third.record.input, undefined, "with the facts that a run begins with")
      yield* equal((yield* told(bench, "adopted")).input, undefined, "so that it is never there")
    }),

  "an input is gone with its run": (bench) =>
    Effect.gen(function* () {
      const { store } = bench
      yield* store.create(newRun("r-1"), { input: { text: secret, until: "ended" } })
      yield* store.remove((yield* told(bench, "r-1")).lease)
      yield* store.create(newRun("r-1"))
      const { input, until } = yield* told(bench, "r-1")
      yield* equal({ input, until }, { input: undefined, until: undefined }, "a new run of its name has none")
    })
} satisfies Record<string, Law>
