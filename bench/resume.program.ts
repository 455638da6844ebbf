/**
 * A run is resumed again and again, each time to its first update: `resume.program.ts SUBJECT STORE TIMES WARM-UP`. The
 * limit reads the store once and asks for the rest of the stream by bare `fetch`; `openai` does so without a store.
 */
import { Agent, Run, TokenStore } from "@effect-baton/core"
import { Effect, Option, Stream } from "effect"
import OpenAI from "openai"
import { batonOver } from "./baton.ts"
import { now } from "./clock.ts"
import { eventsOf } from "./events.ts"
import { setting } from "./stores.ts"

const [subject = "", kind = "", ...numbers] = process.argv.slice(2)
const [times = 0, warmUp = 0] = numbers.map(Number)
process.stdin.resume().once("end", () => process.exit(1))

const { agent, runtime } = await batonOver(kind)

// Left in the middle: its response goes on at the server.
const left = await Agent.stream(agent, { input: "flat:1000" }).pipe(
  Stream.filter((update) => update.text !== ""),
  Stream.take(20),
  Stream.runLast,
  Effect.map(Option.getOrThrow),
  runtime.runPromise
)
const continuationToken = Option.getOrThrow(left.continuationToken)
const after = left.sequenceNumber ?? 0
const runId = Run.RunId.make(left.runId)

const client = new OpenAI({ apiKey: "bench", baseURL: setting("BENCH_URL"), maxRetries: 0 })

/** From the call to the first update, in milliseconds. */
const resume = async (): Promise<number> => {
  const start = now()
  let at = Number.NaN
  const first = () => {
    at = now()
  }
  switch (subject) {
    case "limit": {
      await runtime.runPromise(Effect.flatMap(TokenStore.TokenStore, (store) => store.read(runId)))
      const url = `${setting("BENCH_URL")}/responses/${left.responseId}?stream=true&starting_after=${after}`
      const { body } = await fetch(url, { headers: { authorization: "Bearer bench" } })
      if (body !== null)
        await eventsOf(body, () => {
          first()
          return false
        })
      break
    }
    case "openai": {
      const events = await client.responses.retrieve(left.responseId, { stream: true, starting_after: after })
      for await (const _ of events) {
        first()
        break
      }
      break
    }
    default:
      await Agent.resume(agent, { continuationToken }).pipe(
        Stream.take(1),
        Stream.runForEach(() => Effect.sync(first)),
        runtime.runPromise
      )
  }
  return at - start
}

for (let i = 0; i < warmUp; i++) await resume()
const all: Array<number> = []
const cpu = process.cpuUsage()
for (let i = 0; i < times; i++) all.push(await resume())
const { system, user } = process.cpuUsage(cpu)
const sorted = all.toSorted((a, b) => a - b)
console.log(
  JSON.stringify({
    ms: sorted[times >> 1],
    p90: sorted[Math.floor(times * 0.9)],
    cpu: (user + system) / 1000 / times
  })
)
process.exit(0)
