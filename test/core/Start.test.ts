// Guarantee 7: starting is safe to repeat, and a request that could buy the work twice is never sent again.
import {
  Agent,
  type AgentError,
  BackgroundModel,
  RunPolicy,
  type RunRecord,
  TokenStore,
  type TokenStoreError
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger, References, Schedule, Stream } from "effect"
import { AiError } from "effect/ai"
import { analyst, count, recordOf, requests, type Services, stateOf, statusOf, textOf } from "../support/runs.ts"
import { changing, storeAway, stores } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { completed, disconnect, fail, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const script = [text("a"), text("b"), disconnect, text("c"), completed]

const over = (
  steps: ReadonlyArray<ScriptedModel.Step>,
  options?: ScriptedModel.Options,
  store: Layer.Layer<TokenStore.TokenStore> = TokenStore.layerMemory
) => Layer.merge(ScriptedModel.layer(steps, options), store)

describe.each(stores)("a run id is an idempotency key, over the $name store", ({ layer }) => {
  it.effect("under Effect.retry, Stream.retry and Effect.repeat: one create", () =>
    Effect.gen(function* () {
      const read: Array<string> = []
      let failures = 0
      const flaky = (update: { readonly text: string }) =>
        failures < 4 && update.text !== "" && Math.floor(failures / 2) < read.length + 1 && failures++ % 2 === 0
          ? Effect.fail("the consumer failed")
          : Effect.sync(() => void read.push(update.text))
      yield* passing(Stream.runForEach(Agent.stream(analyst, input), flaky).pipe(Effect.retry({ times: 10 })))
      assert.strictEqual(read.join(""), "abc")
      const again = Agent.stream(analyst, input).pipe(Stream.retry(Schedule.recurs(3)))
      assert.strictEqual(textOf(yield* passing(Stream.runCollect(again))), "")
      yield* passing(Effect.repeat(Agent.run(analyst, input), { times: 2 }))
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over(script, {}, layer)))
  )

  it.effect("for those who start at the same time: one create, the others are told who is at it", () =>
    Effect.gen(function* () {
      const outcomes = yield* passing(
        Effect.forEach([1, 2, 3, 4, 5], () => Effect.result(Agent.run(analyst, input)), { concurrency: "unbounded" })
      )
      assert.strictEqual(yield* count("create"), 1)
      assert.strictEqual(outcomes.filter((outcome) => outcome._tag === "Success").length, 1)
      for (const outcome of outcomes) {
        if (outcome._tag === "Failure") assert.strictEqual(outcome.failure.reason._tag, "RunLeased")
      }
    }).pipe(Effect.provide(over([...script.slice(0, -1), pause("1 second"), completed], {}, layer)))
  )

  it.effect("another input or session under the same id is refused, and buys nothing", () =>
    Effect.gen(function* () {
      yield* passing(Agent.run(analyst, input))
      for (const other of [
        { ...input, input: "Something else" },
        { ...input, session: { previousResponseId: "resp_0" } }
      ]) {
        const error = yield* Effect.flip(Agent.run(analyst, other))
        assert.strictEqual(error.reason._tag, "RunInputMismatch")
      }
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over(script, {}, layer)))
  )
})

describe("starting", () => {
  it.effect("without a run id, each execution starts and buys a run of its own", () =>
    Effect.gen(function* () {
      const ids = new Set<string>()
      const run = Effect.tap(Agent.run(analyst, { input: "Hello" }), ({ runId }) => Effect.sync(() => ids.add(runId)))
      yield* passing(Effect.repeat(run, { times: 2 }))
      assert.strictEqual(yield* count("create"), 3)
      assert.strictEqual(ids.size, 3)
    }).pipe(Effect.provide(over(script)))
  )

  it.effect("records the intent before the request, and the response's name before anything is delivered", () => {
    const order: Array<string> = []
    const note = (fact: RunRecord.NewFact) => void order.push(fact._tag)
    const store = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.suspend(() => {
          commit.facts?.forEach(note)
          if (commit.facts?.[0]?._tag === "Requested") assert.isUndefined(commit.position, "no position is claimed")
          return inner.commit(lease, commit)
        }),
      record: (id, fact, seen) =>
        Effect.suspend(() => {
          note(fact)
          return inner.record(id, fact, seen)
        })
    }))
    const model = Layer.effect(
      BackgroundModel.BackgroundModel,
      Effect.map(BackgroundModel.BackgroundModel, (inner) => ({
        ...inner,
        create: (request) =>
          Stream.suspend(() => {
            order.push("create")
            return inner.create(request)
          })
      }))
    ).pipe(Layer.provide(ScriptedModel.layer([text("a"), pause("1 second"), completed])))
    return Effect.gen(function* () {
      const updates = Agent.stream(analyst, input)
      yield* passing(
        Stream.runForEach(updates, () =>
          Effect.sync(() => {
            if (!order.includes("delivered")) order.push("delivered")
          })
        )
      )
      assert.deepStrictEqual(order, [
        "Requested",
        "create",
        "Accepted",
        "delivered",
        "ResponseEnded",
        "Ended",
        "Delivered"
      ])
    }).pipe(Effect.provide(Layer.merge(model, store)))
  })

  it.effect("the run's id travels with the request", () =>
    Effect.gen(function* () {
      yield* passing(Agent.run(analyst, input))
      const { ledger } = yield* ScriptedModel.ScriptedModel
      assert.strictEqual((yield* ledger)[0]?.request?.runId, "r")
    }).pipe(Effect.provide(over(script)))
  )

  it.effect("a request without an answer leaves the run Unconfirmed: it is not sent again by itself", () =>
    Effect.gen(function* () {
      for (const attempt of [
        Agent.run(analyst, input),
        Agent.run(analyst, input),
        Agent.start(analyst, input),
        Stream.runDrain(Agent.resume(analyst, { runId: "r" })),
        Agent.poll(analyst, { runId: "r" })
      ]) {
        const error = yield* passing(
          Effect.flip<unknown, Effect.Error<typeof attempt>, Effect.Services<typeof attempt>>(attempt)
        )
        assert.strictEqual(error.reason._tag, "Unconfirmed")
        assert.isFalse(error.isRetryable)
        assert.match(error.message, /restart|remove/)
      }
      assert.deepStrictEqual(yield* requests, ["create"])
      const restart = Agent.run(analyst, input).pipe(Effect.provide(RunPolicy.layer({ onUnconfirmed: "restart" })))
      yield* passing(Effect.exit(restart))
      assert.deepStrictEqual(yield* requests, ["create", "create"])
    }).pipe(Effect.provide(over(script, { confirms: false })))
  )

  it.effect.each([1, 2, 3])("a store that fails at write %i never leads to a second create", (failing) =>
    Effect.gen(function* () {
      const first = yield* passing(Effect.result(Agent.run(analyst, input)))
      assert.strictEqual(
        first._tag === "Failure" ? first.failure.reason._tag : "Success",
        failing === 1 ? "StoreFailed" : "Success"
      )
      const second = yield* passing(Effect.result(Agent.run(analyst, input)))
      assert.strictEqual(second._tag, "Success")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over([text("a"), completed], {}, failingOnce(failing))))
  )

  it.effect("what the provider refused for now is asked again, no sooner than it says", () =>
    Effect.gen(function* () {
      const [duration, response] = yield* passing(Effect.timed(Agent.run(analyst, input)), 500)
      assert.strictEqual(response.text, "a")
      assert.isAtLeast(Duration.toSeconds(duration), 300)
      assert.strictEqual(yield* count("create"), 2)
      assert.deepStrictEqual(
        (yield* recordOf("r")).journal.map((entry) => entry._tag),
        ["Requested", "Refused", "Requested", "Accepted", "ResponseEnded", "Ended", "Delivered"]
      )
    }).pipe(
      Effect.provide(
        over([fail(new AiError.RateLimitError({ retryAfter: Duration.minutes(5) })), text("a"), completed])
      )
    )
  )

  const final: ReadonlyArray<AiError.AiErrorReason> = [
    new AiError.QuotaExhaustedError({}),
    new AiError.AuthenticationError({ kind: "InvalidKey" }),
    new AiError.InvalidRequestError({ description: "no such model" })
  ]
  const verbs = {
    run: Agent.run(analyst, input),
    start: Agent.start(analyst, input),
    stream: Stream.runDrain(Agent.stream(analyst, input))
  }
  const refusals = final.flatMap((reason) =>
    (["run", "start", "stream"] as const).map((verb) => [reason._tag, verb, reason] as const)
  )
  it.effect.each(refusals)(
    "N3: %s ends a run that %s began as failed, with the provider's reason, at once",
    ([tag, verb, reason]) =>
      Effect.gen(function* () {
        const [duration, error] = yield* passing(
          Effect.timed(Effect.flip<unknown, AgentError.AgentError, Services>(verbs[verb]))
        )
        assert.isAtMost(Duration.toSeconds(duration), 1)
        const reasonIn = (failure: AgentError.AgentError) =>
          failure.reason._tag === "AiError" ? failure.reason.reason._tag : failure.reason._tag
        assert.strictEqual(reasonIn(error), tag)
        assert.strictEqual(yield* count("create"), 1)
        const { journal, parked } = yield* recordOf("r")
        assert.deepStrictEqual(
          journal.map(({ _tag }) => _tag),
          ["Requested", "Refused", "Ended"]
        )
        assert.isNull(parked, "there is nothing to decide")
        assert.strictEqual(yield* statusOf("r"), "failed")
        // Everybody is told the same, and nothing is sent again.
        const ref = { runId: "r" }
        for (const again of [
          Effect.asVoid(Agent.run(analyst, input)),
          Effect.asVoid(Agent.result(analyst, ref)),
          Stream.runDrain(Agent.resume(analyst, ref)),
          Stream.runDrain(Agent.watch(analyst, ref))
        ]) {
          assert.strictEqual(reasonIn(yield* passing(Effect.flip(again))), tag)
        }
        assert.strictEqual((yield* Agent.poll(analyst, ref)).status, "failed")
        assert.strictEqual(yield* count("create"), 1)
        // Mended, the same run can be opened again.
        yield* passing(Agent.retry(analyst, input))
        assert.strictEqual((yield* passing(Agent.result(analyst, ref))).text, "a")
        assert.strictEqual(yield* statusOf("r"), "completed")
      }).pipe(Effect.provide(over([fail(reason), text("a"), completed])))
  )

  it.effect("an interrupted start can be resumed once its response is known", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Stream.runDrain(Agent.stream(analyst, input)))
      for (let i = 0; i < 100; i++) yield* Effect.yieldNow
      yield* passing(Fiber.interrupt(fiber))
      yield* passing(Agent.run(analyst, input))
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(over([text("a"), pause("1 second"), completed])))
  )
})

/** A store in memory whose n-th commit fails, once, without being applied. */
const failingOnce = (nth: number) => {
  let commits = 0
  return changing(TokenStore.layerMemory, (inner) => ({
    commit: (lease, commit) =>
      Effect.suspend(() => (++commits === nth ? Effect.fail(storeAway("commit")) : inner.commit(lease, commit)))
  }))
}

describe("a store that is away when the response gets its name", () => {
  const error = storeAway("record")
  /** Away for so long from the first write that names a response. */
  const awayFor = (millis: number) => {
    let back: number | undefined
    const unlessAway = <A, E>(names: boolean, write: Effect.Effect<A, E>) =>
      Effect.clockWith((clock): Effect.Effect<A, E | TokenStoreError.TokenStoreError> => {
        const now = clock.currentTimeMillisUnsafe()
        if (names) back ??= now + millis
        return back !== undefined && now < back ? Effect.fail(error) : write
      })
    return changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) => unlessAway(false, inner.commit(lease, commit)),
      record: (id, fact, seen) => unlessAway(fact._tag === "Accepted", inner.record(id, fact, seen)),
      release: (lease, options) => unlessAway(false, inner.release(lease, options))
    }))
  }

  for (const verb of ["stream", "start"] as const) {
    const start = Effect.asVoid(
      verb === "stream" ? Stream.runDrain(Agent.stream(analyst, input)) : Agent.start(analyst, input)
    )

    it.effect(`is waited for, and the name is not lost: ${verb}`, () =>
      Effect.gen(function* () {
        yield* passing(start)
        const { journal } = yield* recordOf("r")
        assert.strictEqual((yield* stateOf("r")).turns[0]?.winner?.responseId, "resp_1")
        assert.strictEqual(journal.filter(({ _tag }) => _tag === "Accepted").length, 1)
        assert.strictEqual((yield* passing(Agent.result(analyst, { runId: "r" }))).text, "abc")
      }).pipe(Effect.provide(over(script, {}, awayFor(10_000))))
    )

    it.effect(`is waited for as long as the lease lasts, and the error tells the name: ${verb}`, () => {
      const logged: Array<string> = []
      const logger = Logger.make(({ fiber, message }) => {
        const { responseId } = fiber.getRef(References.CurrentLogAnnotations)
        logged.push(`${String(message)} ${String(responseId)}`)
      })
      return Effect.gen(function* () {
        const [duration, { message, reason, responseId }] = yield* passing(Effect.timed(Effect.flip(start)), 500)
        assert.include(["StoreFailed", "LeaseLost"], reason._tag)
        assert.isAtLeast(Duration.toSeconds(duration), 25)
        assert.isAtMost(Duration.toSeconds(duration), 45)
        assert.strictEqual(responseId, "resp_1")
        assert.include(message, "'resp_1'")
        assert.isNotEmpty(
          logged.filter((line) => line.includes("could not be recorded") && line.endsWith("resp_1")),
          "as does the log"
        )
      }).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provide(
          over(
            script,
            {},
            changing(awayFor(100_000), () => ({ renew: () => Effect.fail(error) }))
          )
        )
      )
    })
  }
})
