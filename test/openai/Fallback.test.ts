// Guarantee 5, end to end: where the replay is refused, exactly what is missing is delivered, or RunDiverged says why not.
import { Agent, type AgentUpdate, TokenStore } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { analyst } from "../support/runs.ts"
import { passing } from "../support/time.ts"
import { everything, output } from "./everything.ts"
import { type Json, over, response, sse } from "./support.ts"

type Update = AgentUpdate.AgentUpdate

const tooOld = {
  error: {
    message: "This response can no longer be streamed because it is more than 5 minutes old",
    type: "invalid_request_error",
    param: null,
    code: null
  }
}
const last = everything.at(-1)?.["response"]
const json = (status: number, body: unknown) =>
  Promise.resolve(new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } }))

/** A provider whose stream breaks off after so many events, that replays nothing, and shows this when it is asked. */
const provider = (cut: number, shown: unknown = last) =>
  Layer.merge(
    over((url, init) =>
      init?.method !== "POST"
        ? String(url).includes("stream=true")
          ? json(400, tooOld)
          : json(200, shown)
        : Promise.resolve(
            new Response(everything.slice(0, cut).map(sse).join(""), {
              headers: { "content-type": "text/event-stream" }
            })
          )
    ),
    TokenStore.layerMemory
  )

/** Reads so many updates, goes on from the token of the last, so many again, and then to the end. */
const inPieces = Effect.fnUntraced(function* (lengths: ReadonlyArray<number>) {
  const read: Array<Update> = []
  for (const length of [...lengths, Number.POSITIVE_INFINITY]) {
    const token = Option.flatMap(Option.fromUndefinedOr(read.at(-1)), ({ continuationToken }) => continuationToken)
    const updates = Option.match(token, {
      onNone: () => Agent.stream(analyst, { input: "Hello", runId: "r" }),
      onSome: (continuationToken) => Agent.resume(analyst, { continuationToken })
    })
    read.push(...(yield* passing(Stream.runCollect(Stream.take(updates, length)), 500)))
    if (Option.isNone(read.at(-1)!.continuationToken)) break
  }
  return read
})

/** Every part that was delivered, with the deltas of one text joined. */
const joined = (updates: ReadonlyArray<Update>) => {
  const all: Record<string, string> = {}
  for (const { part } of updates) {
    // No retrieval shows a preliminary result.
    if (part === undefined || (part.type === "tool-result" && part.preliminary)) continue
    const { metadata: _, "~effect/ai/Content/Part": __, ...told } = part as unknown as Json
    const key = `${part.type.replace(/-(start|delta|end)$/, "")} ${"id" in part ? String(part.id) : ""}`
    all[key] = (all[key] ?? "") + ("delta" in part ? part.delta : `<${JSON.stringify(told)}>`)
  }
  return all
}

const whole = Effect.map(inPieces([]), joined).pipe(Effect.provide(provider(everything.length)))

const cuts = everything.map((_, i) => i + 1)

describe("replay refused: polled, and exactly the rest delivered", () => {
  it.effect("of texts, reasoning, parameters, calls, files and sources alike, cut after any event", () =>
    Effect.gen(function* () {
      const expected = yield* whole
      for (const kind of ["text", "reasoning", "tool-params", "tool-call", "tool-result", "file", "source", "finish"]) {
        assert.isTrue(
          Object.keys(expected).some((key) => key.startsWith(`${kind} `)),
          `there is a ${kind}`
        )
      }
      for (const cut of cuts) {
        const read = yield* Effect.provide(inPieces([]), provider(cut))
        assert.deepStrictEqual(joined(read), expected, `cut after ${cut}`)
        assert.strictEqual(read.at(-1)?.origin, cut === everything.length ? "live" : "snapshot")
      }
    })
  )

  it.effect("with a second and a third cut among what the snapshot filled in", () =>
    Effect.gen(function* () {
      const expected = yield* whole
      for (const cut of cuts.filter((place) => place % 3 === 0)) {
        for (const more of [1, 2, 5]) {
          const read = yield* Effect.provide(inPieces([cut, more, more]), provider(cut))
          assert.deepStrictEqual(joined(read), expected, `cut after ${cut}, and every ${more}`)
        }
      }
    })
  )
})

/** The output, with another text in one place. */
const changed = (index: number, change: Json): unknown =>
  response({ output: output.map((item, i) => (i === index ? { ...item, ...change } : item)) })

const content = (text: string, refusal: string) => [
  { type: "output_text", text, annotations: [] },
  { type: "refusal", refusal }
]
const contradictions: ReadonlyArray<readonly [string, string, unknown]> = [
  ["a text", "Hello", changed(2, { content: content("Goodbye", "I will not") })],
  ["a refusal", "I will", changed(2, { content: content("Hello, world", "I shall not") })],
  [
    "reasoning",
    "First, ",
    changed(0, {
      summary: [
        { type: "summary_text", text: "Second, then first." },
        { type: "summary_text", text: "" }
      ]
    })
  ],
  ["a call's parameters", '{"city":', changed(3, { arguments: '{"town":"Paris"}' })],
  ["a custom call's input", "ls -la", changed(4, { input: "rm -rf" })],
  ["an item that is gone", "Hello", response({ output: [] })]
]

describe("a snapshot that contradicts what was delivered is RunDiverged", () => {
  it.effect.each(contradictions)("%s, cut in its middle", ([, delta, shown]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(inPieces([]))
      assert.strictEqual(error.reason._tag, "RunDiverged")
      assert.isFalse(error.isRetryable)
      // And again, whoever comes.
      assert.strictEqual((yield* Effect.flip(inPieces([]))).reason._tag, "RunDiverged")
    }).pipe(Effect.provide(provider(everything.findIndex((event) => event["delta"] === delta) + 1, shown)))
  )
})

const replaced = (change: (event: Json) => Json) => everything.map((event) => sse(change(event)))

describe("a stream that lost something", () => {
  const streaming = (bodies: ReadonlyArray<string>) =>
    Layer.merge(
      over(() => Promise.resolve(new Response(bodies.join(""), { headers: { "content-type": "text/event-stream" } }))),
      TokenStore.layerMemory
    )
  const isEnd = /\.done$|_part\.done$/

  // What ends the part, and what ends the item, may be lost too: whatever comes next tells.
  const losing = (delta: string) =>
    [/^never$/, isEnd, /\.done$/].map((missing) =>
      streaming(
        replaced((event) => {
          const type = String(event["type"])
          const isLost = event["delta"] === delta || (missing.test(type) && (missing !== isEnd || !/item/.test(type)))
          return isLost ? { type: "keepalive", sequence_number: event["sequence_number"] } : event
        })
      )
    )

  it.effect("in the middle of a text is RunDiverged, told at its part's end, its item's, or the response's", () =>
    Effect.gen(function* () {
      for (const provided of losing(", ")) {
        const error = yield* Effect.flip(Effect.provide(inPieces([]), provided))
        assert.strictEqual(error.reason._tag, "RunDiverged")
      }
    })
  )

  const tails: ReadonlyArray<readonly [string, string]> = [
    ["a text", "world"],
    ["a refusal", " not"],
    ["reasoning", "then second."],
    ["a call's parameters", '"Paris"}'],
    ["a custom call's input", "ls -la"]
  ]

  it.effect.each(tails)("the tail of %s gets it from its part's end, its item's, or the response's (C1)", ([, delta]) =>
    Effect.gen(function* () {
      const expected = yield* whole
      for (const provided of losing(delta)) {
        assert.deepStrictEqual(joined(yield* Effect.provide(inPieces([]), provided)), expected)
      }
    })
  )

  it.effect("ends that never came do no harm to what is whole", () =>
    Effect.gen(function* () {
      const bodies = replaced((event) =>
        String(event["type"]).endsWith(".done")
          ? { type: "keepalive", sequence_number: event["sequence_number"] }
          : event
      )
      const read = yield* Effect.provide(inPieces([]), streaming(bodies))
      assert.strictEqual(read.at(-1)?.status, "completed")
    })
  )
})
