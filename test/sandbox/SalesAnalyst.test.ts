import { lorem, type ModelRequest, splitDeltas } from "@effect-baton/sandbox/ResponseScript"
import * as SalesAnalyst from "@effect-baton/sandbox/SalesAnalyst"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

const months = ["2025-01", "2025-02", "2025-03", "2025-04", "2025-05", "2025-06"]
const regions = ["North", "South", "East", "West", "Île-de-France"]
const products = ["Desk", "Chair"]

const rows = months.flatMap((month, m) =>
  regions.flatMap((region, r) =>
    products.map((product, p) => [month, region, product, 1000 * (r + 1) + 100 * m + p, 10 + r] as const)
  )
)

const csv = (delimiter = ",") =>
  [
    ["Month", "Region", "Product", "Revenue", "Units"],
    ...rows.map(([month, region, product, revenue, units]) => [
      month,
      region,
      product,
      region === "West" && month === "2025-04" ? 90_000 : revenue,
      units
    ])
  ]
    .map((row) => row.join(delimiter))
    .join("\n")

const ask = (text: string, history: ReadonlyArray<string> = []): ModelRequest => ({
  model: "analyst",
  instructions: "",
  input: [{ type: "message", role: "user", text }],
  history: history.map((earlier) => ({ type: "message", role: "user", text: earlier })),
  tools: []
})

const answer = (request: ModelRequest) =>
  Effect.map(SalesAnalyst.model(request), ({ items }) => {
    const [item] = items
    const deltas = item?.type === "message" ? item.deltas : []
    return { text: Array.from({ length: deltas.length }, (_, index) => deltas.at(index)).join(""), deltas }
  })

const money = (value: number) => value.toLocaleString("en-US")

describe("SalesAnalyst", () => {
  it.effect("reports totals, shares, growth and anomalies that are right", () =>
    Effect.gen(function* () {
      const { deltas, text } = yield* answer(ask(`Analyse this, please:\n\n\`\`\`csv\n${csv()}\n\`\`\`\nThank you!`))
      const expected = rows.reduce((sum, [month, region, , revenue]) => {
        return sum + (region === "West" && month === "2025-04" ? 90_000 : revenue)
      }, 0)
      assert.include(text, `| Revenue | ${money(expected)} |`)
      for (const title of ["## Totals", "## By region", "## By product", "## Growth", "## Anomalies"]) {
        assert.include(text, title)
      }
      const first = rows.filter(([month, region]) => month === "2025-01" && region === "North")
      const last = rows.filter(([month, region]) => month === "2025-06" && region === "North")
      const total = (some: typeof rows) => some.reduce((sum, row) => sum + row[3], 0)
      assert.include(text, `North grew from ${money(total(first))} to ${money(total(last))}, +50%`)
      assert.include(text, "**West, 2025-04**: revenue of 180,000")
      assert.isAtLeast(deltas.length, 600)
      assert.isBelow(deltas.length, 5000)
    })
  )

  it.effect("gives the same report again, whatever separates the fields", () =>
    Effect.gen(function* () {
      const first = yield* answer(ask(csv()))
      for (const delimiter of [",", ";", "\t", "|"]) {
        assert.strictEqual((yield* answer(ask(csv(delimiter)))).text, first.text)
      }
    })
  )

  it.effect("follows up on the table of an earlier turn", () =>
    Effect.gen(function* () {
      const { text } = yield* answer(ask("Now only the north region", [csv()]))
      assert.include(text, "# Report on North")
      assert.notInclude(text, "South")
      const french = yield* answer(ask("And Île-de-France?", [csv()]))
      assert.include(french.text, "# Report on Île-de-France")
    })
  )

  it.effect("reads quoted fields, currencies and thousands", () =>
    Effect.gen(function* () {
      const { text } = yield* answer(
        ask('Area,Sales\n"Lyon, France","$1,200"\nOslo,$300\n"Lyon, France",$100\nOslo,$400\n')
      )
      assert.include(text, "| 1. Lyon, France | 1,300 | 65% |")
    })
  )

  it.effect("reads a table without regions or periods", () =>
    Effect.gen(function* () {
      const { text } = yield* answer(ask("a,b\n1,10\n2,20\n3,30\n"))
      assert.include(text, "| b | 60 | 20 | 20 | 10 | 30 |")
    })
  )

  it.effect("says politely what it can do when there is no table", () =>
    Effect.gen(function* () {
      const { deltas, text } = yield* answer(ask("Hello, who are you?"))
      assert.include(text, "Send a table")
      assert.isAbove(deltas.length, 24)
    })
  )
})

describe("ResponseScript", () => {
  it("splits texts into deltas that join to the text, never inside a character", () => {
    for (const text of ["", " ", "a", "Two  spaces\n\nand lines ", "日本語のテキスト", "🙂🚀🙂🚀🙂🚀🙂🚀"]) {
      const deltas = splitDeltas(text)
      assert.strictEqual(deltas.join(""), text)
      for (const delta of deltas) assert.isTrue(delta.isWellFormed())
    }
  })

  it("generates any number of deltas, the same ones each time", () => {
    const [one, two] = [lorem(200_000).items[0]?.deltas, lorem(200_000).items[0]?.deltas]
    assert.strictEqual(one?.length, 200_000)
    assert.strictEqual(one?.at(123_456), two?.at(123_456))
  })
})
