import { Agent, OpenAIResponsesModel, run, setTracingDisabled } from "@openai/agents"
import OpenAI from "openai"
import { stamp } from "../stamp.ts"

setTracingDisabled(true)

const client = new OpenAI({ apiKey: "bench", baseURL: process.env["BENCH_URL"] ?? "" })
const analyst = new Agent({ name: "analyst", model: new OpenAIResponsesModel(client, "bench") })

const events = await run(analyst, "flat:20", { stream: true })
for await (const event of events) {
  // Others come before the request is sent.
  if (event.type !== "raw_model_stream_event") continue
  stamp()
  break
}
