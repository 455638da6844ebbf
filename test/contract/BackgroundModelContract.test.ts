import { BackgroundModel } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponseScript, ResponsesServer, SalesAnalyst } from "@effect-baton/sandbox"
import { BackgroundModelContract, ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream, Struct } from "effect"
import { AiError, Prompt } from "effect/ai"
import { faults, refuses } from "../support/faultyModels.ts"
import { modelWith } from "../support/models.ts"

type Verdicts = Partial<Record<BackgroundModelContract.LawName, string>>

const { call, close, completed, disconnect, fail, failed, keepalive, pause, queued, says, text, unknown, whole } =
  ScriptedModel

const reasoning = { lane: 0, kind: "reasoning", text: "Sums are easy." } as const
const sources = {
  lane: 1,
  kind: "sources",
  sources: [{ type: "source", sourceType: "url", url: "https://test/a", title: "A" }, undefined]
} as const

const scripts = {
  answers: [text("Hello, "), text(["wor", "ld"]), text("side by side", 1), close(0), text("!", 1), completed],
  cut: [queued, pause(500), text("Hello, "), disconnect, keepalive, text("world"), pause(500), completed],
  everything: [
    says(
      { _tag: "ItemAdded", index: 0, lanes: [] },
      { _tag: "Delta", index: 0, lane: 0, kind: "reasoning", delta: "Sums are" }
    ),
    says({ _tag: "Delta", index: 0, lane: 0, kind: "reasoning", delta: " easy." }),
    says({ _tag: "ItemDone", index: 0, lanes: [reasoning] }),
    text("It is 4", 2),
    says({ _tag: "PartAdded", index: 2, lane: sources }),
    unknown({ type: "nobody.knows" }),
    call("lookup", { of: "sales" }),
    whole("Two and two are four.", 4),
    call("lookup", { of: "costs" }),
    completed
  ],
  runs: [text("Hello, "), pause("5 seconds"), text("world"), pause("5 seconds"), completed],
  refused: [fail(new AiError.InvalidRequestError({ description: "No." }))],
  fails: [text("Hello"), failed("The provider broke.")]
} satisfies Record<string, ReadonlyArray<ScriptedModel.Step>>

const asked = (instructions: keyof typeof scripts): BackgroundModelContract.Request => ({
  instructions,
  prompt: Prompt.make("Hello")
})

const options: BackgroundModelContract.Options = {
  answers: [asked("answers"), asked("cut"), asked("everything")],
  runs: asked("runs"),
  refused: asked("refused"),
  fails: asked("fails")
}

// New steps each time: a step that fails does so once.
const script = ({ instructions = "" }: BackgroundModel.ModelRequest): ReadonlyArray<ScriptedModel.Step> => {
  const steps: ReadonlyArray<ScriptedModel.Step> | undefined = Object.entries(scripts).find(
    ([name]) => name === instructions
  )?.[1]
  return (steps ?? []).map((step) => ({ ...step }))
}

const without = { resume: false, cancel: false }

BackgroundModelContract.suite({ describe, it }, "scripted", ScriptedModel.layer(script), options)

BackgroundModelContract.suite(
  { describe, it },
  "scripted, without resuming and cancelling",
  modelWith(
    script,
    (inner) => ({
      resume: (responseId) =>
        Stream.unwrap(
          Effect.matchEffect(inner.retrieve(responseId), {
            onFailure: (error) => Effect.fail(error),
            onSuccess: () => Effect.fail(new BackgroundModel.ReplayUnavailable({ description: "Never." }))
          })
        ),
      cancel: (responseId) => Effect.andThen(inner.retrieve(responseId), Effect.fail(refuses))
    }),
    { capabilities: without }
  ),
  { ...options, answers: [asked("answers"), asked("everything")] }
)

const spoken: ResponseScript.SandboxModel = (request) => {
  const item = (type: "message" | "reasoning" | "refusal", said: string) => ({
    type,
    deltas: ResponseScript.splitDeltas(said)
  })
  switch (request.model) {
    case "thinker":
      return Effect.succeed({
        items: [item("reasoning", "Sums are easy."), item("message", "It is 4."), item("refusal", "I say no more.")]
      })
    case "broken":
      return Effect.succeed({
        items: [item("message", "It is")],
        end: { status: "failed", code: "server_error", message: "The provider broke." }
      })
    default:
      return SalesAnalyst.model(request)
  }
}

const sandbox = OpenAiBackgroundModel.layer({ model: "lorem:8" }).pipe(
  Layer.provide(
    Layer.unwrap(
      Effect.map(ResponsesServer.ResponsesServer, ({ url }) =>
        OpenAiClient.layer({ apiKey: Redacted.make("sk-test-0123456789"), baseUrl: url })
      )
    )
  ),
  Layer.provide(ResponsesServer.layer({ pace: "1 millis", model: spoken, partialSnapshots: true }))
)

const tools: OpenAiBackgroundModel.Params["tools"] = [
  { type: "function", name: "lookup", parameters: { type: "object" }, strict: false }
]
const modelled = (model: string, input = "Hello", params: Readonly<Record<string, unknown>> = {}) => ({
  prompt: Prompt.make(input),
  options: { model, ...params }
})

BackgroundModelContract.suite({ describe, it }, "OpenAI over the sandbox", sandbox, {
  live: true,
  answers: [
    modelled("lorem:8"),
    modelled("echo", "Two and two are four."),
    modelled("analyst", 'call: lookup {"of":"sales"}', { tools }),
    modelled("thinker")
  ],
  runs: modelled("lorem:2000"),
  refused: modelled("unknown"),
  fails: modelled("broken")
})

/** What the laws say that a model with a fault does wrong. */
const verdictsOf = Effect.fnUntraced(function* (change: Parameters<typeof modelWith>[1]) {
  const found: Verdicts = {}
  for (const { check, name } of BackgroundModelContract.laws(options)) {
    const verdict = yield* Effect.provide(check, modelWith(script, change), { local: true }).pipe(
      Effect.as(undefined),
      Effect.catchTag("ContractViolation", ({ message }) => Effect.succeed(message))
    )
    if (verdict !== undefined) found[name] = verdict
  }
  return found
})

/** Registers the suite for a model without a finish with a runner that keeps its tests, and runs the one of a title. */
const suiteOf = (of: BackgroundModelContract.Options) => {
  const tests = new Map<string, Effect.Effect<void, unknown>>()
  const add = (name: string, body: () => Effect.Effect<void, unknown>) => void tests.set(name, Effect.suspend(body))
  const runner = { describe: (_: string, body: () => void) => body(), it: { effect: add, live: add } }
  BackgroundModelContract.suite(runner, "tried", modelWith(script, faults["has no finish"]), of)
  return (title: string) =>
    Effect.match(tests.get(title) ?? Effect.die(`There is no test "${title}"`), {
      onSuccess: () => "kept",
      onFailure: (error) => (error instanceof Error ? error.message : String(error))
    })
}

const expected: Record<keyof typeof faults, Verdicts> = {
  "skips a delta": {
    "the deltas of a text are what its end says that it was":
      'lane 0 of item 0 was "world", and its end says "Hello, world"'
  },
  "loses a text at the end": {
    "the end shows the texts that the events said": "the texts that the terminal event shows",
    "the end shows each lane at its place, of its kind": "the places that the terminal event shows"
  },
  "loses a text in looks": {
    "the end shows the texts that the events said": "the texts that a look after the end shows",
    "the end shows the calls and files that the events said": "the calls and files that a look after the end shows",
    "the end shows each lane at its place, of its kind": "the places that a look after the end shows",
    "a look after the end shows what the terminal event showed": "the output"
  },
  "says a text twice at its end": {
    "the deltas of a text are what its end says that it was":
      'lane 0 of item 0 was "Hello, world", and its end says "Hello, worldHello, world"',
    "the end shows the texts that the events said": "the texts that the terminal event shows",
    "the end shows each lane at its place, of its kind": "the places that the terminal event shows"
  },
  "makes the rest itself": {
    "the deltas of a text are what its end says that it was": "lane 0 of item 0 continues after its end"
  },
  "shows items at other places": {
    "the end shows each lane at its place, of its kind": "the places that the terminal event shows"
  },
  "shows reasoning as text": {
    "the end shows the texts that the events said": "the texts that the terminal event shows",
    "the end shows each lane at its place, of its kind": "the places that the terminal event shows"
  },
  "leaves out sources that it cannot read": {
    "the end shows the sources that the events said": "the sources that the terminal event shows"
  },
  "tells parameters as text": {
    "the end shows the calls and files that the events said": "the calls and files that the terminal event shows"
  },
  "numbers lanes with fractions": {
    "items and lanes have whole numbers, and no number twice": "the numbers in events",
    "the end shows the calls and files that the events said": "the calls and files that the terminal event shows",
    "the end shows each lane at its place, of its kind": "the places that the terminal event shows"
  },
  "has no finish": {
    "what is over has a finish": "there is no finish in the terminal event",
    "a response that was submitted is found, and ends as one that was streamed": "it has no finish",
    "a response that failed says why": "the finish reason that a look shows"
  },
  "says not why it failed": {
    "a response that failed says why": "a look shows no error"
  },
  "repeats the event that it is resumed after": {
    "the numbers of events rise": "event 2 comes after event 2",
    "the deltas of a text are what its end says that it was":
      'lane 0 of item 0 was "Hello, Hello, world", and its end says "Hello, world"',
    "a response is resumed after any of its events with exactly those that follow":
      "resumed after 0, event 0 comes instead of 1",
    "a response that was left while it spoke is resumed where it was left":
      "resumed after nothing, event 3 comes instead of 2"
  },
  "skips an event when it is resumed": {
    "a response is resumed after any of its events with exactly those that follow":
      "resumed after nothing, event 1 comes instead of 0",
    "a response that was left while it spoke is resumed where it was left":
      "resumed after nothing, event 1 comes instead of 0"
  },
  "has no terminal event": {
    "a response ends with a terminal event, and nothing comes after it": "there is no terminal event",
    "until its end a response is under way": "event 10 says completed and is not terminal"
  },
  "numbers events backwards": {
    "the numbers of events rise": "event 99 comes after event 100",
    "a response ends with a terminal event, and nothing comes after it": "there is no terminal event",
    "the end shows the texts that the events said": "the texts that a look after the end shows",
    "the end shows each lane at its place, of its kind": "the places that a look after the end shows",
    "a response is resumed after any of its events with exactly those that follow":
      "resumed after 99, event 100 is missing",
    "a response that was left while it spoke is resumed where it was left":
      "resumed after nothing, event 97 is one too many"
  },
  "names the response late": {
    "the response is named before anything is said of it": "event 3 names the response, and event 2 says something",
    "a response is resumed after any of its events with exactly those that follow":
      "resumed after nothing, event 0 comes instead of 0"
  },
  "says that it is over while it runs": {
    "a look while the response runs shows that it runs, and not more than it will have said":
      "the response was completed at once: give a request for `runs` that takes longer",
    "a response that failed says why": "the status that a look shows"
  },
  "has a finish while it runs": {
    "a look after the end shows what the terminal event showed": "the finish reason",
    "a look while the response runs shows that it runs, and not more than it will have said":
      "it has a finish and is not over",
    "a response that failed says why": "the finish reason that a look shows"
  },
  "knows any response": {
    "a look at an unknown response says that it is gone": "retrieve of an unknown response",
    "a response that was removed is gone": "retrieve after remove"
  },
  "takes an unknown response for a failure": {
    "a look at an unknown response says that it is gone": "retrieve of an unknown response",
    "an unknown response is not resumed": "resume of an unknown response must fail with `ResponseGone`",
    "a response that was removed is gone": "retrieve after remove"
  },
  "cancels nothing and says so of everything": {
    "an unknown response is not cancelled": "cancel of an unknown response must fail",
    "a response that runs is ended by a cancel": "the answer"
  },
  "asks to cancel what is over": {
    "a cancel of what is over changes nothing": "the answer"
  },
  "removes nothing": {
    "a response that was removed is gone": "retrieve after remove"
  },
  "removes once": {
    "a response is removed once more without an error":
      "The model failed though it must answer: Test.test: Invalid request. Cannot cancel a synchronous response."
  },
  "opens what it refuses": {
    "a refused request is an error, and no response": "a refused request must not name a response"
  },
  "submits what nobody finds": {
    "a response that was submitted is found, and ends as one that was streamed":
      "The model failed though it must answer: ResponseGone"
  },
  "demands that nothing is streamed": {
    "an ordinary request may be streamed": "whether `answers` can be streamed with their options"
  },
  "says no deltas": {
    "the first of `answers` says text in several events":
      "the text came in 0 events: give a request with a longer answer"
  },
  "leaves an item unfinished": {
    "what is over has no unfinished item": "an item is not done in the terminal event of a completed response"
  },
  "ends incomplete": {
    "the requests of `answers` complete": "the status that the terminal event shows",
    "a response that was submitted is found, and ends as one that was streamed": "its status",
    "a response that failed says why": "the status that a look shows"
  },
  "opens one response for all requests": {
    "each request is a response of its own": "two requests are both the response resp_1",
    "a response stays if another one is removed": "The model failed though it must answer: ResponseGone"
  },
  "shows more than it says while it runs": {
    "a look while the response runs shows that it runs, and not more than it will have said":
      "lane 0 of item 0 begins otherwise at the end"
  },
  "goes on after its last event": {
    "resumed after its last event, a response says nothing more": "after the last event more came: 1"
  },
  "removes other responses too": {
    "a response stays if another one is removed": "The model failed though it must answer: ResponseGone"
  }
}

describe("the contract of background models", () => {
  it.effect("finds nothing wrong with a model that keeps it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* verdictsOf(() => ({})), {})
    })
  )

  for (const name of Struct.keys(faults)) {
    // All laws are tried: none may blame the model for what it does well.
    it.effect(`notices a model that ${name}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* verdictsOf(faults[name]), expected[name])
      })
    )
  }

  it.effect("takes exceptions that are true, and no others", () =>
    Effect.gen(function* () {
      const run = suiteOf({
        answers: [asked("answers")],
        except: ["what is over has a finish", "an unknown response is not cancelled", "a response that failed says why"]
      })
      const messages = yield* Effect.forEach(
        [
          "not promised: what is over has a finish",
          "not promised: an unknown response is not cancelled",
          "not promised: a response that failed says why"
        ],
        run
      )
      assert.deepStrictEqual(messages, [
        "kept",
        'The model keeps "an unknown response is not cancelled": remove it from `except`.',
        "This law was not checked: the options have no request for it."
      ])
    })
  )

  it.effect("gives up on a response that does not end", () =>
    Effect.gen(function* () {
      const law = BackgroundModelContract.laws({ ...options, patience: "1 minute" }).find(
        ({ name }) => name === "a response ends with a terminal event, and nothing comes after it"
      )
      const endless = ScriptedModel.layer([text("Hello"), pause("2 minutes"), completed])
      const { message } = yield* Effect.flip(law?.check ?? Effect.die("there is no such law")).pipe(
        Effect.provide(endless)
      )
      assert.strictEqual(message, "the response did not go on within 1m")
    })
  )

  it("has a model that breaks it for every law", () => {
    const broken = new Set(Object.values(expected).flatMap((verdicts) => Object.keys(verdicts)))
    const names = BackgroundModelContract.laws(options).map(({ name }) => name)
    assert.deepStrictEqual(
      names.filter((name) => !broken.has(name)),
      []
    )
  })
})
