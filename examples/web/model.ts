// The model of the page if the environment names no provider. It looks a region up, writes its report, and sends it if the
// question says so.
import { ResponseScript, SalesAnalyst } from "@effect-baton/sandbox"
import { Effect } from "effect"

type Item = ResponseScript.ScriptItem

const call = (name: string, callId: string, params: object): Item => ({
  type: "function_call",
  name,
  callId,
  deltas: ResponseScript.splitDeltas(JSON.stringify(params))
})

export const model: ResponseScript.SandboxModel = Effect.fnUntraced(function* (request) {
  const all = [...request.history, ...request.input]
  const messages = all.filter((input) => input.type === "message")
  const question = messages[0]?.text.split("\n")[0] ?? ""
  const outputOf = (callId: string) => all.find((input) => "output" in input && input.callId === callId)
  const isOffered = (name: string) => request.tools.includes(name)
  const sent = outputOf("call_send")
  if (sent !== undefined) {
    const isSent = "output" in sent && sent.output.includes("sent to")
    return ResponseScript.message(isSent ? "The report was sent." : "The report was **not** sent.")
  }
  const [region] = /North|South|East|West|Central/.exec(question) ?? []
  if (outputOf("call_look") === undefined && region !== undefined && isOffered("lookUp")) {
    return { items: [call("lookUp", "call_look", { region })] }
  }
  const report = yield* SalesAnalyst.model({ ...request, input: messages, history: [] })
  const [to] = /[\w.]+@[\w.]+\w/.exec(question) ?? []
  return to === undefined || !isOffered("sendReport")
    ? report
    : { items: [...report.items, call("sendReport", "call_send", { to })] }
})
