// The order of what happens to a call and of what the store knows of it.
import {
  Agent,
  type AgentUpdate,
  Run,
  RunPolicy,
  type RunRecord,
  TokenStore,
  TokenStoreError,
  ToolCall,
  UpdateLog
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { recordOf, stateOf } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"
import { errorOf, input, oneCall, untilStarted } from "../support/toolCases.ts"
import { analyst, analystWith, Handled, told, turns, world } from "../support/tools.ts"

const { call, completed, text } = ScriptedModel
const memory = TokenStore.layerMemory

type Inner = TokenStore.TokenStore["Service"]

const has = (facts: ReadonlyArray<{ readonly _tag: string }> | undefined, tag: RunRecord.Fact["_tag"]) =>
  facts?.some(({ _tag }) => _tag === tag) === true

/** A store that takes a second for whatever concerns calls. */
const slow = changing(memory, (inner) => ({
  commit: (lease, commit) =>
    has(commit.facts, "ToolStarted")
      ? Effect.andThen(Effect.sleep("1 second"), inner.commit(lease, commit))
      : inner.commit(lease, commit),
  record: (id, fact, seen) =>
    has([fact], "ToolEnded")
      ? Effect.andThen(Effect.sleep("1 second"), inner.record(id, fact, seen))
      : inner.record(id, fact, seen)
}))

describe("what a handler does, and what is told of it", () => {
  it.effect("comes after the record of it", () => {
    let read: Effect.Effect<RunRecord.RunRecord> = Effect.never
    const journals: Array<readonly [string, RunRecord.RunRecord["journal"]]> = []
    const look = (of: string) =>
      Effect.flatMap(
        Effect.suspend(() => read),
        ({ journal }) => Effect.sync(() => void journals.push([of, journal]))
      )
    return Effect.gen(function* () {
      read = Effect.provideService(recordOf("r"), TokenStore.TokenStore, yield* TokenStore.TokenStore)
      yield* passing(
        Stream.runForEach(Agent.stream(analyst, input), ({ part }) =>
          part?.type === "tool-result" ? look("result") : Effect.void
        )
      )
      assert.deepStrictEqual(
        journals.map(([of, journal]) => [of, has(journal, "ToolStarted"), has(journal, "ToolEnded")]),
        [
          ["handler", true, false],
          ["result", true, true]
        ]
      )
    }).pipe(Effect.provide(world(slow, oneCall(), { answer: () => Effect.as(look("handler"), { sold: 3 }) })))
  })

  /** A store in which something about a call comes right after its start is recorded, and before the answer is there. */
  const beside = (what: (of: { readonly incarnation: number; readonly by: string }) => RunRecord.NewFact) =>
    changing(memory, (inner: Inner) => ({
      commit: (lease, commit) => {
        const start = commit.facts?.find(({ _tag }) => _tag === "ToolStarted")
        if (start === undefined) return inner.commit(lease, commit)
        const { incarnation } = start
        return Effect.tap(inner.commit(lease, commit), () =>
          // The lease is renewed meanwhile.
          Effect.andThen(
            Effect.ignore(inner.record(lease.runId, what({ incarnation, by: "outside" }), 0)),
            Effect.sleep("15 seconds")
          )
        )
      }
    }))
  const ofCall = { turn: 0, callId: "call_1" } as const

  it.effect("does not begin if a cancel came with the answer to its start", () =>
    Effect.gen(function* () {
      const { reason } = yield* errorOf(Stream.runDrain(Agent.stream(analyst, input)))
      assert.strictEqual(reason._tag, "RunCancelled")
      assert.lengthOf((yield* Handled).started, 0)
    }).pipe(
      Effect.provide(
        world(
          beside((of) => ({ _tag: "CancelRequested", ...of })),
          oneCall()
        )
      )
    )
  )

  it.effect("does not begin if a result came with the answer to its start", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      assert.include(told(updates), 'result call_1 {"sold":9}')
      assert.lengthOf((yield* Handled).started, 0)
    }).pipe(
      Effect.provide(
        world(
          beside((of) => ({ _tag: "ToolEnded", ...of, ...ofCall, result: { sold: 9 }, isFailure: false })),
          oneCall()
        )
      )
    )
  )

  it.effect("X11: does not begin if a deferral came with the answer to its start", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      assert.strictEqual(updates.at(-1)?.waitingFor, "deferred")
      assert.lengthOf((yield* Handled).started, 0)
    }).pipe(
      Effect.provide(
        world(
          beside((of) => ({ _tag: "ToolDeferred", ...of, ...ofCall })),
          oneCall()
        )
      )
    )
  )

  it.effect.each(["takes updates", "has a result in hand"])(
    "ends if its process lost the run, and if its result comes later: the consumer %s",
    (consumer) => {
      const interrupted: Array<number> = []
      const holds = consumer !== "takes updates"
      return Effect.gen(function* () {
        const old = yield* Effect.forkChild(
          Effect.exit(
            Stream.runForEach(Agent.stream(analyst, input), ({ part }) =>
              holds && part?.type === "tool-result" ? Effect.never : Effect.void
            )
          )
        )
        yield* untilStarted(holds ? 2 : 1)
        yield* elapse(1000)
        const thief = yield* passing(
          Effect.exit(Stream.runCollect(Agent.resume(analyst, { runId: "r", ifLeased: "steal" })))
        )
        assert.isTrue(Exit.isSuccess(thief) && thief.value.at(-1)?.waitingFor === "deferred")
        // The old holder learns that it lost the run when it renews its lease.
        yield* elapse(15_000)
        const soon = [...interrupted]
        yield* passing(Fiber.interrupt(old))
        assert.sameMembers(soon, [1, 2], "that of the old holder, and that which answers later")
      }).pipe(
        Effect.provide(
          world(
            memory,
            turns(
              [...(holds ? [call("sales", { month: "1" })] : []), call("sales", { month: "2" }), completed],
              [text("never"), completed]
            ),
            {
              answer: ({ attempt, month }) =>
                month === "1"
                  ? Effect.succeed({ sold: 3 })
                  : Effect.onInterrupt(attempt === 1 ? Effect.never : ToolCall.later(), () =>
                      Effect.sync(() => void interrupted.push(attempt))
                    )
            }
          )
        ),
        Effect.provide(RunPolicy.layer({ closeTimeout: "1 minute" }))
      )
    }
  )

  it.effect("is not done again if the store refuses its result: the stream fails", () => {
    let refused = 0
    const refusing = changing(memory, (inner) => ({
      record: (id, fact, seen) =>
        Effect.suspend(() => {
          if (fact._tag !== "ToolEnded") return inner.record(id, fact, seen)
          refused++
          return Effect.fail(
            new TokenStoreError.TokenStoreError({ operation: "record", kind: "denied", description: "read only" })
          )
        })
    }))
    return Effect.gen(function* () {
      const { reason } = yield* errorOf(Stream.runDrain(Agent.stream(analyst, input)))
      assert.strictEqual(reason._tag, "StoreFailed")
      assert.strictEqual(refused, 1)
      assert.lengthOf((yield* Handled).started, 1)
    }).pipe(Effect.provide(world(refusing, oneCall())))
  })

  it.effect("is a defect if its handler interrupts itself", () => {
    let count = 0
    return Effect.gen(function* () {
      const exit = yield* passing(Effect.exit(Stream.runDrain(Agent.stream(analyst, input))))
      assert.isTrue(Exit.isFailure(exit))
      assert.lengthOf((yield* Handled).started, 1)
      assert.strictEqual((yield* stateOf("r")).turns[0]?.calls[0]?.result?.ends, "defect")
    }).pipe(
      Effect.provide(
        world(memory, oneCall(), {
          answer: () => Effect.suspend(() => (++count < 5 ? Effect.interrupt : Effect.succeed({ sold: count })))
        })
      )
    )
  })

  it.effect("is done by as many handlers at once as the agent allows", () => {
    const limited = analystWith({ toolConcurrency: 2 })
    const calls = [1, 2, 3, 4, 5].map((month) => call("sales", { month: String(month) }))
    let running = 0
    let most = 0
    return Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(limited, input)))
      assert.strictEqual(most, 2)
      assert.isTrue(
        (yield* stateOf("r")).turns[0]!.calls.every(({ result }) => Option.isSome(Option.fromUndefinedOr(result)))
      )
    }).pipe(
      Effect.provide(
        world(memory, turns([...calls, completed], [text("done"), completed]), {
          agent: limited,
          answer: () =>
            Effect.acquireUseRelease(
              Effect.sync(() => (most = Math.max(most, ++running))),
              () => Effect.as(Effect.sleep("1 second"), { sold: 3 }),
              () => Effect.sync(() => void running--)
            )
        })
      )
    )
  })

  it.effect("is told by no preliminary result where a run has a log", () => {
    const toolkit = Toolkit.make(Tool.make("slow", { success: Schema.Finite }))
    const agent = Agent.make("slow", { background: true, toolkit })
    const handlers = toolkit.toLayer({
      slow: (_, { preliminary }) =>
        Effect.gen(function* () {
          for (let i = 1; i <= 5; i++) yield* Effect.andThen(preliminary(i), Effect.sleep("1 second"))
          return 41
        })
    })
    const offsetsIn = (updates: ReadonlyArray<AgentUpdate.AgentUpdate>) =>
      updates.map(({ continuationToken }) => Option.getOrThrow(continuationToken).offset)
    return Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(agent, input)))
      const results = updates.flatMap(({ part }) => (part?.type === "tool-result" ? [part.result] : []))
      assert.deepStrictEqual(results, [41])
      assert.deepStrictEqual(
        offsetsIn(updates),
        updates.map((_, i) => i + 1)
      )
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          ScriptedModel.layer(turns([call("slow", {}), completed], [text("done"), completed])),
          memory,
          UpdateLog.layerMemory,
          Agent.toLayer(agent, handlers)
        )
      )
    )
  })
})

describe("a run with a log that waits for approval", () => {
  it.effect("has not ended for its viewers", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Agent.stream(analyst, input)))
      const viewer = yield* Effect.forkChild(Stream.runCollect(Agent.watch(analyst, { runId: "r" })))
      yield* elapse(60_000)
      assert.isUndefined(viewer.pollUnsafe())
      const log = yield* UpdateLog.UpdateLog
      assert.isFalse((yield* log.read(Run.RunId.make("r"), { from: 0, limit: 1 })).ended)
      yield* Agent.approve(analyst, { runId: "r", callId: "call_1" })
      yield* passing(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
      assert.deepStrictEqual(told(yield* passing(Fiber.join(viewer))).slice(-2), [
        'result call_1 {"sold":3}',
        "finish completed"
      ])
    }).pipe(
      Effect.provide(
        Layer.merge(world(Layer.merge(memory, UpdateLog.layerMemory), oneCall("order")), UpdateLog.layerMemory)
      )
    )
  )
})
