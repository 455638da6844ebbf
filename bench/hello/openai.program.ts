import OpenAI from "openai"
import { stamp } from "../stamp.ts"

const client = new OpenAI({ apiKey: "bench", baseURL: process.env["BENCH_URL"] ?? "" })

const events = await client.responses.create({ model: "bench", input: "flat:20", background: true, stream: true })
for await (const _ of events) {
  stamp()
  break
}
