/** Who reads: what each subject does to read one stream, as its user would write it. */
import { request } from "./request.ts"

/** Reads one stream to its end, and hands out the text of each delta. */
export type Read = (input: string, onText: (text: string) => void) => Promise<void>

const setting = (name: string): string => process.env[name] ?? ""

/** The limit: no less can be done to have the events. */
const bare = (): Read => async (input, onText) => {
  const { body } = await request(setting("BENCH_URL"), input)
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ""
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n")
    rest = events.pop() ?? ""
    for (const event of events) {
      const parsed = JSON.parse(event.slice(event.indexOf("\ndata: ") + 7))
      if (parsed.type === "response.output_text.delta") onText(parsed.delta)
    }
  }
}

const openai = async (): Promise<Read> => {
  const { OpenAI } = await import("openai")
  const client = new OpenAI({ apiKey: "bench", baseURL: setting("BENCH_URL"), maxRetries: 0 })
  return async (input, onText) => {
    const events = await client.responses.create({ model: "bench", input, background: true, stream: true })
    for await (const event of events) if (event.type === "response.output_text.delta") onText(event.delta)
  }
}

const storeOf = async (kind: string) => {
  const { TokenStore } = await import("@effect-baton/core")
  if (kind === "memory") return TokenStore.layerMemory
  const { Layer } = await import("effect")
  const { NodeRedis, NodeServices } = await import("@effect/platform-node")
  if (kind === "file") {
    return Layer.provide(Layer.orDie(TokenStore.layerFile({ directory: setting("BENCH_FILES") })), NodeServices.layer)
  }
  const { RedisTokenStore } = await import("@effect-baton/redis")
  return RedisTokenStore.layer({ prefix: setting("BENCH_PREFIX") }).pipe(
    Layer.provide(Layer.orDie(NodeRedis.layer({ url: setting("BENCH_REDIS"), disableOfflineQueue: true })))
  )
}

const baton = async (kind: string): Promise<Read> => {
  const { Agent } = await import("@effect-baton/core")
  const { OpenAiBackgroundModel, OpenAiClient } = await import("@effect-baton/openai")
  const { Effect, Layer, ManagedRuntime, Redacted, Stream } = await import("effect")
  const client = OpenAiClient.layer({ apiKey: Redacted.make("bench"), baseUrl: setting("BENCH_URL") })
  const model = OpenAiBackgroundModel.layer({ model: "bench" }).pipe(Layer.provide(client))
  const runtime = ManagedRuntime.make(Layer.mergeAll(model, await storeOf(kind)))
  const agent = Agent.make("bench", { background: true })
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

/** A reader of its name. Only what it needs is imported. */
export const reader = async (subject: string): Promise<Read> => {
  switch (subject) {
    case "fetch":
      return bare()
    case "openai":
      return openai()
    default:
      return baton(subject)
  }
}
