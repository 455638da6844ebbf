/**
 * A sandbox server of the Responses API on 127.0.0.1, for the official SDK:
 * create, background, stream, retrieve, `starting_after`, cancel, delete,
 * input items and errors, over a real socket. Its model is a small analyst
 * that works by rules.
 *
 * @since 0.1.0
 */
import { NodeHttpServer, NodeServices } from "@effect/platform-node"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Http from "node:http"
import { Responses } from "./internal/server/responses.ts"
import { routes } from "./internal/server/routes.ts"
import type { SandboxModel } from "./ResponseScript.ts"
import * as SalesAnalyst from "./SalesAnalyst.ts"
import type { SandboxLedger } from "./SandboxLedger.ts"
import type { Trouble } from "./SandboxTrouble.ts"
import { readDirectory, type Transcript, type TranscriptError } from "./Transcript.ts"

/**
 * How a sandbox server is set up.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponsesServerOptions {
  /** The port on 127.0.0.1. Default 0: any free port. */
  readonly port?: number | undefined
  /** Time between two deltas. Default 0: as fast as they are read. */
  readonly pace?: Duration.Input | undefined
  /** Time that background responses stay queued. Default 0. */
  readonly queueTime?: Duration.Input | undefined
  /** How long after its creation a response can be streamed again. Default 5 minutes. */
  readonly replayWindow?: Duration.Input | undefined
  /** The only key that is accepted: others are refused with 401. Without it, every key is accepted. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** Recordings for the models `transcript:<name>`: a directory, or the recordings themselves. */
  readonly transcripts?: string | ReadonlyArray<Transcript> | undefined
  /** The model for every name without a special meaning. Default: the analyst. */
  readonly model?: SandboxModel | undefined
  /**
   * Where to report the ends of background responses, like OpenAI's webhooks.
   * Messages are signed with the secret (`whsec_…`), so that the SDK's
   * `webhooks.unwrap` verifies them. If the endpoint does not answer within 10
   * seconds with a 2xx status, the message is sent again: after 100
   * milliseconds, then after twice as long, for up to 72 hours.
   */
  readonly webhook?: { readonly url: string; readonly secret: Redacted.Redacted } | undefined
  /** Troubles of the whole server, active from its start. */
  readonly troubles?: ReadonlyArray<Trouble> | undefined
  /**
   * Whether a response that is still in progress shows the text so far when
   * it is retrieved. Default false, as in recordings.
   */
  readonly partialSnapshots?: boolean | undefined
}

/**
 * The server could not listen on its port.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResponsesServerError extends Schema.TaggedError<ResponsesServerError>()("ResponsesServerError", {
  message: Schema.String
}) {}

/**
 * A running sandbox server.
 *
 * **When to use**
 *
 * Use it to run code that calls the Responses API without a network or an
 * account, and to test how that code handles failures.
 *
 * **Details**
 *
 * | name of the model | answer |
 * | --- | --- |
 * | `lorem:N` | N deltas |
 * | `echo` | the text of the last message |
 * | `transcript:<name>` | a recording, with the response id that was recorded; creating it again replaces the response |
 * | names that begin with `unknown` | refused: there is no such model |
 * | any other name | the analyst (`SalesAnalyst`), or the model in the options |
 *
 * For all but `lorem`, `echo` and transcripts, lines of the prompt ask for
 * tools. A line counts if the request offers its tool:
 *
 * | line | what the model does |
 * | --- | --- |
 * | `call: name {json}` | calls the function; without JSON, with arguments made from its schema |
 * | `call: name text` | calls the custom tool |
 * | `search: words` | searches the web, with two sources and their citations |
 * | `code: 6*7` | runs code; the sandbox computes arithmetic alone |
 * | `mcp: tool {json}`, `mcp: server/tool {json}` | calls a tool of an MCP server, or asks for its approval |
 * | `think: words` | thinks, as a summary of reasoning |
 *
 * A line that begins with `then`, such as `then call: name`, waits until all
 * calls before it are answered. `search`, `code` and `mcp` lines can end with
 * `-> text`: what the tool answers. `-> error: text` makes a call of an MCP
 * server fail.
 *
 * Without such lines, the analyst calls a function or a custom tool by rules.
 * It calls the tool that `tool_choice` names. It calls the tool that fits the
 * prompt best: the prompt has the tool's name in it, or the words of its name,
 * or two words of its description. If `tool_choice` is `required` and none
 * fits, it calls the first. As soon as a call has its result, the model
 * answers, even if a call is still required. A model in the options does not
 * follow these rules: its script says what it calls.
 *
 * What the server does not run, it refuses: other types of tools, grammars of
 * custom tools, and `include` values that it has nothing for.
 *
 * Routes are served under `/v1`, and for Azure under `/openai/v1`, `/openai`
 * and `/openai/deployments/{deployment}`; `GET /sandbox/ledger` gives the
 * ledger as JSON, `DELETE /sandbox/ledger` clears it, and
 * `PUT /sandbox/troubles` sets the server's troubles (a JSON array).
 *
 * Time is the Effect `Clock`: under a `TestClock`, paces, queue times and the
 * replay window pass when the test adjusts the clock.
 *
 * **Example** (Calling the server with the official SDK)
 *
 * ```ts
 * import { Effect } from "effect"
 * import OpenAI from "openai"
 * import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* ResponsesServer
 *   const client = new OpenAI({ baseURL: server.url, apiKey: "any" })
 *   const response = yield* Effect.promise(() => client.responses.create({ model: "echo", input: "Hello" }))
 *   return response.output_text
 * }).pipe(Effect.provide(ResponsesServer.layer()))
 *
 * await Effect.runPromise(program) // => Hello
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class ResponsesServer extends Context.Service<
  ResponsesServer,
  {
    /** `http://127.0.0.1:PORT/v1`: the SDK's `baseURL`. */
    readonly url: string
    /** `http://127.0.0.1:PORT`: Azure's `endpoint`. */
    readonly origin: string
    readonly port: number
    /** The requests and responses so far. */
    readonly ledger: Effect.Effect<SandboxLedger>
    /** Clears the ledger. Responses stay. */
    readonly clearLedger: Effect.Effect<void>
    /** Replaces the server's troubles, with fresh counts. */
    readonly setTroubles: (troubles: ReadonlyArray<Trouble>) => Effect.Effect<void>
    /** Adds troubles to the server's. */
    readonly addTroubles: (...troubles: ReadonlyArray<Trouble>) => Effect.Effect<void>
    /** Changes the time between deltas, also for responses under way. */
    readonly setPace: (pace: Duration.Input) => Effect.Effect<void>
  }
>()("@effect-baton/sandbox/ResponsesServer") {
  /**
   * Starts a server for as long as the layer lives. It runs on Node and needs
   * no other service. Fails with `ResponsesServerError` if the port is taken,
   * and with `TranscriptError` if a directory of recordings cannot be read.
   *
   * @since 0.1.0
   */
  static readonly layer = (
    options: ResponsesServerOptions = {}
  ): Layer.Layer<ResponsesServer, ResponsesServerError | TranscriptError> =>
    Layer.effect(ResponsesServer, make(options))
}

const make = Effect.fnUntraced(function* (options: ResponsesServerOptions) {
  const responses = yield* Responses.make({
    pace: Duration.toMillis(options.pace ?? 0),
    queue: Duration.toMillis(options.queueTime ?? 0),
    replayWindow: Duration.toMillis(options.replayWindow ?? "5 minutes"),
    partialSnapshots: options.partialSnapshots ?? false,
    model: options.model ?? SalesAnalyst.model,
    rules: options.model === undefined || options.model === SalesAnalyst.model,
    webhook: options.webhook,
    transcripts:
      typeof options.transcripts === "string"
        ? yield* readDirectory(options.transcripts).pipe(Effect.provide(NodeServices.layer))
        : (options.transcripts ?? [])
  })
  responses.serverTroubles.add(options.troubles ?? [])

  const node = Http.createServer({ requestTimeout: 0, noDelay: true })
  const server = yield* NodeHttpServer.make(() => node, {
    host: "127.0.0.1",
    port: options.port ?? 0,
    gracefulShutdownTimeout: 0
  }).pipe(Effect.mapError((error) => new ResponsesServerError({ message: String(error.cause) })))
  const app = yield* HttpRouter.toHttpEffect(routes(responses, options.apiKey))
  yield* server.serve(app as Effect.Effect<HttpServerResponse.HttpServerResponse, never, never>)
  // Streams that stall on purpose would keep the server from closing.
  yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))

  const address = node.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const origin = `http://127.0.0.1:${port}`
  return ResponsesServer.of({
    url: `${origin}/v1`,
    origin,
    port,
    ledger: Effect.sync(() => responses.ledger),
    clearLedger: Effect.sync(() => responses.clearLedger()),
    setTroubles: (troubles) =>
      Effect.sync(() => {
        responses.serverTroubles.entries = []
        responses.serverTroubles.add(troubles)
      }),
    addTroubles: (...troubles) => Effect.sync(() => responses.serverTroubles.add(troubles)),
    setPace: (pace) =>
      Effect.sync(() => {
        responses.settings.pace = Duration.toMillis(pace)
      })
  })
})

/**
 * Starts a server for as long as the layer lives. It is the same as
 * `ResponsesServer.layer` of the class. Fails with `ResponsesServerError` if
 * the port is taken, and with `TranscriptError` if a directory of recordings
 * cannot be read.
 *
 * **Example** (A slow server that ends its first stream early)
 *
 * ```ts
 * import * as ResponsesServer from "@effect-baton/sandbox/ResponsesServer"
 *
 * const paced = ResponsesServer.layer({ pace: "10 millis", troubles: [{ _tag: "EndEarly", after: 20, times: 1 }] })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: (
  options?: ResponsesServerOptions
) => Layer.Layer<ResponsesServer, ResponsesServerError | TranscriptError> = ResponsesServer.layer
