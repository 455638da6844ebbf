import { Agent, ToolCall, ToolPolicy } from "@effect-baton/core"
import type { ResponseScript } from "@effect-baton/sandbox"
import { Effect, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { chance } from "../random.ts"

// Runs with tools: 1 to 5 turns with calls, then the answer. Some calls need approval, some get their result from outside.

const Call = Schema.Struct({
  part: Schema.String,
  /** Whether it runs at once, waits for approval first, or gets its result from another process. */
  kind: Schema.Literals(["now", "asked", "later"]),
  millis: Schema.Int,
  fails: Schema.Boolean
})

const Plan = Schema.Struct({ runId: Schema.String, turns: Schema.Array(Schema.Array(Call)) })
export type Plan = typeof Plan.Type

const Prompt = Schema.fromJsonString(Plan)
const encode = Schema.encodeSync(Prompt)
const decode = Schema.decodeSync(Prompt)

const Result = Schema.Struct({ said: Schema.String, by: Schema.String })

const work = Tool.make("work", {
  parameters: Schema.Struct({ turn: Schema.Int, ...Call.fields }),
  success: Result,
  failure: Result,
  failureMode: "return",
  dependencies: [ToolCall.ToolCall]
})

export const toolkit = Toolkit.make(work)

/** The agent of a run with tools. */
export const agentOf = (seed: string, runId: string) =>
  Agent.make("toolsmith", {
    background: true,
    toolkit,
    log: isLogged(seed, runId),
    options: { metadata: { sandbox_trouble: JSON.stringify(troublesOf(seed, runId)) } }
  })

export const policy: ToolPolicy.ToolPolicy = ({ params }) =>
  Effect.succeed((params as typeof Call.Type).kind === "asked" ? ToolPolicy.ask() : ToolPolicy.allow)

export const isLogged = (seed: string, runId: string): boolean => chance(seed, runId, "logged").hits(0.6)

const troublesOf = (seed: string, runId: string) => {
  const of = chance(seed, runId, "troubles")
  const pace = { _tag: "Pace", millis: of.between(5, 30) }
  const after = of.between(6, 14)
  switch (of.between(0, 4)) {
    case 0:
      return [{ _tag: "EndEarly", after, times: 1 }, pace]
    case 1:
      return [{ _tag: "Reset", after, times: 1 }, pace]
    case 2:
      return [{ _tag: "RefuseReplay" }, { _tag: "EndEarly", after, times: 1 }, pace]
    default:
      return [pace]
  }
}

/** All of a run that is by chance. */
export const planOf = (seed: string, runId: string): Plan => {
  const of = chance(seed, runId, "tools")
  const turns = Array.from({ length: of.between(1, 5) }, () =>
    Array.from({ length: of.hits(0.3) ? 2 : 1 }, (_, i) => {
      const kind = of.next()
      return {
        part: i === 0 ? "a" : "b",
        kind: kind < 0.15 ? ("asked" as const) : kind < 0.3 ? ("later" as const) : ("now" as const),
        millis: of.hits(0.2) ? of.between(500, 2500) : of.between(1, 300),
        fails: of.hits(0.1)
      }
    })
  )
  return { runId, turns }
}

export const saidOf = (turn: number, part: string): string => `${turn}${part}`

const prefix = "Tools "
export const promptOf = (plan: Plan): string => `${prefix}${encode(plan)}`

/** What a request told the model about a call. */
export interface Told {
  readonly runId: string
  readonly turn: number
  readonly callId: string
  readonly output: string
}

const deltas = (text: string) => text.match(/\S+\s*/g) ?? []

/** What the final text says of an output. */
export const wordOf = (output: string): string => /"said":"(\w+)"/.exec(output)?.[1] ?? "denied"

/** The answer of the sandbox's model to a run with tools; undefined for other runs. */
export const scriptOf = (
  { history, input }: ResponseScript.ModelRequest,
  told: (one: Told) => void
): ResponseScript.ResponseScript | undefined => {
  const all = [...history, ...input]
  const prompt = all.flatMap((item) => (item.type === "message" && item.text.startsWith(prefix) ? [item.text] : []))[0]
  if (prompt === undefined) return undefined
  const { runId, turns } = decode(prompt.slice(prefix.length))
  const outputs = all.flatMap((item) => (item.type === "function_call_output" ? [item] : []))
  let turn = 0
  for (let known = 0; known < outputs.length; turn++) known += turns[turn]?.length ?? 1
  for (const item of input) {
    if (item.type === "function_call_output") {
      told({ runId, turn: turn - 1, callId: item.callId, output: item.output })
    }
  }
  const calls = turns[turn] ?? []
  const text =
    calls.length > 0
      ? `Step ${turn} of ${turns.length} asks. `
      : `All: ${outputs.map((one) => wordOf(one.output)).join(", ")}.`
  return {
    items: [
      { type: "message", deltas: deltas(text) },
      ...calls.map(
        (call) =>
          ({
            type: "function_call",
            name: "work",
            callId: `call_${call.part}`,
            deltas: deltas(JSON.stringify({ turn, ...call }))
          }) as const
      )
    ]
  }
}
