/**
 * A background model that plays a script, for tests under `TestClock`.
 *
 * @since 0.1.0
 */
import { BackgroundModel } from "@effect-baton/core"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import { attach, compile, type Entry, type Played, snapshot } from "./internal/playback.ts"
import type { End, Shown, Step, Used } from "./ScriptStep.ts"

export type { End, Shown, Step, Used } from "./ScriptStep.ts"

/**
 * The model writes text: one event with one delta or several. `item` is the output item, if several are written in parallel.
 *
 * @since 0.1.0
 * @category constructors
 */
export const text = (delta: string | ReadonlyArray<string>, item = 0): Step => ({
  _tag: "Text",
  item,
  deltas: typeof delta === "string" ? [delta] : delta
})

/**
 * The model writes text without deltas: one event starts the item, and the events that end it hold the whole text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const whole = (said: string, item = 0): Step => ({ _tag: "Whole", item, text: said })

/**
 * One event with exactly these statements. They also become part of the output that the response shows at its end.
 *
 * **When to use**
 *
 * Use it for events that `text`, `whole` and `call` cannot make: reasoning, sources, items that never end, events without
 * indices.
 *
 * @since 0.1.0
 * @category constructors
 */
export const says = (...statements: ReadonlyArray<BackgroundModel.Statement>): Step => ({
  _tag: "Event",
  event: { statements }
})

/**
 * Finishes one text. The end of the script finishes all texts that are still open.
 *
 * @since 0.1.0
 * @category constructors
 */
export const close = (item: number): Step => ({ _tag: "Close", item })

/**
 * The model asks for a tool call. A response with calls completes with the finish reason `tool-calls`.
 *
 * **Details**
 *
 * Without a `callId` the calls of a response are `call_1`, `call_2` and so on. These ids are unique only within the response.
 *
 * @since 0.1.0
 * @category constructors
 */
export const call = (name: string, params: unknown, callId?: string): Step => ({ _tag: "Call", name, params, callId })

/**
 * Nothing happens for this time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pause = (duration: Duration.Input): Step => ({
  _tag: "Pause",
  duration: Duration.fromInputUnsafe(duration)
})

/**
 * As the first step: the response starts as queued, and not as in progress.
 *
 * @since 0.1.0
 * @category constructors
 */
export const queued: Step = { _tag: "Queued" }

/**
 * The connection ends here, once and without an error. The response continues.
 *
 * @since 0.1.0
 * @category constructors
 */
export const disconnect: Step = { _tag: "Disconnect" }

/**
 * The connection fails here, once, and the response continues. As the first step: the create request is refused, once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fail = (error: AiError.AiError | AiError.AiErrorReason): Step => ({
  _tag: "Fail",
  error: AiError.isAiError(error) ? error : AiError.make({ module: "ScriptedModel", method: "create", reason: error })
})

/**
 * An event that only shows that the connection is alive. It has a sequence number like any other.
 *
 * @since 0.1.0
 * @category constructors
 */
export const keepalive: Step = { _tag: "Event", event: { statements: [], keepalive: true } }

/**
 * An event of an unknown type.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unknown = (raw: unknown): Step => ({ _tag: "Event", event: { statements: [], raw } })

/**
 * The response completes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const completed: End = { _tag: "End", status: "completed", reason: "stop" }

/**
 * The response ends early, because of a limit or a filter.
 *
 * @since 0.1.0
 * @category constructors
 */
export const incomplete = (reason: Response.FinishReason = "length"): End => ({
  _tag: "End",
  status: "incomplete",
  reason
})

/**
 * The response fails at the provider.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failed = (description: string): End => ({
  _tag: "End",
  status: "failed",
  reason: "error",
  error: AiError.make({
    module: "ScriptedModel",
    method: "run",
    reason: new AiError.InternalProviderError({ description })
  })
})

/**
 * An end with another output than that of the events, in the terminal event or when the response is retrieved later.
 *
 * **Example** (A terminal event without the output)
 *
 * ```ts
 * import { ScriptedModel } from "@effect-baton/testing"
 *
 * const { completed, showing, text } = ScriptedModel
 *
 * export const script = [text("Hello"), showing(completed, { event: [] })]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const showing = (end: End, shown: Shown): End => ({ ...end, shown })

/**
 * An end that says how many tokens the response used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const using = (end: End, used: Used): End => ({ ...end, used })

/**
 * A request that the model received.
 *
 * @since 0.1.0
 * @category models
 */
export interface LedgerEntry {
  readonly operation: "create" | "submit" | "resume" | "retrieve" | "cancel" | "remove"
  readonly responseId?: string
  readonly runId?: string
  readonly after?: number
  readonly request?: BackgroundModel.ModelRequest
}

/**
 * How a scripted model behaves apart from its script.
 *
 * **Details**
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `replayFor` | how long after its creation the stream of a response can be resumed | always |
 * | `confirms` | with `false`, the create request is received and its answer is lost | `true` |
 * | `cancels` | with `false`, a cancel is accepted, and the response continues to its end | `true` |
 * | `refusesReplay` | the error of `resume` of a known response | none |
 * | `gone` | how often `resume` and `retrieve` first report a known response as gone | never |
 * | `background` | what the answers say about whether the response runs in the background | nothing |
 * | `capabilities` | the capabilities that differ from the default | all `true` |
 * | `demands` | how a request must be opened | as a stream |
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly replayFor?: Duration.Input
  readonly confirms?: boolean
  readonly cancels?: boolean
  readonly refusesReplay?: AiError.AiError
  readonly gone?: { readonly resume?: number; readonly retrieve?: number }
  readonly background?: boolean
  readonly capabilities?: Partial<BackgroundModel.BackgroundModel["Service"]["capabilities"]>
  readonly demands?: BackgroundModel.BackgroundModel["Service"]["demands"]
}

/**
 * The service that gives the ledger of a scripted model: every request, in order.
 *
 * @since 0.1.0
 * @category services
 */
export class ScriptedModel extends Context.Service<
  ScriptedModel,
  { readonly ledger: Effect.Effect<ReadonlyArray<LedgerEntry>> }
>()("@effect-baton/testing/ScriptedModel") {}

/**
 * A layer of a `BackgroundModel` that plays a script for every response, and keeps a ledger of its requests.
 *
 * **When to use**
 *
 * Use it in tests of programs that run agents. Time is that of the `TestClock`.
 *
 * **Details**
 *
 * As at a real provider, a response continues with the clock, whether or not somebody is connected. `pause` delays the steps
 * after it, `disconnect` and `fail` end a connection once, and `resume` gives the events after the given number.
 *
 * **Example** (A run whose connection breaks once)
 *
 * ```ts
 * import { Agent, TokenStore } from "@effect-baton/core"
 * import { ScriptedModel } from "@effect-baton/testing"
 * import { Effect } from "effect"
 *
 * const { completed, disconnect, text } = ScriptedModel
 *
 * export const program = Agent.run(Agent.make("analyst", { background: true }), { input: "Hello" }).pipe(
 *   Effect.provide(ScriptedModel.layer([text("Hello, "), disconnect, text("world"), completed])),
 *   Effect.provide(TokenStore.layerMemory)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  script: ReadonlyArray<Step> | ((request: BackgroundModel.ModelRequest) => ReadonlyArray<Step>),
  options: Options = {}
): Layer.Layer<BackgroundModel.BackgroundModel | ScriptedModel> =>
  Layer.effectContext(
    Effect.sync(() => {
      const ledger: Array<LedgerEntry> = []
      const responses = new Map<string, Played>()
      const refusals = new Set<Step>()
      const gone = { resume: 0, retrieve: 0, ...options.gone }
      let count = 0

      const play = (request: BackgroundModel.ModelRequest, streamed: boolean): Effect.Effect<Played, AiError.AiError> =>
        Effect.gen(function* () {
          const steps = typeof script === "function" ? script(request) : script
          const first = steps[0]
          if (first?._tag === "Fail" && !refusals.has(first)) {
            refusals.add(first)
            return yield* Effect.fail(first.error)
          }
          const responseId = `resp_${++count}`
          const createdAt = yield* Clock.currentTimeMillis
          const spent = new Set<Entry>()
          const { background } = options
          const heading = { responseId, start: createdAt, background }
          const entries = compile(heading, first?._tag === "Fail" ? steps.slice(1) : steps)
          const played: Played = { responseId, createdAt, entries, spent, streamed, background, cancelledAt: undefined }
          responses.set(responseId, played)
          return played
        })

      const created = (request: BackgroundModel.ModelRequest, operation: "create" | "submit") =>
        Effect.gen(function* () {
          ledger.push({ operation, runId: request.runId, request })
          const played = yield* play(request, operation === "create")
          if (options.confirms === false) {
            const reason = new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "scripted:" })
            return yield* new BackgroundModel.CreateUnconfirmed({
              error: AiError.make({ module: "ScriptedModel", method: "create", reason })
            })
          }
          return played
        })

      const look = (
        responseId: string,
        operation: "resume" | "retrieve"
      ): Effect.Effect<Played, BackgroundModel.ResponseGone> => {
        if (!responses.has(responseId) || gone[operation] === 0) return find(responseId)
        gone[operation]--
        return Effect.fail(new BackgroundModel.ResponseGone({ responseId }))
      }

      const find = (responseId: string): Effect.Effect<Played, BackgroundModel.ResponseGone> => {
        const played = responses.get(responseId)
        return played === undefined
          ? Effect.fail(new BackgroundModel.ResponseGone({ responseId }))
          : Effect.succeed(played)
      }

      const model = BackgroundModel.BackgroundModel.of({
        provider: "scripted",
        model: "scripted",
        capabilities: { background: true, resume: true, cancel: true, ...options.capabilities },
        demands: options.demands ?? (() => ({ streamed: true })),
        create: (request) => Stream.unwrap(Effect.map(created(request, "create"), (played) => attach(played, -1))),
        submit: (request) => Effect.flatMap(created(request, "submit"), snapshot),
        resume: (responseId, { after = -1 }) =>
          Stream.unwrap(
            Effect.gen(function* () {
              ledger.push({ operation: "resume", responseId, after })
              const played = yield* look(responseId, "resume")
              if (options.refusesReplay !== undefined) return yield* Effect.fail(options.refusesReplay)
              const now = yield* Clock.currentTimeMillis
              const window = Duration.toMillis(Duration.fromInputUnsafe(options.replayFor ?? Duration.infinity))
              if (!played.streamed || now - played.createdAt > window) {
                return yield* new BackgroundModel.ReplayUnavailable({
                  description: `The stream of ${responseId} can no longer be replayed`
                })
              }
              return attach(played, after)
            })
          ),
        retrieve: (responseId) =>
          Effect.suspend(() => {
            ledger.push({ operation: "retrieve", responseId })
            return Effect.map(Effect.flatMap(look(responseId, "retrieve"), snapshot), (answer) => ({
              snapshot: answer
            }))
          }),
        cancel: (responseId) =>
          Effect.gen(function* () {
            ledger.push({ operation: "cancel", responseId })
            const played = yield* find(responseId)
            const { status } = yield* snapshot(played)
            if (status !== "queued" && status !== "in_progress") return "already over"
            if (options.cancels !== false) played.cancelledAt = yield* Clock.currentTimeMillis
            return "requested"
          }),
        remove: (responseId) =>
          Effect.sync(() => {
            ledger.push({ operation: "remove", responseId })
            responses.delete(responseId)
          })
      })

      return Context.mergeAll(
        Context.make(BackgroundModel.BackgroundModel, model),
        Context.make(ScriptedModel, { ledger: Effect.sync(() => [...ledger]) })
      )
    })
  )
