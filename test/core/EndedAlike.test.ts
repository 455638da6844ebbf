// Guarantees 1 and 10 for runs that do not end well: a stream and a poll tell them alike, and every cut of them too.
import { Agent, type AgentError, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { analyst, plain, type Services, stateOf, type Updates } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { call, close, completed, failed, pause, says, showing, text } = ScriptedModel

const cancelled: ScriptedModel.End = { _tag: "End", status: "cancelled", reason: "other" }
const ends = { failed: failed("out of order"), cancelled }
const names = ["failed", "cancelled"] as const
const reasons = { failed: "RunFailed", cancelled: "RunCancelled" }

const thinking = (delta: string) => says({ _tag: "Delta", index: 3, lane: 0, kind: "reasoning", delta })
const cited = says({
  _tag: "PartAdded",
  index: 0,
  lane: {
    lane: 1,
    kind: "sources",
    sources: [{ type: "source", sourceType: "url", url: "https://a.test", title: "A" }]
  }
})
/** Some of it finished, some of it open, when it ends. */
const steps = [
  thinking("hm"),
  text("a", 0),
  text(["b", "c"], 1),
  cited,
  close(0),
  call("look", { at: "it" }),
  pause("300 millis"),
  thinking("m"),
  text(["d", "e"], 1)
]

const over = (script: ReadonlyArray<ScriptedModel.Step>, options: ScriptedModel.Options = {}) =>
  Layer.merge(ScriptedModel.layer(script, options), TokenStore.layerMemory)

interface Told {
  readonly updates: ReadonlyArray<AgentUpdate.AgentUpdate>
  readonly failure: AgentError.AgentError | undefined
}

/** Everything that a stream tells, and why it failed. */
const told = (stream: Updates): Effect.Effect<Told, never, Services> =>
  Effect.suspend(() => {
    const updates: Array<AgentUpdate.AgentUpdate> = []
    return Effect.match(passing(Stream.runForEach(stream, (update) => Effect.sync(() => void updates.push(update)))), {
      onFailure: (failure): Told => ({ updates, failure }),
      onSuccess: (): Told => ({ updates, failure: undefined })
    })
  })

const streamed = (runId: string) => told(Agent.stream(analyst, { input: "Hello", runId }))

/** The parts, deltas of one part joined, those of one item in their order. */
const partsOf = (updates: ReadonlyArray<AgentUpdate.AgentUpdate>) => {
  const parts = new Map<string, ReadonlyArray<unknown>>()
  for (const { part } of updates) {
    if (part === undefined) continue
    const id = "id" in part ? String(part.id) : part.type
    const known = parts.get(id) ?? []
    const last = known.at(-1)
    const isMore = (part.type === "text-delta" || part.type === "reasoning-delta") && typeof last === "string"
    const said = part.type === "text-delta" || part.type === "reasoning-delta" ? part.delta : part
    parts.set(id, isMore ? [...known.slice(0, -1), `${last}${String(said)}`] : [...known, said])
  }
  return Object.fromEntries([...parts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

describe.each(names)("a run that %s", (name) => {
  const end = ends[name]
  const script = [...steps, end]

  const isRight = ({ failure, updates }: Told) => {
    assert.strictEqual(failure?.reason._tag, reasons[name])
    const last = updates.at(-1)
    assert.strictEqual(last?.part?.type, "finish")
    assert.strictEqual(last?.status, name)
    assert.isTrue(last !== undefined && Option.isNone(last.continuationToken))
    assert.isFalse(updates.some(({ part }) => part?.type === "error"))
  }

  it.effect("C8: is told in the same parts by a stream and by a poll, its finish included", () =>
    Effect.gen(function* () {
      const stream = yield* streamed("r").pipe(Effect.provide(over(script)))
      const poll = yield* Effect.gen(function* () {
        yield* Agent.start(analyst, { input: "Hello", runId: "r" })
        return yield* told(Agent.resume(analyst, { runId: "r" }))
      }).pipe(Effect.provide(over(script, { capabilities: { resume: false } })))
      for (const each of [stream, poll]) isRight(each)
      assert.isTrue(poll.updates.every(({ origin }) => origin === "snapshot"))
      assert.deepStrictEqual(partsOf(poll.updates), partsOf(stream.updates))
      assert.deepStrictEqual(poll.failure?.reason, stream.failure?.reason)
    })
  )

  it.effect("C8: is the same, cut anywhere and replayed", () =>
    Effect.gen(function* () {
      const whole = yield* streamed("whole")
      for (let k = 1; k < whole.updates.length; k++) {
        const runId = `cut-${k}`
        const head = yield* told(Stream.take(Agent.stream(analyst, { input: "Hello", runId }), k))
        const tail = yield* told(Agent.resume(analyst, { runId }))
        assert.deepStrictEqual(plain([...head.updates, ...tail.updates]), plain(whole.updates), `cut at ${k}`)
        assert.deepStrictEqual(tail.failure?.reason, whole.failure?.reason)
        assert.strictEqual((yield* stateOf(runId)).ended?.status, name)
      }
    }).pipe(Effect.provide(over(script)))
  )

  /** Cuts the run after each of its updates, and polls what is left of one that looks show like this. */
  const cutAndPolled = (
    shown: ReadonlyArray<ScriptedModel.Step>,
    check: (read: ReadonlyArray<AgentUpdate.AgentUpdate>, tail: Told, whole: Told, at: string) => void
  ) =>
    Effect.gen(function* () {
      const whole = yield* streamed("whole").pipe(Effect.provide(over(script)))
      yield* Effect.gen(function* () {
        for (let k = 1; k < whole.updates.length; k++) {
          const runId = `cut-${k}`
          const head = yield* told(Stream.take(Agent.stream(analyst, { input: "Hello", runId }), k))
          yield* elapse(1000)
          const tail = yield* told(Agent.resume(analyst, { runId }))
          isRight(tail)
          check([...head.updates, ...tail.updates], tail, whole, `cut at ${k}`)
        }
      }).pipe(Effect.provide(over(shown, { replayFor: 0 })))
    })

  it.effect("C8: is the same part for part, cut anywhere and polled", () =>
    cutAndPolled(script, (read, tail, whole, at) => {
      assert.deepStrictEqual(partsOf(read), partsOf(whole.updates), at)
      assert.deepStrictEqual(tail.failure?.reason, whole.failure?.reason)
    })
  )

  it.effect("C8: and shows none of its output in the end: what was begun is ended, at every cut", () =>
    cutAndPolled([...steps, showing(end, { event: [], retrieve: [] })], (read, _tail, _whole, at) => {
      const types = (wanted: string) =>
        read.flatMap(({ part }) => (part?.type.endsWith(wanted) === true && "id" in part ? [part.id] : [])).toSorted()
      assert.deepStrictEqual(types("-end"), types("-start"), at)
    })
  )
})

describe("an end that fails a stream", () => {
  it.effect("E8: is recorded before it is told", () =>
    Effect.gen(function* () {
      let recorded: string | undefined
      const stream = Agent.stream(analyst, { input: "Hello", runId: "r" }).pipe(
        // The run is not left yet.
        Stream.tapError(() => Effect.map(stateOf("r"), (state) => void (recorded = state.ended?.status)))
      )
      assert.strictEqual((yield* told(stream)).failure?.reason._tag, "RunFailed")
      assert.strictEqual(recorded, "failed")
    }).pipe(Effect.provide(over([...steps, ends.failed])))
  )
})

describe("any end", () => {
  const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
  const Piece = Schema.Struct({
    item: Small,
    words: Schema.Array(Schema.Literals(["a", "bc", "\ud83d", "\ude80"])),
    closes: Schema.Boolean
  })
  const End = Schema.Literals(["failed", "cancelled", "completed"])

  law(
    "C8: is told alike by a replay and by a poll, for random runs and cuts",
    [
      Schema.Array(Piece).check(Schema.isMaxLength(12)),
      End,
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
    ],
    ([pieces, name, cut]) => {
      const closed = new Set<number>()
      const script = pieces.flatMap(({ closes, item, words }) => {
        if (closed.has(item)) return []
        if (closes) closed.add(item)
        return [...(words.length === 0 ? [] : [text([...words], item)]), ...(closes ? [close(item)] : [])]
      })
      const all = [...script, name === "completed" ? completed : ends[name]]
      return Effect.gen(function* () {
        const whole = yield* streamed("whole").pipe(Effect.provide(over(all)))
        for (const options of [{}, { replayFor: 0 }]) {
          const read = yield* Effect.gen(function* () {
            const head = yield* told(Stream.take(Agent.stream(analyst, { input: "Hello", runId: "r" }), cut))
            yield* elapse(1000)
            const tail = cut <= whole.updates.length ? yield* told(Agent.resume(analyst, { runId: "r" })) : head
            assert.deepStrictEqual(tail.failure?.reason, whole.failure?.reason)
            return cut <= whole.updates.length ? [...head.updates, ...tail.updates] : head.updates
          }).pipe(Effect.provide(over(all, options)))
          assert.deepStrictEqual(partsOf(read), partsOf(whole.updates))
        }
      })
    },
    { arbitrary: { runs: 150 } }
  )
})
