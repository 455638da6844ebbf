// Deltas that differ from the one before in their text alone are not parsed. It must not show.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { law } from "../support/law.ts"
import { chunks, completed, create, created, delta, heard, over, sse } from "./support.ts"

/** JSON strings, with and without what must be escaped, and some that are none. */
const strings = [
  `"word"`,
  `" and"`,
  `""`,
  `"a longer piece of a text, as some models send them"`,
  `"\\n"`,
  `"\\"quoted\\""`,
  `"\\\\"`,
  `"a longer piece of a text, with a \\"quote\\" in it"`,
  `"\\u00e9é😀"`,
  `"\\ud83d"`,
  `"\\ude00"`,
  `"\\"delta\\":\\"no\\""`,
  `"\t"`,
  `"\\q"`,
  `"\\"`,
  `null`,
  `7`
] as const

const numbers = ["1", "2", "10", "11", "0", "007", "-1", "1.5", "2e1", "12345678901234567890", `"3"`, "null"] as const

/** What servers write otherwise than most. */
const others = {
  type: ["reasoning_text", "function_call_arguments"],
  order: ["backwards", "sorted"],
  space: [" "],
  item: ["1"],
  logprobs: [`[{"token":"a","delta":"b","sequence_number":9}]`],
  obfuscation: ["", `"abcdefghijklmnop"`, `"\\n"`, `"a\tb"`, "5"],
  tail: [`,"delta":"again"`, `,"other":true`, ","]
} as const
type Others = { readonly [K in keyof typeof others]: string }
const usual: Others = {
  type: "output_text",
  order: "usual",
  space: "",
  item: "0",
  logprobs: "[]",
  obfuscation: `"abc"`,
  tail: ""
}
const names = ["type", "order", "space", "item", "logprobs", "obfuscation", "tail"] as const

const Event = Schema.Struct({
  number: Schema.Literals(numbers),
  text: Schema.Literals(strings),
  // Most have nothing else of their own, or two in a row would seldom be alike.
  other: Schema.Literals([...names, "nothing", "still nothing", "nothing at all", "and nothing"]),
  which: Schema.Literals([0, 1, 2, 3, 4])
})

/** The text of an event, as a server may write it. */
const written = (number: string, text: string, more?: Partial<Others>): string => {
  const { item, logprobs, obfuscation, order, space, tail, type } = { ...usual, ...more }
  const fields = [
    `"type":${space}"response.${type}.delta"`,
    `"sequence_number":${space}${number}`,
    `"item_id":"msg_1"`,
    `"output_index":${item}`,
    `"content_index":0`,
    `"delta":${space}${text}`,
    `"logprobs":${logprobs}`,
    ...(obfuscation === "" ? [] : [`"obfuscation":${obfuscation}`])
  ]
  const ordered = order === "usual" ? fields : order === "sorted" ? fields.toSorted() : fields.toReversed()
  return `{${ordered.join(",")}${tail}}`
}

const writtenAs = ({ number, other, text, which }: typeof Event.Type): string => {
  const name = names.find((known) => known === other)
  if (name === undefined) return written(number, text)
  const values = others[name]
  return written(number, text, { [name]: values[which % values.length] })
}

const heardIn = (texts: ReadonlyArray<string>) =>
  heard(create()).pipe(
    Effect.provide(over(chunks(sse(created()), texts.map((text) => `data: ${text}\n\n`).join("")))),
    Effect.map(({ error, events }) => ({ failed: error !== undefined, events: events.slice(1) }))
  )

/** What each text is alone, up to the first one that is damaged. */
const alone = Effect.fnUntraced(function* (texts: ReadonlyArray<string>) {
  const events: Array<unknown> = []
  for (const text of texts) {
    const one = yield* heardIn([text])
    events.push(...one.events)
    if (one.failed) return { failed: true, events }
  }
  return { failed: false, events }
})

describe("deltas that are alike", () => {
  law(
    "are read as if each were parsed, whatever a server writes",
    [Schema.NonEmptyArray(Event).check(Schema.isMaxLength(12))],
    ([said]) =>
      Effect.gen(function* () {
        const texts = said.map(writtenAs)
        assert.deepStrictEqual(yield* heardIn(texts), yield* alone(texts))
      }),
    { arbitrary: { runs: 400 } }
  )

  for (const text of strings) {
    it.effect(`are read as if each were parsed: ${JSON.stringify(text)}`, () =>
      Effect.gen(function* () {
        const texts = [`"word"`, text, `"word"`].map((value, i) => written(`${i + 1}`, value))
        assert.deepStrictEqual(yield* heardIn(texts), yield* alone(texts))
      })
    )
  }

  for (const number of numbers) {
    it.effect(`are read as if each were parsed: number ${number}`, () =>
      Effect.gen(function* () {
        const texts = ["1", number, "3"].map((of) => written(of, `"word"`))
        assert.deepStrictEqual(yield* heardIn(texts), yield* alone(texts))
      })
    )
  }

  for (const name of names) {
    it.effect.each(others[name])(`are read as if each were parsed, also beside another ${name}: %s`, (value) =>
      Effect.gen(function* () {
        for (const word of [`"word"`, `"b"`]) {
          const same = (number: number) => written(`${number}`, word)
          const other = (number: number) => written(`${number}`, word, { [name]: value })
          const texts = [same(1), same(2), other(3), same(4), other(5), other(6)]
          assert.deepStrictEqual(yield* heardIn(texts), yield* alone(texts))
          const first = [other(1), same(2), same(3), other(4), same(5)]
          assert.deepStrictEqual(yield* heardIn(first), yield* alone(first))
        }
      })
    )
  }

  it.effect("are not taken for what is in them", () =>
    Effect.gen(function* () {
      const nested = (number: number, text: string) =>
        written(`${number}`, `"b"`, { order: "backwards", logprobs: `[{"delta":"${text}"}]` })
      const texts = [nested(1, "b"), nested(2, "c"), nested(3, "d")]
      assert.deepStrictEqual(yield* heardIn(texts), yield* alone(texts))
    })
  )

  it.effect("are read after many that are not", () =>
    Effect.gen(function* () {
      const different = Array.from({ length: 20 }, (_, i) => JSON.stringify({ ...delta(i, "x"), [`field ${i}`]: i }))
      const same = Array.from({ length: 5 }, (_, i) => JSON.stringify(delta(i + 20, `${i}`)))
      const texts = [...different, ...same, JSON.stringify(completed(25))]
      assert.deepStrictEqual(yield* heardIn(texts), yield* alone(texts))
    })
  )
})

describe("a long body", () => {
  it.effect("is the same in one read, in reads of any size, and with every kind of line end", () =>
    Effect.gen(function* () {
      const events = [created(), ...Array.from({ length: 2000 }, (_, i) => delta(i + 1, `é ${i}`)), completed(2001)]
      const text = events.map(sse).join("")
      const bytesOf = (end: string) => new TextEncoder().encode(text.replaceAll("\n", end))
      assert.isAbove(bytesOf("\n").length, 5 * 64 * 1024)
      const whole = yield* heard(create()).pipe(Effect.provide(over(chunks(bytesOf("\n")))))
      assert.lengthOf(whole.events, events.length)
      assert.deepStrictEqual(
        whole.events.map(({ raw }) => raw),
        events
      )
      for (const end of ["\n", "\r\n", "\r"]) {
        const bytes = bytesOf(end)
        for (const size of [bytes.length, 200_001, 65_536, 65_537, 9_973]) {
          const reads = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
            bytes.subarray(i * size, (i + 1) * size)
          )
          const { error, events: found } = yield* heard(create()).pipe(Effect.provide(over(chunks(...reads))))
          assert.isUndefined(error)
          const said = found.filter(({ raw }) => raw !== undefined)
          assert.deepStrictEqual(said, whole.events, `${JSON.stringify(end)} in reads of ${size}`)
        }
      }
    })
  )

  it.effect("may have an event that is longer than what is decoded at once", () =>
    Effect.gen(function* () {
      const long = delta(2, "é".repeat(100_000))
      const texts = [delta(1, "a"), long, delta(3, "b"), completed(4)].map((event) => JSON.stringify(event))
      const { events, failed } = yield* heardIn(texts)
      assert.isFalse(failed)
      assert.deepStrictEqual(
        events.map(({ raw }) => JSON.stringify(raw)),
        texts
      )
    })
  )
})

describe("events whose raw form is read", () => {
  it.effect("are the same, read at once or at the end", () =>
    Effect.gen(function* () {
      const events = [created(), ...Array.from({ length: 200 }, (_, i) => delta(i + 1, `${i}`)), completed(201)]
      const reads = events.map(sse)
      const raws: Array<unknown> = []
      yield* Stream.runForEach(create(), ({ raw }) => Effect.sync(() => raws.push(raw))).pipe(
        Effect.provide(over(chunks(...reads)))
      )
      assert.deepStrictEqual(raws, events)
      const { events: found } = yield* heard(create()).pipe(Effect.provide(over(chunks(...reads))))
      assert.deepStrictEqual(
        found.map(({ raw }) => raw),
        events
      )
    })
  )
})
