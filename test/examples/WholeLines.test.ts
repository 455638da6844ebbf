// What the examples and the tests read from a process that may be killed while it writes.
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { wholeLines } from "../../examples/line.ts"

const read = (...pieces: ReadonlyArray<string>) => Stream.runCollect(wholeLines(Stream.fromIterable(pieces)))

it.effect("a line that a killed process could not finish is left out", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* read('{"a":1}\n{"b":2', "}\n{"), ['{"a":1}', '{"b":2}'])
    assert.deepStrictEqual(yield* read('{"a":1}\n{"b":{"c":2}'), ['{"a":1}'])
    assert.deepStrictEqual(yield* read('{"a":1}\r\n', "\n"), ['{"a":1}', ""])
    assert.deepStrictEqual(yield* read('{"a":1}'), [])
    assert.deepStrictEqual(yield* read(), [])
  })
)
