// What the best-tested system of this kind tests of background responses, by the same names.
import { Agent, BackgroundModel, ContinuationToken, Session, TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema, Stream } from "effect"
import { analyst, count, plain, recordOf, textOf } from "../support/runs.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, failed, incomplete, pause, queued, text } = ScriptedModel
const over = (...steps: ReadonlyArray<ScriptedModel.Step>) =>
  Layer.merge(ScriptedModel.layer(steps), TokenStore.layerMemory)
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }

describe("polled", () => {
  it.effect("start in the background", () =>
    Effect.gen(function* () {
      const response = yield* Agent.start(analyst, input)
      assert.strictEqual(response.status, "queued")
      assert.strictEqual(response.text, "")
      assert.deepStrictEqual(response.content, [])
      assert.isTrue(Option.isSome(response.continuationToken))
    }).pipe(Effect.provide(over(queued, pause("1 second"), completed)))
  )

  const statuses: ReadonlyArray<readonly [string, boolean, ReadonlyArray<ScriptedModel.Step>]> = [
    ["queued", true, [queued, pause("1 hour"), completed]],
    ["in_progress", true, [text("a"), pause("1 hour"), completed]],
    ["completed", false, [text("a"), completed]],
    ["failed", false, [text("a"), failed("ill")]],
    ["incomplete", false, [text("a"), incomplete("content-filter")]]
  ]
  it.effect.each(statuses)("poll: %s", ([status, under, steps]) =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const response = yield* Agent.poll(analyst, ref)
      assert.strictEqual(response.status, status)
      assert.strictEqual(Option.isSome(response.continuationToken), under)
    }).pipe(Effect.provide(over(...steps)))
  )

  it.effect("poll: cancelled", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* Agent.cancel(analyst, ref)
      const response = yield* Agent.poll(analyst, ref)
      assert.strictEqual(response.status, "cancelled")
      assert.isTrue(Option.isNone(response.continuationToken))
    }).pipe(Effect.provide(over(pause("1 hour"), completed)))
  )

  it.effect("a result sends neither the input nor the session's history again; the session gets both, once", () =>
    Effect.gen(function* () {
      const session = Session.make({ previousResponseId: "resp_0" })
      yield* Agent.start(analyst, { ...input, session })
      const { session: after, text: read } = yield* passing(Agent.result(analyst, ref))
      assert.deepStrictEqual(yield* Agent.result(analyst, ref).pipe(Effect.map((again) => again.session)), after)
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const sent = (yield* ledger).flatMap(({ request }) => (request === undefined ? [] : [request]))
      assert.deepStrictEqual(
        sent.map(({ previousResponseId }) => previousResponseId),
        ["resp_0"]
      )
      assert.deepStrictEqual(after, { previousResponseId: "resp_1" })
      assert.strictEqual(read, "ab")
    }).pipe(Effect.provide(over(text("a"), pause("5 seconds"), text("b"), completed)))
  )

  it.effect("poll until the token is gone, by the token itself", () =>
    Effect.gen(function* () {
      let response = yield* Agent.start(analyst, input)
      let looks = 0
      while (Option.isSome(response.continuationToken)) {
        yield* elapse(5000, 1000)
        response = yield* Agent.poll(analyst, { continuationToken: response.continuationToken.value })
        looks++
      }
      assert.strictEqual(response.text, "ab")
      assert.strictEqual(looks, 3)
    }).pipe(Effect.provide(over(text("a"), pause("12 seconds"), text("b"), completed)))
  )
})

describe("streamed", () => {
  const eighteen = [...Array.from({ length: 13 }, (_, i) => text(String.fromCharCode(97 + i))), completed]

  it.effect("every update until the terminal one carries a token; the terminal one none", () =>
    Effect.gen(function* () {
      const updates = yield* passing(Stream.runCollect(Agent.stream(analyst, input)))
      assert.strictEqual(updates.length, 18)
      const [last, ...others] = updates.toReversed()
      assert.isTrue(Option.isNone(last!.continuationToken))
      assert.isTrue(others.every((update) => Option.isSome(update.continuationToken)))
    }).pipe(Effect.provide(over(...eighteen)))
  )

  it.effect("resume after update 9 of 18: exactly 10..17", () =>
    Effect.gen(function* () {
      const whole = yield* passing(Stream.runCollect(Agent.stream(analyst, { ...input, runId: "whole" })))
      const head = yield* passing(Stream.runCollect(Stream.take(Agent.stream(analyst, input), 10)))
      const token = Option.getOrThrow(head[9]!.continuationToken)
      const tail = yield* passing(Stream.runCollect(Agent.resume(analyst, { continuationToken: token })))
      assert.deepStrictEqual(
        tail.map((update) => update.sequenceNumber),
        [10, 11, 12, 13, 14, 15, 16, 17]
      )
      assert.deepStrictEqual(plain(tail), plain(whole.slice(10)))
    }).pipe(Effect.provide(over(...eighteen)))
  )

  it.effect("resume sends neither the input nor the session's history again; the session gets both, once", () =>
    Effect.gen(function* () {
      const session = Session.make({ previousResponseId: "resp_0" })
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { ...input, session }), 5)))
      yield* passing(Stream.runDrain(Agent.resume(analyst, ref)))
      const { ledger } = yield* ScriptedModel.ScriptedModel
      const sent = (yield* ledger).flatMap(({ request }) => (request === undefined ? [] : [request]))
      assert.strictEqual(sent.length, 1)
      assert.strictEqual(sent[0]?.previousResponseId, "resp_0")
      const { session: after, text: read } = yield* Agent.result(analyst, ref)
      assert.deepStrictEqual(after, { previousResponseId: "resp_1" })
      assert.strictEqual(read, "abcdefghijklm")
    }).pipe(Effect.provide(over(...eighteen)))
  )

  it.effect("resume with options omitted: background, session and version are the run's own", () =>
    Effect.gen(function* () {
      const foreground = Agent.make("analyst", { instructions: "Write reports.", background: false })
      const head = Stream.take(Agent.stream(foreground, { ...input, background: true }), 5)
      yield* passing(Stream.runDrain(head))
      const tail = yield* passing(Stream.runCollect(Agent.resume(foreground, ref)))
      assert.strictEqual(textOf(tail), "cdefghijklm")
      assert.isTrue(Option.isSome(tail[0]!.continuationToken))
    }).pipe(Effect.provide(over(...eighteen)))
  )
})

describe("tokens", () => {
  it.effect("round trip through bytes, string and JSON, and resume and poll from each", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 4)))
      const token = (yield* recordOf("r")).position
      const encoded = yield* ContinuationToken.encode(token)
      const json = Schema.toCodecJson(ContinuationToken.ContinuationToken)
      const parsed: unknown = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(json)(token)))
      for (const again of [
        new TextDecoder().decode(new TextEncoder().encode(encoded)),
        yield* Schema.decodeUnknownEffect(json)(parsed)
      ]) {
        const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, { continuationToken: again })))
        assert.strictEqual(textOf(rest), "b")
        assert.strictEqual((yield* Agent.poll(analyst, { continuationToken: again })).text, "ab")
      }
    }).pipe(Effect.provide(over(text("a"), text("b"), completed)))
  )
})

describe("a viewer", () => {
  it.effect("beside a worker sees the same run, and changes nothing of it", () =>
    Effect.gen(function* () {
      const [worker, early, late] = yield* passing(
        Effect.all(
          [
            Stream.runCollect(Agent.stream(analyst, input)),
            Effect.delay(Stream.runCollect(Agent.watch(analyst, ref)), "100 millis"),
            Effect.delay(Stream.runCollect(Agent.watch(analyst, ref)), "10 seconds")
          ],
          { concurrency: "unbounded" }
        ),
        100
      )
      assert.deepStrictEqual(plain(early), plain(worker))
      assert.deepStrictEqual(plain(late), plain(worker))
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over(text("a"), pause("5 seconds"), text("b"), completed)))
  )

  it.effect("of a run whose response is not opened yet waits for it", () =>
    Effect.gen(function* () {
      const model = yield* BackgroundModel.BackgroundModel
      const slow = {
        ...model,
        create: (request: BackgroundModel.ModelRequest) =>
          Stream.unwrap(
            Effect.delay(
              Effect.sync(() => model.create(request)),
              "7 seconds"
            )
          )
      }
      const [, watched] = yield* passing(
        Effect.all(
          [
            Stream.runDrain(Agent.stream(analyst, input)).pipe(
              Effect.provideService(BackgroundModel.BackgroundModel, slow)
            ),
            Effect.delay(Stream.runCollect(Agent.watch(analyst, ref)), "1 second")
          ],
          { concurrency: "unbounded" }
        ),
        100
      )
      assert.strictEqual(textOf(watched), "ab")
    }).pipe(Effect.provide(over(text("a"), text("b"), completed)))
  )
})
