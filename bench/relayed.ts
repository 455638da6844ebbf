/** The two ends of a relay, as each subject has them: one process reads the provider, another one follows. */
import { createClient } from "redis"
import { eventsOf } from "./events.ts"
import { request } from "./request.ts"
import { redisStore, setting } from "./stores.ts"

/** A stream that is relayed: its name at both ends, and what the server is asked for. */
export interface Relayed {
  readonly id: string
  readonly input: string
}

/** Reads a stream of the provider to its end: how many updates or texts came. Calls `onOpen` once others can follow it. */
export type Write = (relayed: Relayed, onOpen: () => void) => Promise<number>

/** Follows a stream from its start to its end. Hands out the text of each delta; `onOpen` is called before all of them. */
export type View = (id: string, onOpen: () => void, onText: (text: string) => void) => Promise<void>

const batonOver = async (storage: string) => {
  const { Agent, TokenStore, UpdateLog } = await import("@effect-baton/core")
  const { OpenAiBackgroundModel, OpenAiClient } = await import("@effect-baton/openai")
  const { RedisUpdateLog } = await import("@effect-baton/redis")
  const { NodeRedis, NodeServices } = await import("@effect/platform-node")
  const { Effect, Layer, ManagedRuntime, Redacted } = await import("effect")
  const client = OpenAiClient.layer({ apiKey: Redacted.make("bench"), baseUrl: setting("BENCH_URL") })
  const model = OpenAiBackgroundModel.layer({ model: "bench" }).pipe(Layer.provide(client))
  const redis = Effect.map(NodeRedis.NodeRedis, (found) => found.client)
  const prefix = setting("BENCH_PREFIX")
  const stores =
    storage === "file"
      ? Layer.merge(
          TokenStore.layerMemory,
          UpdateLog.layerFile({ directory: setting("BENCH_FILES") }).pipe(
            Layer.orDie,
            Layer.provide(NodeServices.layer)
          )
        )
      : Layer.provideMerge(RedisUpdateLog.layerClient(redis, { prefix }), await redisStore(prefix))
  return {
    agent: Agent.make("bench", { background: true }),
    runtime: ManagedRuntime.make(Layer.merge(model, stores))
  }
}

/** The pump of a run and the run's consumer, who takes every update. */
export const batonWriter = async (storage = "redis"): Promise<Write> => {
  const { agent, runtime } = await batonOver(storage)
  const { Agent } = await import("@effect-baton/core")
  const { Effect, Stream } = await import("effect")
  return async ({ id, input }, onOpen) => {
    let updates = 0
    await Agent.stream(agent, { runId: id, input }).pipe(
      Stream.runForEachArray((some) =>
        Effect.sync(() => {
          if (updates === 0) onOpen()
          updates += some.length
        })
      ),
      runtime.runPromise
    )
    return updates
  }
}

const batonViewer = async (): Promise<View> => {
  const { agent, runtime } = await batonOver("redis")
  const { Agent, Run } = await import("@effect-baton/core")
  const { Effect, Option, Stream } = await import("effect")
  return (id, onOpen, onText) => {
    let offset = 0
    return Agent.watch(agent, { runId: Run.RunId.make(id), offset: 0 }).pipe(
      Stream.runForEachArray((updates) =>
        Effect.sync(() => {
          if (offset === 0) onOpen()
          for (const { continuationToken, text } of updates) {
            offset++
            // One of a thousand, since a token is made when it is read, and a viewer reads the last one it needs.
            if (offset % 1000 === 0 && Option.getOrThrow(continuationToken).offset !== offset) {
              throw new Error(`The update at ${offset} has another offset`)
            }
            if (text !== "") onText(text)
          }
        })
      ),
      runtime.runPromise
    )
  }
}

const contextOf = async () => {
  const { createResumableStreamContext } = await import("resumable-stream")
  const options = { url: setting("BENCH_REDIS"), disableOfflineQueue: true, commandOptions: { timeout: 0 } }
  const [publisher, subscriber] = await Promise.all([createClient(options).connect(), createClient(options).connect()])
  return createResumableStreamContext({
    waitUntil: null,
    keyPrefix: setting("BENCH_PREFIX"),
    publisher: {
      connect: async () => undefined,
      publish: (channel, message) => publisher.publish(channel, message),
      set: (key, value, { EX = 60 } = {}) => publisher.set(key, value, { expiration: { type: "EX", value: EX } }),
      get: (key) => publisher.get(key),
      incr: (key) => publisher.incr(key)
    },
    subscriber: {
      connect: async () => undefined,
      subscribe: (channel, callback) => subscriber.subscribe(channel, callback),
      unsubscribe: (channel) => subscriber.unsubscribe(channel)
    }
  })
}

const texts = (body: ReadableStream<Uint8Array>, cut: (text: string) => Iterable<string>): ReadableStream<string> => {
  const decoder = new TextDecoder()
  return body.pipeThrough(
    new TransformStream<Uint8Array, string>({
      transform: (bytes, controller) => {
        for (const text of cut(decoder.decode(bytes, { stream: true }))) controller.enqueue(text)
      }
    })
  )
}

/** One text for each event: what `consumeSseStream` of the AI SDK gives to `resumable-stream`. */
const byEvent = (body: ReadableStream<Uint8Array>): ReadableStream<string> => {
  let rest = ""
  return texts(body, (text) => {
    const events = (rest + text).split("\n\n")
    rest = events.pop() ?? ""
    return events.map((event) => `${event}\n\n`)
  })
}

/** One text for each read of the socket, whatever came with it. */
const byRead = (body: ReadableStream<Uint8Array>): ReadableStream<string> => texts(body, (text) => [text])

const resumableWriter = async (cut: typeof byEvent): Promise<Write> => {
  const context = await contextOf()
  return async ({ id, input }, onOpen) => {
    const { body } = await request(setting("BENCH_URL"), input)
    const local = await context.createNewResumableStream(id, () => cut(body))
    onOpen()
    if (local === null) throw new Error(`The stream ${id} is over`)
    let count = 0
    for await (const text of local) count += text === "" ? 0 : 1
    return count
  }
}

const resumableViewer = async (): Promise<View> => {
  const context = await contextOf()
  return async (id, onOpen, onText) => {
    const seen = await context.resumeExistingStream(id)
    if (seen === null || seen === undefined) throw new Error(`There is no stream ${id}`)
    let isOpen = false
    await eventsOf(seen.pipeThrough(new TextEncoderStream()), ({ delta, type }) => {
      if (!isOpen) onOpen()
      isOpen = true
      if (type === "response.output_text.delta" && delta !== undefined) onText(delta)
      return true
    })
  }
}

export const writer = (subject: string): Promise<Write> => {
  switch (subject) {
    case "events":
      return resumableWriter(byEvent)
    case "reads":
      return resumableWriter(byRead)
    default:
      return batonWriter()
  }
}

export const viewer = (subject: string): Promise<View> => (subject === "baton" ? batonViewer() : resumableViewer())
