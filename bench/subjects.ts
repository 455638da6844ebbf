/** Who reads: what each subject does to read one stream, as its user would write it. */
import { batonOver } from "./baton.ts"
import { eventsOf } from "./events.ts"
import { request } from "./request.ts"
import { setting } from "./stores.ts"

/** Reads one stream to its end, and hands out the text of each delta. */
export type Read = (input: string, onText: (text: string) => void) => Promise<void>

/** The limit: no less can be done to have the events. */
const bare = (): Read => async (input, onText) => {
  const { body } = await request(setting("BENCH_URL"), input)
  await eventsOf(body, ({ delta, type }) => {
    if (type === "response.output_text.delta" && delta !== undefined) onText(delta)
    return true
  })
}

const clientOfOpenAi = async () => {
  const { OpenAI } = await import("openai")
  return new OpenAI({ apiKey: "bench", baseURL: setting("BENCH_URL"), maxRetries: 0 })
}

const openai = async (): Promise<Read> => {
  const client = await clientOfOpenAi()
  return async (input, onText) => {
    const events = await client.responses.create({ model: "bench", input, background: true, stream: true })
    for await (const event of events) if (event.type === "response.output_text.delta") onText(event.delta)
  }
}

const agentsSdk = async (): Promise<Read> => {
  const { Agent, OpenAIResponsesModel, run, setTracingDisabled } = await import("@openai/agents")
  setTracingDisabled(true)
  const agent = new Agent({ name: "bench", model: new OpenAIResponsesModel(await clientOfOpenAi(), "bench") })
  return async (input, onText) => {
    const events = await run(agent, input, { stream: true })
    for await (const event of events) {
      if (event.type === "raw_model_stream_event" && event.data.type === "output_text_delta") onText(event.data.delta)
    }
    await events.completed
  }
}

const aiSdk = async (): Promise<Read> => {
  const { createOpenAI } = await import("@ai-sdk/openai")
  const { streamText } = await import("ai")
  const model = createOpenAI({ apiKey: "bench", baseURL: setting("BENCH_URL") }).responses("bench")
  return async (input, onText) => {
    for await (const text of streamText({ model, prompt: input, maxRetries: 0 }).textStream) onText(text)
  }
}

const baton = async (kind: string): Promise<Read> => {
  const { agent, runtime } = await batonOver(kind)
  const { Agent } = await import("@effect-baton/core")
  const { Effect, Stream } = await import("effect")
  return (input, onText) =>
    Agent.stream(agent, { input }).pipe(
      Stream.runForEach((update) =>
        Effect.sync(() => {
          if (update.text !== "") onText(update.text)
        })
      ),
      runtime.runPromise
    )
}

/** One pull for each read: all that came is taken together, and acknowledged when it was used. */
const batonByRead = async (): Promise<Read> => {
  const { agent, runtime } = await batonOver("memory")
  const { Agent } = await import("@effect-baton/core")
  const { Effect, Stream } = await import("effect")
  return (input, onText) =>
    Agent.stream(agent, { input, acknowledge: "manual" }).pipe(
      Stream.runForEachArray((deliveries) =>
        Effect.forEach(
          deliveries,
          ({ acknowledge, update }) => {
            if (update.text !== "") onText(update.text)
            return acknowledge
          },
          { discard: true }
        )
      ),
      runtime.runPromise
    )
}

/** A reader of its name. Only what it needs is imported. */
export const reader = async (subject: string): Promise<Read> => {
  switch (subject) {
    case "fetch":
      return bare()
    case "openai":
      return openai()
    case "agents":
      return agentsSdk()
    case "ai":
      return aiSdk()
    case "manual":
      return batonByRead()
    default:
      return baton(subject)
  }
}
