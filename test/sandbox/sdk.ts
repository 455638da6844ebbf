import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import type { Trouble } from "@effect-baton/sandbox/SandboxTrouble"
import { Effect } from "effect"
import OpenAI, { APIError } from "openai"
import type { ResponseCreateParamsStreaming, ResponseStreamEvent } from "openai/resources/responses/responses"

/** The official client, pointed at the sandbox, with its own retries off. */
export const connect = Effect.map(
  ResponsesServer,
  (server) => new OpenAI({ baseURL: server.url, apiKey: "sk-sandbox", maxRetries: 0, logLevel: "off" })
)

/** A call of the SDK; what it rejects with is the failure. */
export const call = <A>(promise: (signal: AbortSignal) => PromiseLike<A>): Effect.Effect<A, unknown> =>
  Effect.tryPromise({ try: promise, catch: (error) => error })

/** A call of the SDK that must be refused: the refusal. */
export const refused = <A>(promise: (signal: AbortSignal) => PromiseLike<A>): Effect.Effect<APIError, unknown> =>
  Effect.flatMap(Effect.flip(call(promise)), (error) =>
    error instanceof APIError ? Effect.succeed(error) : Effect.fail(error)
  )

/** What a stream gave, and what it ended with other than its end. */
export interface Heard {
  readonly events: ReadonlyArray<ResponseStreamEvent>
  readonly error: unknown
}

const listen = async (stream: PromiseLike<AsyncIterable<ResponseStreamEvent>>): Promise<Heard> => {
  const events: Array<ResponseStreamEvent> = []
  try {
    for await (const event of await stream) events.push(event)
    return { events, error: undefined }
  } catch (error) {
    return { events, error }
  }
}

export const heard = (stream: () => PromiseLike<AsyncIterable<ResponseStreamEvent>>): Effect.Effect<Heard> =>
  Effect.promise(() => listen(stream()))

/** Creates a stream and reads it to its end. */
export const created = (
  client: OpenAI,
  params: Omit<ResponseCreateParamsStreaming, "stream">,
  headers: Record<string, string> = {}
): Effect.Effect<Heard> => heard(() => client.responses.create({ ...params, stream: true }, { headers }))

/** Reads a stored response's stream from after a sequence number. */
export const resumed = (
  client: OpenAI,
  id: string,
  after?: number,
  headers: Record<string, string> = {}
): Effect.Effect<Heard> =>
  heard(() =>
    client.responses.retrieve(
      id,
      { stream: true, ...(after === undefined ? {} : { starting_after: after }) },
      { headers }
    )
  )

/** The id of the response that a stream told of first. */
export const idOf = ({ events }: Heard): string => {
  const named = events.find((event) => event.type === "response.created")
  return named === undefined ? "" : named.response.id
}

export const typesOf = ({ events }: Heard): ReadonlyArray<string> => events.map((event) => event.type)

export const textOf = ({ events }: Heard): string =>
  events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("")

export const poem = "Naïve façades — 日本語, emoji 🙂🚀, and “quotes”.\nA second line."

/** A background response that says it. */
export const background = { model: "echo", input: poem, background: true } as const

/** A server with these troubles. */
export const withTroubles = (...troubles: ReadonlyArray<Trouble>) => Effect.provide(ResponsesServer.layer({ troubles }))
