/**
 * The sandbox's own model: a small analyst that works by rules. From a table
 * of figures in the prompt it computes totals, shares, growth, rankings and
 * anomalies, and writes a Markdown report. It needs no network and gives the
 * same report for the same table.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { report } from "./internal/analyst/report.ts"
import { findTable, type Found, only, type Table } from "./internal/analyst/table.ts"
import { message, type ModelInput, type ModelRequest, type ResponseScript } from "./ResponseScript.ts"

const introduction = `# Nothing to analyse yet

I am a small analyst: I work by rules, on tables of figures. Your message has no table that I can read, so here is what I can do.

- **Send a table** as comma-separated values, with a header line. Semicolons, tabs and bars work as well.
- **A column of text** such as a region or a product tells me what to compare; a column of months, quarters or dates tells me how the figures moved.
- **I then write** the totals, the shares and rankings of each region, their growth from the first period to the last, and the values that stand out from their series.

You can also follow up on an earlier table: ask for only one of its regions, say, and I will look at that one alone.
`

const answered = (outputs: ReadonlyArray<string>): string =>
  outputs.length === 0 ? "" : `# What the tools said\n\n${outputs.map((output) => `- ${output}`).join("\n")}\n\n`

/** The results of the calls since the last message of the user. */
const outputs = ({ history, input }: ModelRequest): ReadonlyArray<string> => {
  const inputs = [...history, ...input]
  const prompt = inputs.findLastIndex((one) => one.type === "message" && one.role === "user")
  return inputs.slice(prompt + 1).flatMap((one) => ("output" in one ? [one.output] : []))
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

const mentions = (text: string, value: string): boolean =>
  new RegExp(`(?<![\\p{L}\\p{N}])${escaped(value)}(?![\\p{L}\\p{N}])`, "iu").test(text)

const narrowed = (table: Table, question: string, demanding: boolean): readonly [Table, ReadonlyArray<string>] => {
  // A prompt with a table may mention its regions in passing. The report leaves
  // regions out only if the prompt asks for some of them.
  if (demanding && !/\b(only|just|focus|limit|nothing but)\b/i.test(question)) return [table, []]
  for (const group of table.groups) {
    const named = group.values.filter((value) => mentions(question, value))
    if (named.length > 0 && named.length < group.values.length) return [only(table, group, named), named]
  }
  return [table, []]
}

const texts = (inputs: ReadonlyArray<ModelInput>): ReadonlyArray<string> =>
  inputs.flatMap((input) => (input.type === "message" && input.role !== "assistant" ? [input.text] : []))

const latestTable = Effect.fnUntraced(function* (candidates: ReadonlyArray<string>) {
  for (const text of candidates.toReversed()) {
    const found: Option.Option<Found> = yield* findTable(text)
    if (Option.isSome(found)) return found
  }
  return Option.none<Found>()
})

/**
 * The analyst, as a model for the sandbox server.
 *
 * **Details**
 *
 * The analyst uses the newest table in the request's input, or else in the
 * responses before it (`previous_response_id`), so "Now only the north region"
 * works as a follow-up. The answer begins with the results of tools.
 * Without a table the answer says what the analyst can do.
 *
 * **Example** (A server with the analyst)
 *
 * ```ts
 * import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
 * import * as SalesAnalyst from "@effect-baton/sandbox/SalesAnalyst"
 *
 * const server = ResponsesServer.layer({ model: SalesAnalyst.model, pace: "10 millis" })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const model = Effect.fnUntraced(function* (request: ModelRequest): Effect.fn.Return<ResponseScript> {
  const preface = answered([...outputs(request), ...(request.toolResults ?? [])])
  const asked = texts(request.input)
  const own = yield* latestTable(asked)
  const found = Option.isSome(own) ? own : yield* latestTable(texts(request.history))
  if (Option.isNone(found)) return message(preface === "" ? introduction : preface)
  const question = Option.isSome(own) ? own.value.around : asked.join("\n")
  const [table, named] = narrowed(found.value.table, question, Option.isSome(own))
  const title = named.length === 0 ? "Report on the figures" : `Report on ${named.join(", ")}`
  return message(preface + report(title, table))
})
