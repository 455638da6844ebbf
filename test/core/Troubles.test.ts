// What nobody else tests of background runs, by the names of the scenarios; each streamed and polled where both apply.
import {
  Agent,
  type AgentError,
  BackgroundModel,
  ContinuationToken,
  Run,
  RunPolicy,
  SignedTokens,
  TokenStore,
  TokenStoreError
} from "@effect-baton/core"
import { NodeServices } from "@effect/platform-node"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, FileSystem, Layer, Logger, Option, Redacted, Stream } from "effect"
import { crc32 } from "node:zlib"
import {
  analyst,
  count,
  doneWith,
  halting,
  plain,
  recordOf,
  type Services,
  statusOf,
  textOf,
  uninterrupted,
  type Update
} from "../support/runs.ts"
import * as Disks from "../support/disks.ts"
import { changing, stores } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, pause, text } = ScriptedModel
const over = (steps: ReadonlyArray<ScriptedModel.Step>, options?: ScriptedModel.Options) =>
  Layer.merge(ScriptedModel.layer(steps, options), TokenStore.layerMemory)
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
    }).pipe(Effect.provide(over([text("a"), text(["b", "c"]), text("d"), completed])))
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
    }).pipe(Effect.provide(over(halting)))
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
    }).pipe(Effect.provide(over(halting)))
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
    }).pipe(Effect.provide(over(halting)))
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
    }).pipe(Effect.provide(over(long)))
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
    }).pipe(Effect.provide(over(long)))
  )
})

describe("the store", () => {
  const away = new TokenStoreError.TokenStoreError({ operation: "commit", kind: "unavailable", description: "away" })
  const ticking = [...Array.from({ length: 60 }, () => [text("x"), pause("1 second")]).flat(), completed]

  const troubled = () => {
    const state = { isAway: false }
    const layer = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) => Effect.suspend(() => (state.isAway ? Effect.fail(away) : inner.commit(lease, commit))),
      renew: (lease, ttl, seen) =>
        Effect.suspend(() => (state.isAway ? Effect.fail(away) : inner.renew(lease, ttl, seen)))
    }))
    return { state, layer }
  }

  it.effect(
    "N5: away for less than a lease: nothing is noticed but a line in the log when it begins, and one when it ends",
    () => {
      const { layer, state } = troubled()
      const logged: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel} ${String(message)}`))
      return Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Stream.runCollect(Agent.stream(analyst, input)))
        yield* elapse(5000, 100)
        assert.deepStrictEqual(logged, [])
        state.isAway = true
        yield* elapse(20_000, 100)
        state.isAway = false
        const updates = yield* passing(Fiber.join(fiber))
        assert.strictEqual(textOf(updates), "x".repeat(60))
        assert.isNull(doneWith(yield* recordOf("r")))
        // For the writes of positions, and for the renewals of the lease: however often they failed.
        const what = (told: RegExp) => logged.flatMap((line) => told.exec(line)?.[1] ?? []).toSorted()
        const begun = what(/^Warn baton: (.* tried again[^,]*),.*away/)
        assert.strictEqual(new Set(begun).size, 2, logged.join("\n"))
        assert.deepStrictEqual(what(/^Info baton: recovered: (.*)$/), begun)
        assert.strictEqual(logged.length, 4, logged.join("\n"))
      }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(ticking), layer)), Effect.provide(Logger.layer([logger])))
    }
  )

  it.effect("away for longer than a lease: delivers until the lease is over, then StoreFailed", () => {
    const { layer, state } = troubled()
    return Effect.gen(function* () {
      let last = 0
      const fiber = yield* Effect.forkChild(
        Effect.timed(
          Effect.flip(
            Stream.runForEach(Agent.stream(analyst, input), (update) =>
              Effect.sync(() => void (last += update.text.length))
            )
          )
        )
      )
      yield* elapse(5000, 100)
      state.isAway = true
      const [took, error] = yield* passing(Fiber.join(fiber), 100)
      assert.strictEqual(error.reason._tag, "StoreFailed")
      assert.isTrue(error.isRetryable)
      assert.isAtMost(Duration.toSeconds(took), 36)
      assert.isAtLeast(last, 29)
      state.isAway = false
      yield* elapse(31_000, 500)
      const rest = yield* passing(Stream.runCollect(Agent.resume(analyst, ref)), 500)
      assert.isAtLeast(last + textOf(rest).length, 60)
      assert.strictEqual(rest.at(-1)?.status, "completed")
    }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(ticking), layer)))
  })

  const onDisk = Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
    const context = yield* Layer.buildWithScope(TokenStore.layerFile({ directory }), yield* Effect.scope)
    return { directory, store: Layer.succeedContext(context) }
  })

  it.live.each([
    ["disk full", "ENOSPC"],
    ["directory read-only", "EROFS"]
  ] as const)(
    "%s while a run is advanced: delivery goes on, and what could not be written is written later",
    ([, code]) =>
      Effect.gen(function* () {
        const disk = yield* Disks.Disk
        const { store } = yield* onDisk
        yield* Effect.gen(function* () {
          const read: Array<Update> = []
          const advancing = Stream.runForEach(Agent.stream(analyst, input), (update) =>
            Effect.sync(() => {
              read.push(update)
              if (update.text === "b") disk.refuses = (method) => (method === "write" ? code : undefined)
              if (update.text === "e") disk.refuses = () => undefined
            })
          )
          yield* advancing
          assert.strictEqual(textOf(read), "abcdef")
          const record = yield* recordOf("r")
          assert.strictEqual(yield* statusOf("r"), "completed")
          assert.isNull(doneWith(record))
          // And nothing can be started meanwhile, which is told before anything is bought.
          disk.refuses = (method) => (method === "write" ? code : undefined)
          const error = yield* Effect.flip(Agent.run(analyst, { ...input, runId: "s" }))
          assert.isTrue(
            error.reason._tag === "StoreFailed" && error.reason.error.kind === (code === "ENOSPC" ? "full" : "denied")
          )
          disk.refuses = () => undefined
          assert.strictEqual(yield* count("create"), 1)
        }).pipe(Effect.provide(Layer.merge(ScriptedModel.layer(halting), store)))
      }).pipe(
        Effect.scoped,
        Effect.provide(Logger.layer([])),
        Effect.provide(Disks.layer.pipe(Layer.provideMerge(NodeServices.layer)))
      )
  )

  it.live(
    "a worker of an older version beside a newer one: leaves its runs alone, whole, and goes on with its own",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
        const log = `${directory}/runs.log`
        const using = <A, E>(use: Effect.Effect<A, E, Services | ScriptedModel.ScriptedModel>) =>
          use.pipe(
            Effect.provide(Layer.merge(ScriptedModel.layer(halting), TokenStore.layerFile({ directory })), {
              local: true
            })
          )
        yield* using(Agent.run(analyst, { ...input, runId: "old" }))
        const body = `0 ${JSON.stringify([2, "new", "new", { version: 2, runId: "new", agent: "analyst", mood: "good" }])}`
        const line = `${crc32(body).toString(16).padStart(8, "0")} ${body}\n`
        yield* fs.writeFileString(log, (yield* fs.readFileString(log)) + line)
        yield* using(
          Effect.gen(function* () {
            const theirs = { runId: "new" }
            const refused: ReadonlyArray<Effect.Effect<unknown, AgentError.AgentError, Services>> = [
              Stream.runDrain(Agent.stream(analyst, { ...input, ...theirs })),
              Stream.runDrain(Agent.resume(analyst, theirs)),
              Stream.runDrain(Agent.watch(analyst, theirs)),
              Agent.start(analyst, { ...input, ...theirs }),
              Agent.poll(analyst, theirs),
              Agent.cancel(analyst, theirs),
              Agent.remove(analyst, theirs)
            ]
            for (const verb of refused) {
              const error = yield* Effect.flip(verb)
              assert.isTrue(error.reason._tag === "StoreFailed" && error.reason.error.kind === "newer")
              assert.isFalse(error.isRetryable)
            }
            assert.strictEqual(yield* count("create"), 0)
            yield* Effect.forEach([1, 2, 3], (n) => Agent.run(analyst, { ...input, runId: `own ${n}` }), {
              concurrency: "unbounded"
            })
          })
        )
        // Its next start rewrites the log, perhaps; what it does not understand stays as it was, to the letter.
        yield* using(Agent.run(analyst, { ...input, runId: "another" }))
        assert.include(yield* fs.readFileString(log), body.slice(2))
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
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
    }).pipe(Effect.provide(over(halting)))
  )
})
