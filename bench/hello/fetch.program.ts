import { request } from "../request.ts"
import { stamp } from "../stamp.ts"

const { body } = await request(process.env["BENCH_URL"] ?? "", "flat:20")
const reader = body.getReader()
const decoder = new TextDecoder()
let text = ""
while (!text.includes("\n\n")) text += decoder.decode((await reader.read()).value, { stream: true })
const event = text.slice(0, text.indexOf("\n\n"))
JSON.parse(event.slice(event.indexOf("\ndata: ") + 7))
stamp()
await reader.cancel()
