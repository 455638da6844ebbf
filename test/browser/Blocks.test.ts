// What the page of examples/web shows of a text that grows is what the whole text renders to, however it is cut.
import { SalesAnalyst } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema } from "effect"
import { NodeServices } from "@effect/platform-node"
import { type Change, makeBlocks, toHtml } from "../../examples/web/blocks.ts"
import { law } from "../support/law.ts"

// Beginnings and ends of every kind of block, and what turns one into another.
const piece = Schema.Literals(
  [
    ["# h", "===", "---", "- - -", "***", "#", "", " ", "text", "a\\", "a  ", "**bo", "ld**", "`c", "_e"],
    ["- a", "- b", "* s", "+ p", "1. x", "2. y", "1)", "2", "-", "  c", "- [ ] t", "- [x] d"],
    ["    code", "\t", "```", "```js", "~~~", "|a|b|", "|-|-|", "|1|2|", "|", "> q", ">"],
    ["<div>", "</div>", "<script>", "<!-- x", "-->", "![i](u)", "[l](javascript:x)", "http://a.b", "&amp;"]
  ].flat()
)
const definition = Schema.Literals(["[r]: http://a.b", "[r]:", "http://a.b", "see [r]", "'title'", "[r]"])
const lineOf = (text: typeof piece | typeof definition) =>
  Schema.Tuple([text, Schema.Literals(["\n", "\n", "\n", "\n\n", "\r\n", "\r", ""])])
const lines = (line: ReturnType<typeof lineOf>) => Schema.Array(line).check(Schema.isMaxLength(14))
const Cuts = Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })))

const cutInto = (text: string, lengths: ReadonlyArray<number>): ReadonlyArray<string> => {
  const deltas: Array<string> = []
  let at = 0
  for (let i = 0; at < text.length; i++) {
    const end = at + lengths[i % lengths.length]!
    deltas.push(text.slice(at, end))
    at = end
  }
  return deltas
}

/** What stands on the page after the deltas, and which changes led there. */
const play = (deltas: ReadonlyArray<string>) => {
  const { end, push } = makeBlocks()
  const changes: Array<Change & { readonly before: number }> = []
  let shown: ReadonlyArray<string> = []
  const take = (change: Change) => {
    assert.isAtMost(change.from, shown.length)
    changes.push({ ...change, before: shown.length })
    shown = [...shown.slice(0, change.from), ...change.blocks]
  }
  for (const delta of deltas) take(push(delta))
  const growing = shown.join("")
  take(end())
  return { growing, whole: shown.join(""), changes }
}

const equal = (text: string, cuts: ReadonlyArray<number>) =>
  Effect.sync(() => {
    const { growing, whole } = play(cutInto(text, cuts))
    assert.strictEqual(growing, toHtml(text))
    assert.strictEqual(whole, toHtml(text))
  })

describe("the blocks of a text that grows", () => {
  law(
    "are those of the whole text, also before its end",
    [lines(lineOf(piece)), Cuts],
    ([parts, cuts]) => equal(parts.flat().join(""), cuts),
    { arbitrary: { runs: 2000 } }
  )

  law(
    "are those of the whole text where definitions of links come late",
    [lines(lineOf(piece)), lines(lineOf(definition)), lines(lineOf(piece)), Cuts],
    ([before, definitions, after, cuts]) => equal([before, definitions, after].flat(2).join(""), cuts),
    { arbitrary: { runs: 500 } }
  )

  law(
    "are those of the whole text in the end, whatever the text",
    [Schema.String, Cuts],
    ([text, cuts]) => Effect.sync(() => assert.strictEqual(play(cutInto(text, cuts)).whole, toHtml(text))),
    { arbitrary: { runs: 500 } }
  )

  it.effect("change only where the text is open, in the report of the examples", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const csv = yield* fs.readFileString(new URL("../../examples/sales.csv", import.meta.url).pathname)
      const script = yield* SalesAnalyst.model({
        model: "sales-analyst",
        instructions: "",
        input: [{ type: "message", role: "user", text: `Write a report.\n\n${csv}` }],
        history: [],
        tools: []
      })
      const text = script.items.flatMap((item) =>
        "deltas" in item ? Array.from({ length: item.deltas.length }, (_, i) => item.deltas.at(i)) : []
      )
      const { changes, whole } = play(cutInto(text.join(""), [1]))
      assert.strictEqual(whole, toHtml(text.join("")))
      assert.isAbove(changes.at(-1)!.before, 20)
      for (const { before, from } of changes) assert.isAtLeast(from, before - 1)
      assert.deepStrictEqual(changes.at(-1)!.blocks, [])
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it("show HTML and images as they were written", () => {
    const html = toHtml("<script>a < b</script> ![x](https://a.b/c.png)\n\n<img src=x onerror=y>\n")
    assert.notMatch(html, /<(script|img)/)
    assert.include(html, "&lt;script&gt;a &lt; b&lt;/script&gt; ![x](https://a.b/c.png)")
    assert.include(html, "&lt;img src=x onerror=y&gt;")
  })
})
