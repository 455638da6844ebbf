// What nobody else tests of reading background runs, by the names of the scenarios; streamed and polled where both apply.
import {
  Agent,
  type AgentError,
  BackgroundModel,
  ContinuationToken,
  Run,
  RunPolicy,
  SignedTokens,
  TokenStore
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Redacted, Stream } from "effect"
import { inMemory } from "../support/models.ts"
import {
  analyst,
  count,
  halting,
  plain,
  recordOf,
  type Services,
  textOf,
  uninterrupted,
  type Update
} from "../support/runs.ts"
import { stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const collect = <E, R>(stream: Stream.Stream<Update, E, R>) => passing(Stream.runCollect(stream))
const tokenOf = (update: Update | undefined) => Option.getOrThrow(update!.continuationToken)

describe.each(stores)("over the $name store", ({ layer }) => {
  it.effect("second and third cut, streamed", () =>
    Effect.gen(function* () {
      const whole = yield* uninterrupted("whole")
      for (const cuts of [
        [1, 1, 1],
        [3, 1, 2],
        [4, 3, 1],
        [2, 5, 2]
      ]) {
        const runId = `cut ${cuts.join(" ")}`
        const read: Array<Update> = [
          ...(yield* collect(Stream.take(Agent.stream(analyst, { ...input, runId }), cuts[0]!)))
        ]
        for (const cut of [...cuts.slice(1), Number.POSITIVE_INFINITY]) {
          const by = cut % 2 === 0 ? { runId } : { continuationToken: tokenOf(read.at(-1)) }
          read.push(...(yield* collect(Stream.take(Agent.resume(analyst, by), cut))))
        }
        assert.deepStrictEqual(plain(read), plain(whole))
      }
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), layer)))
  )

  it.effect("second and third cut, polled", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      yield* elapse(10_000)
      const read: Array<Update> = []
      for (const cut of [1, 1, 1, Number.POSITIVE_INFINITY]) {
        read.push(...(yield* collect(Stream.take(Agent.resume(analyst, ref), cut))))
        assert.strictEqual(read.at(-1)?.origin, "snapshot")
      }
      assert.strictEqual(textOf(read), "abcdef")
      assert.strictEqual(read.filter(({ part }) => part?.type === "text-end").length, 1)
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting, { capabilities: { resume: false } }), layer)))
  )
})

describe("a position", () => {
  const inclusive = Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (model) => ({
      ...model,
      resume: (responseId: string, { after }: { readonly after?: number }) =>
        model.resume(responseId, after === undefined ? {} : { after: after - 1 })
    }))
  )

  it.effect("inclusive or exclusive cursor mistakes: what follows is asked for, and what comes again is dropped", () =>
    Effect.gen(function* () {
      const whole = yield* uninterrupted("whole")
      for (let k = 1; k < whole.length; k++) {
        const head = yield* collect(Stream.take(Agent.stream(analyst, { ...input, runId: `${k}` }), k))
        const continuationToken = tokenOf(head.at(-1))
        const tail = Agent.resume(analyst, { continuationToken })
        assert.deepStrictEqual(plain(yield* collect(tail)), plain(whole.slice(k)), `exclusive, after ${k}`)
        const { ledger } = yield* ScriptedModel.ScriptedModel
        const asked = (yield* ledger).findLast(({ operation }) => operation === "resume")?.after
        const { sequenceNumber, skip } = continuationToken
        assert.strictEqual(asked, skip > 0 ? sequenceNumber - 1 : sequenceNumber)
        const again = Stream.provide(tail, inclusive)
        assert.deepStrictEqual(plain(yield* collect(again)), plain(whole.slice(k)), `inclusive, after ${k}`)
      }
    }).pipe(Effect.provide(inMemory([text("a"), text(["b", "c"]), text("d"), completed])))
  )

  it.effect("an early token used after later ones, polled: shows the run as it is, and takes nothing back", () =>
    Effect.gen(function* () {
      const head = yield* collect(Stream.take(Agent.stream(analyst, input), 5))
      const stored = (yield* recordOf("r")).position
      const early = tokenOf(head[1])
      const shown = yield* Agent.poll(analyst, { continuationToken: early })
      assert.strictEqual(shown.text, (yield* Agent.poll(analyst, ref)).text)
      assert.deepStrictEqual((yield* recordOf("r")).position, stored)
      yield* elapse(10_000)
      const result = yield* passing(Agent.result(analyst, { continuationToken: early }))
      assert.strictEqual(result.text, "abcdef")
      assert.deepStrictEqual((yield* recordOf("r")).position, stored)
    }).pipe(Effect.provide(inMemory(halting)))
  )

  it.effect("resume cut before its first event, polled: interrupted at any moment, a look changes nothing", () =>
    Effect.gen(function* () {
      yield* Agent.start(analyst, input)
      const before = (yield* recordOf("r")).position
      for (const steps of [0, 1, 2, 3, 5, 8, 20]) {
        const fiber = yield* Effect.forkChild(Agent.result(analyst, ref))
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow
        yield* passing(Fiber.interrupt(fiber))
        assert.deepStrictEqual((yield* recordOf("r")).position, before)
        assert.isNull((yield* recordOf("r")).lease)
      }
      assert.strictEqual((yield* passing(Agent.result(analyst, ref))).text, "abcdef")
    }).pipe(Effect.provide(inMemory(halting)))
  )

  it.effect("token of another agent, run or tenant: refused by every verb, and nothing is told", () =>
    Effect.gen(function* () {
      yield* collect(Stream.take(Agent.stream(analyst, input), 4))
      const token = (yield* recordOf("r")).position
      const verbs = (
        continuationToken: ContinuationToken.ContinuationToken | string,
        agent: Agent.Agent = analyst
      ): ReadonlyArray<Effect.Effect<unknown, AgentError.AgentError, Services>> => [
        Stream.runDrain(Agent.resume(agent, { continuationToken })),
        Stream.runDrain(Agent.watch(agent, { continuationToken })),
        Agent.poll(agent, { continuationToken }),
        Agent.result(agent, { continuationToken }),
        Agent.cancel(agent, { continuationToken }),
        Agent.remove(agent, { continuationToken })
      ]
      const other = Agent.make("other", { background: true })
      const ofRun = { ...token, runId: Run.RunId.make("another") }
      const tenant = (audience: string) =>
        SignedTokens.layer({ keys: [{ id: "1", secret: Redacted.make("a secret that is long enough") }], audience })
      const signed = yield* ContinuationToken.encode(token).pipe(Effect.provide(tenant("acme")))
      const before = yield* count("retrieve")
      for (const verb of verbs(token, other)) {
        const { reason } = yield* Effect.flip(verb)
        assert.strictEqual(reason._tag === "TokenInvalid" && reason.kind, "wrong-agent")
      }
      // Whoever forges the agent's name in a token does not get at the run either.
      for (const verb of verbs({ ...token, agent: "other" }, other)) {
        assert.strictEqual((yield* Effect.flip(verb)).reason._tag, "RunNotFound")
      }
      for (const verb of verbs(ofRun)) assert.strictEqual((yield* Effect.flip(verb)).reason._tag, "RunNotFound")
      for (const verb of verbs(signed)) {
        const { reason } = yield* Effect.flip(verb).pipe(Effect.provide(tenant("umbrella")))
        assert.strictEqual(reason._tag === "TokenInvalid" && reason.kind, "signature")
        assert.notInclude(reason.message, "acme")
      }
      // And where tenants have stores of their own.
      for (const verb of verbs(token)) {
        const elsewhere = verb.pipe(Effect.provide(TokenStore.layerMemory, { local: true }))
        assert.strictEqual((yield* Effect.flip(elsewhere)).reason._tag, "RunNotFound")
      }
      assert.strictEqual(yield* count("retrieve"), before)
      assert.strictEqual(yield* count("cancel"), 0)
      assert.strictEqual(yield* count("remove"), 0)
      const rest = yield* collect(Agent.resume(analyst, { continuationToken: signed })).pipe(
        Effect.provide(tenant("acme"))
      )
      assert.strictEqual(textOf(rest), "bcdef")
    }).pipe(Effect.provide(inMemory(halting)))
  )
})

describe("a browser", () => {
  const long = [text("a"), pause("1 minute"), text("b"), pause("1 minute"), text("c"), completed]

  it.effect("that reloads while its old connection still stands reads on from its last token, beside the old one", () =>
    Effect.gen(function* () {
      const old: Array<Update> = []
      const worker = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, input)))
      yield* elapse(1000)
      const before = yield* Effect.forkChild(
        Stream.runForEach(Agent.watch(analyst, ref), (update) => Effect.sync(() => void old.push(update)))
      )
      yield* elapse(70_000, 1000)
      assert.strictEqual(textOf(old), "ab")
      const seen = [...old]
      const reloaded = yield* Effect.forkChild(
        Stream.runCollect(Agent.watch(analyst, { continuationToken: tokenOf(seen.at(-1)) }))
      )
      const after = yield* passing(Fiber.join(reloaded), 1000)
      yield* passing(Fiber.join(before), 1000)
      const whole = yield* passing(Fiber.join(worker), 1000)
      assert.deepStrictEqual(plain([...seen, ...after]), plain(whole))
      assert.deepStrictEqual(plain(old), plain(whole))
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(inMemory(long)))
  )

  it.effect("whose old connection advances the run is told so, and goes on once that one is gone", () =>
    Effect.gen(function* () {
      const old: Array<Update> = []
      const before = yield* Effect.forkChild(
        Stream.runForEach(Agent.stream(analyst, input), (update) => Effect.sync(() => void old.push(update)))
      )
      yield* elapse(70_000, 1000)
      for (const again of [Agent.stream(analyst, input), Agent.resume(analyst, ref)]) {
        const error = yield* Effect.flip(Stream.runDrain(again))
        assert.strictEqual(error.reason._tag, "RunLeased")
        assert.isTrue(error.isRetryable)
      }
      yield* passing(Fiber.interrupt(before))
      const rest = yield* passing(Stream.runCollect(Agent.stream(analyst, input)), 1000)
      assert.strictEqual(textOf([...old, ...rest]), "abc")
      assert.strictEqual(yield* count("create"), 1)
    }).pipe(Effect.provide(inMemory(long)))
  )
})

describe("an agent changed while its run was under way", () => {
  const version = (name: string) => Agent.make("analyst", { background: true, version: name })

  it.effect("is AgentChanged, streamed and polled, and the run is left as it was", () =>
    Effect.gen(function* () {
      yield* collect(Stream.take(Agent.stream(version("1"), input), 3))
      const before = yield* recordOf("r")
      for (const verb of [
        Stream.runDrain(Agent.resume(version("2"), ref)),
        Stream.runDrain(Agent.stream(version("2"), input)),
        Effect.asVoid(Agent.start(version("2"), input)),
        Effect.asVoid(Agent.run(version("2"), input))
      ]) {
        const error: AgentError.AgentError = yield* Effect.flip(verb)
        assert.strictEqual(error.reason._tag, "AgentChanged")
        assert.match(error.message, /'1'.*'2'/)
      }
      assert.deepStrictEqual(yield* recordOf("r"), before)
      // Whoever only looks or reads along changes nothing of the run, and may.
      assert.strictEqual((yield* Agent.poll(version("2"), ref)).status, "in_progress")
      const allowed = RunPolicy.layer({ onAgentChanged: "continue" })
      const rest = yield* collect(Agent.resume(version("2"), ref)).pipe(Effect.provide(allowed))
      assert.strictEqual(textOf(rest), "abcdef")
      assert.strictEqual(yield* count("create"), 1)
      // A run that is over can be read by any version.
      assert.strictEqual((yield* passing(Agent.result(version("3"), ref))).text, "abcdef")
    }).pipe(Effect.provide(inMemory(halting)))
  )
})
