import { BackgroundModel, type ModelEvent, type ModelRequest } from "@effect-baton/core/BackgroundModel"
import { RunId } from "@effect-baton/core/Run"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { Effect, Layer, Redacted, type Scope, Stream } from "effect"
import { type AiError, Prompt } from "effect/ai"
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"

export const key = "sk-test-0123456789abcdef"

export type Json = { readonly [key: string]: unknown }

export const request = (more?: Partial<ModelRequest>): ModelRequest => ({
  runId: RunId.make("run-1"),
  agent: "analyst",
  prompt: Prompt.make("What is 2 + 2?"),
  background: true,
  ...more
})

/** An event as it stands in a body. */
export const sse = (event: Json): string => `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`

export const response = (more?: Json): Json => ({
  id: "resp_1",
  object: "response",
  status: "completed",
  model: "gpt-test",
  output: [],
  error: null,
  incomplete_details: null,
  usage: null,
  ...more
})

export const created = (sequence_number = 0): Json => ({
  type: "response.created",
  sequence_number,
  response: response({ status: "queued" })
})

export const completed = (sequence_number: number, more?: Json): Json => ({
  type: "response.completed",
  sequence_number,
  response: response(more)
})

export const delta = (sequence_number: number, text: string): Json => ({
  type: "response.output_text.delta",
  sequence_number,
  item_id: "msg_1",
  output_index: 0,
  content_index: 0,
  delta: text,
  logprobs: [],
  obfuscation: "x"
})

type Fetch = NonNullable<OpenAiClient.ClientSettings["fetch"]>

/** A model over a `fetch` of the test's. */
export const over = (fetch: Fetch, options?: Partial<OpenAiBackgroundModel.Options>) =>
  OpenAiBackgroundModel.layer({ model: "gpt-test", ...options }).pipe(
    Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl: "https://api.test/v1", fetch }))
  )

/** A model over a server. */
export const at = (baseUrl: string, options?: Partial<OpenAiBackgroundModel.Options>) =>
  OpenAiBackgroundModel.layer({ model: "gpt-test", ...options }).pipe(
    Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl }))
  )

/** A `fetch` that answers each request with a body of these chunks. */
export const chunks =
  (...pieces: ReadonlyArray<string | Uint8Array>): Fetch =>
  () => {
    const bytes = pieces.map((chunk) => (typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk))
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const chunk of bytes) controller.enqueue(chunk)
        controller.close()
      }
    })
    return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }))
  }

/** A `fetch` that answers each request with JSON. */
export const answers =
  (status: number, json: unknown, headers: Record<string, string> = {}): Fetch =>
  () =>
    Promise.resolve(
      new Response(typeof json === "string" ? json : JSON.stringify(json), {
        status,
        headers: { "content-type": "application/json", ...headers }
      })
    )

export const create = (more?: Partial<ModelRequest>) =>
  Stream.unwrap(Effect.map(BackgroundModel, (model) => model.create(request(more))))

export const submit = Effect.flatMap(BackgroundModel, (model) => model.submit(request()))

const plain = (event: ModelEvent): ModelEvent => ({
  ...event,
  // Some events make it when it is read.
  ...(event.raw === undefined ? {} : { raw: event.raw })
})

/** What a create stream gave, and what it failed with, if it did. */
export const heard = <E, R>(stream: Stream.Stream<ModelEvent, E, R>) =>
  Effect.gen(function* () {
    const events: Array<ModelEvent> = []
    const exit = yield* Effect.result(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))))
    return { events: events.map(plain), error: exit._tag === "Failure" ? exit.failure : undefined }
  })

/** The events of a body, without those that only say that the connection lives. */
export const read = (...body: ReadonlyArray<string | Uint8Array>) =>
  heard(create()).pipe(
    Effect.provide(over(chunks(...body))),
    Effect.map(({ error, events }) => ({ error, events: events.filter((event) => event.raw !== undefined) }))
  )

/** The one event that this object becomes. */
export const decoded = (event: Json) =>
  Effect.map(read(sse(created()), sse(event)), ({ events }): ModelEvent | undefined => events[1])

export const reasonOf = (error: unknown): AiError.AiErrorReason | undefined =>
  (error as { readonly reason?: AiError.AiErrorReason } | undefined)?.reason

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

export interface Server {
  readonly url: string
  readonly port: number
  readonly seen: ReadonlyArray<Seen>
  /** How many connections were ever made. */
  readonly connections: () => number
  /** How many are open now. */
  readonly open: () => number
}

/** A server on loopback that lives as long as the scope. */
export const serve = (
  handle: (request: Seen, response: Http.ServerResponse, socket: Socket) => void
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Server & { readonly server: Http.Server }>((resume) => {
      const seen: Array<Seen> = []
      const sockets = new Set<Socket>()
      let connections = 0
      const server = Http.createServer((incoming, outgoing) => {
        let body = ""
        incoming.setEncoding("utf8")
        incoming.on("data", (chunk: string) => (body += chunk))
        incoming.on("end", () => {
          const { headers, method = "", url = "" } = incoming
          const arrived = { method, url, headers, body }
          seen.push(arrived)
          handle(arrived, outgoing, incoming.socket)
        })
      })
      server.on("connection", (socket) => {
        connections += 1
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const counts = { connections: () => connections, open: () => sockets.size }
        resume(Effect.succeed({ server, seen, port, url: `http://127.0.0.1:${port}/v1`, ...counts }))
      })
    }),
    ({ server }) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

/** Waits, in real time, until something is so. Gives whether it came to be. */
export const eventually = (condition: () => boolean): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    for (let i = 0; i < 300 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
    return condition()
  })

/** Begins an event stream. */
export const stream = (outgoing: Http.ServerResponse, ...events: ReadonlyArray<Json>): void => {
  outgoing.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" })
  outgoing.flushHeaders()
  for (const event of events) outgoing.write(sse(event))
}
