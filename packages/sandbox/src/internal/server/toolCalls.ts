import * as Option from "effect/Option"
import type { ModelRequest, ResponseScript } from "../../ResponseScript.ts"
import { splitDeltas } from "../../ResponseScript.ts"

interface Call {
  readonly name: string
  readonly json: string
}

const line = /^[ \t]*(then[ \t]+)?call:[ \t]*([\w-]+)[ \t]*(\{.*\})?[ \t]*$/gim

const rounds = (text: string): ReadonlyArray<ReadonlyArray<Call>> => {
  const out: Array<Array<Call>> = []
  for (const [, then, name = "", json = "{}"] of text.matchAll(line)) {
    const last = out.at(-1)
    if (then !== undefined || last === undefined) out.push([{ name, json }])
    else last.push({ name, json })
  }
  return out
}

/**
 * The calls that a prompt asks for. All lines `call: name {json}` are called
 * in the first turn; each line `then call: name {json}` is called in a turn of
 * its own. There is no call if no tool of that name is offered, or if every
 * call is answered already.
 */
export const toolCalls = (request: ModelRequest): Option.Option<ResponseScript> => {
  const inputs = [...request.history, ...request.input]
  const lastPrompt = inputs.findLastIndex((input) => input.type === "message" && input.role === "user")
  const prompt = inputs[lastPrompt]
  if (prompt?.type !== "message") return Option.none()
  let answered = inputs.slice(lastPrompt).filter((input) => input.type === "function_call_output").length
  for (const [turn, round] of rounds(prompt.text).entries()) {
    const calls = round.filter(({ name }) => request.tools.includes(name))
    if (answered >= calls.length) {
      answered -= calls.length
      continue
    }
    return Option.some({
      items: calls.map(({ json, name }, index) => ({
        type: "function_call",
        name,
        callId: `call_${name}_${turn}_${index}`,
        deltas: splitDeltas(json)
      }))
    })
  }
  return Option.none()
}
