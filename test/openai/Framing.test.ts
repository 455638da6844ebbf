import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { chunks, completed, create, created, delta, heard, over, read, reasonOf, sse } from "./support.ts"

const text = 'Größe: 12 €, 日本語, 👩‍👩‍👧 — \u2028 and \\n "quotes"'

const events = [
  created(),
  ...[...text].map((character, i) => delta(i + 1, character)),
  { type: "keepalive", sequence_number: 90 },
  completed(91)
]

const raws = (result: Effect.Success<ReturnType<typeof read>>) => result.events.map(({ raw }) => raw)

const framings: ReadonlyArray<readonly [string, (body: string) => string]> = [
  ["LF", (body) => body],
  ["CRLF", (body) => body.replaceAll("\n", "\r\n")],
  ["CR", (body) => body.replaceAll("\n", "\r")],
  ["no space after the colon", (body) => body.replaceAll("data: ", "data:").replaceAll("event: ", "event:")],
  ["no event lines", (body) => body.replaceAll(/event: .*\n/g, "")],
  [
    "comments, ids and other fields",
    (body) => body.replaceAll("event: ", ": hello\nid: 7\nretry: 10\ndatabase: x\nevent: ")
  ],
  ["data before event", (body) => body.replaceAll(/(event: .*\n)(data: .*\n)/g, "$2$1")],
  ["data over several lines", (body) => body.replaceAll(/,("logprobs"|"object"|"response")/g, ",\ndata: $1")],
  ["more blank lines than one", (body) => body.replaceAll("\n\n", "\n\n\n\n")],
  ["a byte order mark", (body) => `\uFEFF${body}`],
  ["no blank line at the end", (body) => body.slice(0, -1)],
  ["no line end at the end", (body) => body.slice(0, -2)],
  ["a [DONE] at the end", (body) => `${body}data: [DONE]\n\n`]
]

describe("a body's framing", () => {
  it.effect.each(framings)("%s", ([, framing]) =>
    Effect.gen(function* () {
      const result = yield* read(framing(events.map(sse).join("")))
      assert.isUndefined(result.error)
      assert.deepEqual(raws(result), events)
    })
  )

  const Cuts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 400 }))).check(
    Schema.isMinLength(1)
  )
  law(
    "any chunking of the bytes gives the same events",
    [Cuts, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: framings.length - 1 }))],
    ([sizes, which]) =>
      Effect.gen(function* () {
        const bytes = new TextEncoder().encode(framings[which]![1](events.map(sse).join("")))
        const pieces: Array<Uint8Array> = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length]!
          pieces.push(bytes.subarray(at, at + size))
          at += size
        }
        const result = yield* read(...pieces)
        assert.isUndefined(result.error)
        assert.deepEqual(raws(result), events)
      })
  )

  it.effect("byte by byte", () =>
    Effect.gen(function* () {
      for (const [, framing] of framings) {
        const bytes = new TextEncoder().encode(framing([created(), delta(1, text), completed(2)].map(sse).join("")))
        const result = yield* read(...Array.from(bytes, (byte) => Uint8Array.of(byte)))
        assert.deepEqual(raws(result), [created(), delta(1, text), completed(2)])
      }
    })
  )

  it.effect("half an event at the end is dropped, wherever it is cut, and the stream ends", () =>
    Effect.gen(function* () {
      const last = sse(delta(1, text)).slice(0, -2)
      for (let cut = 0; cut < last.length; cut++) {
        const result = yield* read(sse(created()), last.slice(0, cut))
        assert.isUndefined(result.error)
        assert.deepEqual(raws(result), [created()])
      }
    })
  )

  it.effect.each(['{"type":"response.output_text.delta","seque', "null", "7", "not json"])(
    "%s as an event is damage: what came before is delivered, and nothing is skipped",
    (damage) =>
      Effect.gen(function* () {
        const body = [sse(created()), sse(delta(1, "a")), `data: ${damage}\n\n`, sse(delta(3, "c"))].join("")
        const result = yield* read(body)
        assert.deepEqual(raws(result), [created(), delta(1, "a")])
        assert.strictEqual(result.error?._tag, "AiError")
        const reason = reasonOf(result.error)
        assert.strictEqual(reason?._tag, "NetworkError")
        assert.isTrue(reason?.isRetryable)
      })
  )

  it.effect("a read without an event tells that the connection lives", () =>
    Effect.gen(function* () {
      const whole = sse(delta(1, "x".repeat(1000)))
      const body = [sse(created()), ": ping\n\n", whole.slice(0, 300), whole.slice(300, 600), whole.slice(600)]
      const result = yield* heard(create()).pipe(Effect.provide(over(chunks(...body))))
      assert.deepEqual(
        result.events.map((event) => event.keepalive === true),
        [false, true, true, true, false]
      )
    })
  )

  const sizesOf = Effect.fnUntraced(function* (...numbers: ReadonlyArray<number>) {
    const many = numbers.map((number) => sse(delta(number, "x"))).join("")
    const sizes: Array<number> = []
    yield* Stream.runForEachArray(create(), (some) => Effect.sync(() => sizes.push(some.length))).pipe(
      Effect.provide(over(chunks(sse(created()), many, sse(completed(numbers.length + 1)))))
    )
    return sizes
  })

  it.effect("one network read comes out a few events at a time, and then as many as before", () =>
    Effect.gen(function* () {
      const numbers = Array.from({ length: 50 }, (_, i) => i + 1)
      assert.deepEqual(yield* sizesOf(...numbers), [1, 16, 16, 18, 1])
    })
  )

  it.effect("neighbours that a replay swapped come out together", () =>
    Effect.gen(function* () {
      const numbers = Array.from({ length: 50 }, (_, i) => i + 1)
      for (let first = 0; first < 49; first++) {
        const swapped = numbers.with(first, numbers[first + 1]!).with(first + 1, numbers[first]!)
        const sizes = yield* sizesOf(...swapped)
        const ends = sizes.map((_, i) => sizes.slice(1, i + 1).reduce((sum, size) => sum + size, 0))
        assert.isFalse(ends.includes(first + 1), `cut between ${swapped[first]} and ${swapped[first + 1]}`)
      }
    })
  )
})
