import OpenAI from "openai"

const client = new OpenAI({ apiKey: "bench", baseURL: process.env["BENCH_URL"] ?? "" })

const events = await client.responses.create({ model: "bench", input: "flat:20", background: true, stream: true })
for await (const _ of events) {
  console.log(String(process.hrtime.bigint()))
  break
}
