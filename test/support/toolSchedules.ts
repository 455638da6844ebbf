// Schedules of facts about tool calls that broke simpler designs, played against the engine.
import { Agent, TokenStore, ToolCall } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Schedule, Stream } from "effect"
import { recordOf, stateOf } from "./runs.ts"
import { changing } from "./stores.ts"
import { elapse, passing } from "./time.ts"
import { type Case, input, oneCall, untilStarted } from "./toolCases.ts"
import { analyst, analystWith, Handled, told, world } from "./tools.ts"

const endsOf = (runId: string) =>
  Effect.map(recordOf(runId), ({ journal }) =>
    journal.flatMap((fact) => (fact._tag === "ToolEnded" ? [fact.result] : []))
  )

/** Registers these schedules for each case. */
export const toolSchedules = (cases: ReadonlyArray<Case>): void =>
  describe.each(cases)("$way, over the $name store", ({ layer, model }) => {
    it.effect("X9: an approval that comes while the holder leaves makes the run due", () =>
      Effect.gen(function* () {
        yield* passing(Stream.runDrain(Agent.stream(analyst, input)))
        assert.isNotNull((yield* recordOf("r")).due)
        yield* passing(Stream.runDrain(Agent.resume(analyst, { runId: "r" })))
        assert.strictEqual((yield* stateOf("r")).ended?.status, "completed")
        assert.lengthOf((yield* Handled).started, 1)
      }).pipe(
        Effect.provide(
          world(
            changing(layer, (inner) => ({
              release: (lease, options) =>
                Effect.andThen(
                  Effect.flatMap(inner.read(lease.runId), (read) => {
                    const asked =
                      read._tag === "Some" ? read.value.journal.find(({ _tag }) => _tag === "ApprovalAsked") : undefined
                    const isDecided = read._tag === "Some" && read.value.journal.some(({ _tag }) => _tag === "Approved")
                    return asked === undefined || isDecided
                      ? Effect.void
                      : Effect.ignore(
                          inner.record(
                            lease.runId,
                            {
                              _tag: "Approved",
                              incarnation: asked.incarnation,
                              by: "outside",
                              turn: 0,
                              callId: "call_1"
                            },
                            0
                          )
                        )
                  }),
                  inner.release(lease, options)
                )
            })),
            oneCall("order"),
            { model }
          )
        )
      )
    )

    it.effect("X11: a call whose handler answers later does not run again", () =>
      Effect.gen(function* () {
        for (let time = 0; time < 3; time++) {
          const verb = time === 0 ? Agent.stream(analyst, input) : Agent.resume(analyst, { runId: "r" })
          const updates = yield* passing(Stream.runCollect(verb))
          assert.strictEqual(updates.at(-1)?.waitingFor, "deferred")
        }
        assert.lengthOf((yield* Handled).started, 1)
        yield* Agent.completeTool(analyst, { runId: "r", callId: "call_1", tool: "sales", result: { sold: 7 } })
        const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
        assert.deepStrictEqual(told(rest), ['result call_1 {"sold":7}', "finish completed"])
        assert.lengthOf((yield* Handled).started, 1)
      }).pipe(Effect.provide(world(layer, oneCall("sales"), { model, answer: () => ToolCall.later() })))
    )

    it.effect(
      "X12: of two results of one call, that of a stolen run's old handler among them, the first counts",
      () => {
        const gates = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()] as const
        return Effect.gen(function* () {
          const old = yield* Effect.forkChild(Effect.exit(Stream.runDrain(Agent.stream(analyst, input))))
          yield* untilStarted(1)
          const thief = yield* Effect.forkChild(
            Effect.exit(Stream.runCollect(Agent.resume(analyst, { runId: "r", ifLeased: "steal" })))
          )
          yield* untilStarted(2)
          yield* Deferred.succeed(gates[0], undefined)
          yield* passing(
            Effect.repeat(endsOf("r"), {
              schedule: Schedule.spaced("50 millis"),
              until: (ends) => ends.length > 0,
              times: 200
            })
          )
          yield* Deferred.succeed(gates[1], undefined)
          const exit = yield* passing(Fiber.join(thief))
          yield* passing(Fiber.join(old))
          assert.deepStrictEqual(yield* endsOf("r"), [{ sold: 1 }])
          assert.isTrue(Exit.isSuccess(exit) && told(exit.value).includes('result call_1 {"sold":1}'))
          const { ledger } = yield* ScriptedModel.ScriptedModel
          const results = (yield* ledger).flatMap(({ request }) =>
            (request?.prompt.content ?? []).flatMap((message) =>
              message.role === "tool"
                ? message.content.flatMap((part) => (part.type === "tool-result" ? [part.result] : []))
                : []
            )
          )
          assert.deepStrictEqual(results, [{ sold: 1 }])
        }).pipe(
          Effect.provide(
            world(layer, oneCall("sales"), {
              model,
              // A handler that cannot be interrupted goes on after its process lost the run.
              answer: ({ attempt }) =>
                Effect.uninterruptible(Effect.as(Deferred.await(gates[attempt === 1 ? 0 : 1]), { sold: attempt }))
            })
          )
        )
      }
    )

    it.effect("X13: a decision does not change while the call runs", () => {
      let reject: Effect.Effect<void> = Effect.void
      return Effect.gen(function* () {
        const store = yield* TokenStore.TokenStore
        yield* passing(Stream.runDrain(Agent.stream(analyst, input)))
        const { incarnation, runId } = yield* recordOf("r")
        yield* Agent.approve(analyst, { runId: "r", callId: "call_1" })
        reject = Effect.asVoid(
          Effect.orDie(
            store.record(
              runId,
              { _tag: "Rejected", incarnation, by: "outside", turn: 0, callId: "call_1", reason: "no" },
              0
            )
          )
        )
        const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
        assert.deepStrictEqual(told(rest), ['result call_1 {"sold":3}', "finish completed"])
      }).pipe(
        Effect.provide(
          world(layer, oneCall("order"), {
            model,
            answer: () =>
              Effect.as(
                Effect.suspend(() => reject),
                { sold: 3 }
              )
          })
        )
      )
    })

    it.effect.each([-1, 0, 1])("an approval at the moment of its expiry (%d ms) is one decision for ever", (apart) => {
      const timed = analystWith({ tools: { order: { approvalTime: "1 hour" } } })
      return Effect.gen(function* () {
        yield* passing(Stream.runDrain(Agent.stream(timed, input)))
        const until = (yield* stateOf("r")).turns[0]!.calls[0]!.asked!.until!
        const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        yield* elapse(until - now + apart, Duration.toMillis("10 minutes"))
        const approved = yield* Effect.forkChild(Effect.exit(Agent.approve(timed, { runId: "r", callId: "call_1" })))
        const read = yield* Effect.forkChild(Stream.runCollect(Agent.resume(timed, { runId: "r" })))
        const updates = yield* passing(Fiber.join(read))
        const exit = yield* passing(Fiber.join(approved))
        const { decision } = (yield* stateOf("r")).turns[0]!.calls[0]!
        assert.strictEqual(Exit.isSuccess(exit), decision?._tag === "Approved")
        assert.strictEqual(told(updates)[0]?.startsWith("result"), decision?._tag === "Approved")
        assert.strictEqual(updates.at(-1)?.status, "completed")
      }).pipe(Effect.provide(world(layer, oneCall("order"), { model, agent: timed })))
    })
  })
