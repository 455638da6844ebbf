import { createOpenAI } from "@ai-sdk/openai"
import { streamText } from "ai"
import { stamp } from "../stamp.ts"

const openai = createOpenAI({ apiKey: "bench", baseURL: process.env["BENCH_URL"] ?? "" })

const { textStream } = streamText({ model: openai.responses("bench"), prompt: "flat:20", maxRetries: 2 })
for await (const _ of textStream) {
  stamp()
  break
}
