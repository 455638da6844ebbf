// What Baton says in errors (N5, N2).
import {
  Agent,
  type AgentError,
  BackgroundModel,
  Run,
  RunPolicy,
  Runs,
  TokenStore,
  TokenStoreError
} from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Layer, Option, Schedule, type Scope, Stream } from "effect"
import { AiError } from "effect/ai"
import { busy, inMemory } from "../support/models.ts"
import { analyst, count, recordOf, type Services, statusOf } from "../support/runs.ts"
import { changing } from "../support/stores.ts"
import { elapse, passing } from "../support/time.ts"

const { completed, fail, failed, pause, text } = ScriptedModel
const secret = "the plans of the secret fortress"
const input = { input: secret, runId: "r" }
const ref = { runId: "r" }
const runId = Run.RunId.make("r")
const good = [text("a"), text("b"), completed]
const long = [text("a"), pause("1 hour"), text("b"), completed]
type Failing = Effect.Effect<unknown, AgentError.AgentError, Services>

/** Everything that an error shows when it is printed. */
const printed = (error: AgentError.AgentError): string =>
  [error.message, String(error), Cause.pretty(Cause.fail(error)), JSON.stringify(error), String(error.cause)].join("\n")

/** What each verb is asked of the run "r". */
const verbs = {
  stream: Stream.runDrain(Agent.stream(analyst, input)),
  "stream by hand": Stream.runDrain(Agent.stream(analyst, { ...input, acknowledge: "manual" })),
  run: Agent.run(analyst, input),
  start: Agent.start(analyst, input),
  resume: Stream.runDrain(Agent.resume(analyst, ref)),
  watch: Stream.runDrain(Agent.watch(analyst, ref)),
  poll: Agent.poll(analyst, ref),
  result: Agent.result(analyst, ref),
  cancel: Agent.cancel(analyst, ref),
  retry: Agent.retry(analyst, input),
  remove: Agent.remove(analyst, ref),
  "Runs.retry": Runs.retry("r"),
  "Runs.discard": Runs.discard("r")
} satisfies Record<string, Failing>

type Verb = keyof typeof verbs

/** One way to fail: what happens first, which verbs fail then, why, and what they say that is to be done. */
interface Situation {
  readonly name: string
  readonly over: Layer.Layer<BackgroundModel.BackgroundModel | ScriptedModel.ScriptedModel | TokenStore.TokenStore>
  readonly before?: Effect.Effect<unknown, unknown, Services | Scope.Scope>
  readonly verbs: ReadonlyArray<Verb>
  readonly reason: AgentError.AgentErrorReason["_tag"]
  readonly advice: RegExp
  readonly policy?: Partial<RunPolicy.RunPolicy>
}

const readers: ReadonlyArray<Verb> = ["stream", "stream by hand", "run", "resume", "watch", "result"]
const ran = passing(Effect.exit(Agent.run(analyst, input)))
const streamed = Effect.andThen(Effect.forkScoped(Stream.runDrain(Agent.stream(analyst, input))), elapse(1000))

const away = new TokenStoreError.TokenStoreError({
  operation: "read",
  kind: "unavailable",
  description: "the server cannot be reached. Try again"
})

const expired = Effect.gen(function* () {
  yield* passing(Agent.start(analyst, input))
  yield* (yield* BackgroundModel.BackgroundModel).remove("resp_1")
})

const recorded = (agent: string, agentVersion?: string) =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const session = {}
    const own = agentVersion === undefined ? {} : { agentVersion }
    yield* store.create({ runId, agent, ...own, digest: "of another input", background: true, session })
  })

const situations: ReadonlyArray<Situation> = [
  {
    name: "that failed",
    over: inMemory([text("a"), failed("The model is out of order.")]),
    before: ran,
    verbs: readers,
    reason: "RunFailed",
    advice: /The model is out of order\. Open it again with Agent\.retry\.$/
  },
  {
    name: "that was refused",
    over: inMemory([fail(new AiError.AuthenticationError({ kind: "InvalidKey" })), ...good]),
    before: ran,
    verbs: readers,
    reason: "AiError",
    advice: /Verify your API key/
  },
  {
    name: "that was cancelled",
    over: inMemory(long),
    before: Effect.andThen(Agent.start(analyst, input), passing(Agent.cancel(analyst, ref))),
    verbs: readers,
    reason: "RunCancelled",
    advice: /Start a new run/
  },
  {
    name: "that expired",
    over: inMemory(long),
    before: expired,
    verbs: ["resume", "stream", "stream by hand", "run", "watch", "result"],
    reason: "RunExpired",
    advice: /Start a new run/
  },
  {
    name: "that is unconfirmed",
    over: inMemory(good, { confirms: false }),
    before: ran,
    verbs: [...readers, "start", "poll", "retry", "remove"],
    reason: "Unconfirmed",
    advice: /Agent\.retry.*Agent\.remove/
  },
  {
    name: "that is held",
    over: inMemory(long),
    before: streamed,
    verbs: ["stream", "stream by hand", "run", "resume", "retry", "remove"],
    reason: "RunLeased",
    advice: /Agent\.watch/
  },
  {
    name: "that is under way",
    over: inMemory(long),
    before: Agent.start(analyst, input),
    verbs: ["retry", "Runs.discard"],
    reason: "InvalidInput",
    advice: /Only a run that failed.* can be retried|Agent\.cancel or Runs\.cancel/
  },
  {
    name: "that nobody knows",
    over: inMemory(good),
    verbs: ["resume", "watch", "poll", "result", "cancel", "retry", "remove"],
    reason: "RunNotFound",
    advice: /Check the id/
  },
  {
    name: "of another agent",
    over: inMemory(good),
    before: recorded("poet"),
    verbs: ["resume", "watch", "poll", "result", "cancel", "retry", "remove"],
    reason: "RunNotFound",
    advice: /Give that agent/
  },
  {
    name: "of another input",
    over: inMemory(good),
    before: recorded("analyst"),
    verbs: ["stream", "stream by hand", "run", "start"],
    reason: "RunInputMismatch",
    advice: /use another id/
  },
  {
    name: "of another version",
    over: inMemory(good),
    before: recorded("analyst", "2"),
    verbs: ["resume", "retry"],
    reason: "AgentChanged",
    advice: /onAgentChanged/
  },
  {
    name: "that was never opened",
    over: inMemory(good),
    before: recorded("analyst"),
    verbs: ["resume", "watch", "poll", "result"],
    reason: "RunNotOpened",
    advice: /Agent\.start with the same run id and input/
  },
  {
    name: "that stands still",
    over: inMemory([ScriptedModel.queued, pause("3 hours"), completed]),
    before: Agent.start(analyst, input),
    verbs: ["resume", "stream", "run", "watch", "result", "cancel"],
    policy: { maxQueued: Duration.seconds(20) },
    reason: "RunStalled",
    advice: /Resume it later, or cancel it/
  },
  {
    name: "in a store that is away",
    over: Layer.merge(
      ScriptedModel.layer(good),
      changing(TokenStore.layerMemory, () => ({ create: () => Effect.fail(away), read: () => Effect.fail(away) }))
    ),
    verbs: Object.keys(verbs).filter((verb) => !verb.startsWith("Runs.")) as ReadonlyArray<Verb>,
    reason: "StoreFailed",
    advice: /Try again/
  },
  {
    name: "that must run in the background where that cannot be",
    over: inMemory(good, { capabilities: { background: false } }),
    verbs: ["stream", "stream by hand", "run", "start"],
    reason: "BackgroundUnsupported",
    advice: /background: false/
  }
]

// A run that is stalled is not cancelled by asking for that.
const cases = situations.flatMap((situation) =>
  situation.verbs
    .filter((verb) => !(situation.reason === "RunStalled" && verb === "cancel"))
    .map((verb) => [verb, situation.name, situation] as const)
)

describe("an error", () => {
  it.effect.each(cases)("N5: of %s, of a run %s, names run and agent, and says what to do", ([verb, , situation]) =>
    Effect.gen(function* () {
      if (situation.before !== undefined) yield* Effect.exit(situation.before)
      const error = yield* passing(Effect.flip<unknown, AgentError.AgentError, Services>(verbs[verb]), 1000)
      assert.strictEqual(error.reason._tag, situation.reason)
      assert.match(error.message, /^Run 'r' of agent 'analyst'/)
      assert.match(error.message, situation.advice)
      assert.notInclude(printed(error), "fortress")
      // Said once, not once for each error that was passed on.
      const [advice] = situation.advice.exec(error.message) ?? []
      assert.strictEqual(error.message.split(advice!).length, 2, error.message)
    }).pipe(Effect.scoped, Effect.provide(RunPolicy.layer(situation.policy ?? {})), Effect.provide(situation.over))
  )

  const withoutRun: ReadonlyArray<readonly [string, Failing, RegExp]> = [
    ["an empty input", Agent.run(analyst, { input: " " }), /^Agent 'analyst': .*Say what the agent is to do/],
    [
      "an empty input of a run",
      Agent.run(analyst, { ...input, input: " " }),
      /^Run 'r' of agent 'analyst': .*Say what/
    ],
    ["a bad run id", Agent.poll(analyst, { runId: "a/b" }), /^Agent 'analyst': .*Shorten or hash/],
    ["a bad run id of a new run", Agent.start(analyst, { ...input, runId: "" }), /^Agent 'analyst': .*Shorten or hash/],
    [
      "a bad token",
      Agent.result(analyst, { continuationToken: "no token" }),
      /^Agent 'analyst': The continuation token is invalid/
    ],
    [
      "a response that is not there",
      Agent.adopt(analyst, { responseId: "resp_404" }),
      /^Agent 'analyst', response 'resp_404': .*no longer has/
    ],
    ["an empty response id", Agent.adopt(analyst, { responseId: "" }), /^Agent 'analyst'/]
  ]
  it.effect.each(withoutRun)("N5: of %s names the agent", ([, effect, says]) =>
    Effect.gen(function* () {
      const error = yield* passing(Effect.flip(effect), 1000)
      assert.match(error.message, says)
      assert.notInclude(printed(error), secret)
    }).pipe(Effect.provide(inMemory(good)))
  )

  it.effect("N5: of an input that is no prompt does not show it", () =>
    Effect.gen(function* () {
      const bad: ReadonlyArray<unknown> = [
        [{ role: "user", content: [{ type: secret, text: secret }] }],
        [{ role: secret, content: secret }],
        [{ role: "user", content: [{ type: "file", data: secret }] }],
        [{ role: "tool", content: secret }],
        { [secret]: secret }
      ]
      for (const prompt of bad) {
        const given = { ...input, input: prompt as string }
        const error = yield* Effect.flip(Agent.run(analyst, given))
        assert.strictEqual(error.reason._tag, "InvalidInput")
        assert.notInclude(printed(error), "fortress")
      }
    }).pipe(Effect.provide(inMemory(good)))
  )

  it.effect("N5: of Runs.retry and Runs.discard names run and agent while somebody holds the run", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      yield* passing(Agent.start(analyst, input))
      const { lease, record } = yield* store.acquire(runId, { owner: "w", ttl: Duration.minutes(1) })
      const seen = record.journal.length
      yield* store.release(lease, { seen, due: Duration.infinity, parked: "for a test", attempt: "keep" })
      const parked = yield* recordOf("r")
      yield* store.acquire(runId, { owner: "w", ttl: Duration.minutes(1) })
      // As somebody sees it who read the run before it was taken.
      const behind = changing(Layer.succeed(TokenStore.TokenStore, store), () => ({
        read: () => Effect.succeed(Option.some(parked))
      }))
      for (const verb of [Runs.retry("r"), Runs.discard("r")]) {
        const error = yield* Effect.flip(Effect.provide(verb, behind))
        assert.strictEqual(error.reason._tag, "RunLeased")
        assert.match(error.message, /^Run 'r' of agent 'analyst': Worker 'w'/)
      }
    }).pipe(Effect.provide(inMemory(good)))
  )

  it.effect("N2: a foreground run is not opened and left: it would end at once, and that is said", () =>
    Effect.gen(function* () {
      yield* passing(Stream.runDrain(Stream.take(Agent.stream(analyst, { ...input, background: false }), 3)))
      const interrupted = yield* passing(Effect.flip(Agent.result(analyst, ref)))
      assert.strictEqual(interrupted.reason._tag, "RunInterrupted")
      const creates = yield* count("create")
      const error = yield* passing(Effect.flip(Agent.retry(analyst, input)))
      assert.strictEqual(error.reason._tag, "InvalidInput")
      assert.match(error.message, /^Run 'r' of agent 'analyst'.*foreground.*background: true/)
      assert.strictEqual(yield* count("create"), creates)
      assert.strictEqual(yield* statusOf("r"), "failed", "and nothing is changed")
    }).pipe(Effect.provide(inMemory(long)))
  )

  it.effect("N2: nor by Agent.start, of a run whose request was refused for now", () =>
    Effect.gen(function* () {
      const refused = yield* passing(Effect.flip(Agent.run(analyst, { ...input, background: false })))
      assert.strictEqual(refused.reason._tag, "AiError")
      const creates = yield* count("create")
      const error = yield* passing(Effect.flip(Agent.start(analyst, input)))
      assert.strictEqual(error.reason._tag, "InvalidInput")
      assert.match(error.message, /foreground.*background: true/)
      assert.strictEqual(yield* count("create"), creates)
      assert.strictEqual((yield* passing(Agent.run(analyst, { ...input, background: false }))).text, "ab")
    }).pipe(
      Effect.provide(RunPolicy.layer({ requestRetry: Schedule.recurs(0) })),
      Effect.provide(inMemory([fail(busy), ...good]))
    )
  )
})
