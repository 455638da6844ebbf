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
import type { End, Shown, Step } from "./ScriptStep.ts"

export type { End, Shown, Step } from "./ScriptStep.ts"

/**
 * The model writes text: one event with a delta, or with several. `item` tells which of several texts side by side.
 *
 * @since 0.1.0
 * @category steps
 */
export const text = (delta: string | ReadonlyArray<string>, item = 0): Step => ({
  _tag: "Text",
  item,
  deltas: typeof delta === "string" ? [delta] : delta
})

/**
 * The model writes text without deltas: one event begins the item, and the next, which ends it, has all of the text.
 *
 * @since 0.1.0
 * @category steps
 */
export const whole = (said: string, item = 0): Step => ({ _tag: "Whole", item, text: said })

/**
 * One event that says just this. The output that the response shows at its end comes from it too.
 *
 * **When to use**
 *
 * For what `text`, `whole` and `call` do not say: reasoning, sources, ends that never come, events without indices.
 *
 * @since 0.1.0
 * @category steps
 */
export const says = (...statements: ReadonlyArray<BackgroundModel.Statement>): Step => ({
  _tag: "Event",
  event: { statements }
})

/**
 * Finishes one of several texts; all that are open are finished by an end.
 *
 * @since 0.1.0
 * @category steps
 */
export const close = (item: number): Step => ({ _tag: "Close", item })

/**
 * The model asks for a tool call. A response with calls completes with the finish reason `tool-calls`.
 *
 * **Details**
 *
 * Without a `callId` the calls of a response are `call_1`, `call_2` and so on: they are unique within it only.
 *
 * @since 0.1.0
 * @category steps
 */
export const call = (name: string, params: unknown, callId?: string): Step => ({ _tag: "Call", name, params, callId })

/**
 * Nothing happens for a while.
 *
 * @since 0.1.0
 * @category steps
 */
export const pause = (duration: Duration.Input): Step => ({
  _tag: "Pause",
  duration: Duration.fromInputUnsafe(duration)
})

/**
 * As the first step: the run stays queued.
 *
 * @since 0.1.0
 * @category steps
 */
export const queued: Step = { _tag: "Queued" }

/**
 * The connection ends here, once, without a word; the run goes on.
 *
 * @since 0.1.0
 * @category steps
 */
export const disconnect: Step = { _tag: "Disconnect" }

/**
 * The connection, or the request where nothing was said yet, fails here, once; the run goes on.
 *
 * @since 0.1.0
 * @category steps
 */
export const fail = (error: AiError.AiError | AiError.AiErrorReason): Step => ({
  _tag: "Fail",
  error: AiError.isAiError(error) ? error : AiError.make({ module: "ScriptedModel", method: "create", reason: error })
})

/**
 * A sign of life that means nothing, and takes a number.
 *
 * @since 0.1.0
 * @category steps
 */
export const keepalive: Step = { _tag: "Event", event: { statements: [], keepalive: true } }

/**
 * An event that nobody knows.
 *
 * @since 0.1.0
 * @category steps
 */
export const unknown = (raw: unknown): Step => ({ _tag: "Event", event: { statements: [], raw } })

/**
 * The run completes.
 *
 * @since 0.1.0
 * @category steps
 */
export const completed: End = { _tag: "End", status: "completed", reason: "stop" }

/**
 * The run ends early, at a limit or a filter.
 *
 * @since 0.1.0
 * @category steps
 */
export const incomplete = (reason: Response.FinishReason = "length"): End => ({
  _tag: "End",
  status: "incomplete",
  reason
})

/**
 * The run fails at the provider.
 *
 * @since 0.1.0
 * @category steps
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
 * An end whose terminal event, or whose look afterwards, shows other output than the events did: none, say.
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
 * @category steps
 */
export const showing = (end: End, shown: Shown): End => ({ ...end, shown })

/**
 * A request that the model saw.
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
 * What a script's run is played with.
 *
 * **Details**
 *
 * `replayFor`: how long after its creation a response's stream can be resumed; for ever by default.
 * `confirms`: with `false` the create request is received, and its answer lost. `cancels`: with `false` a cancellation is
 * accepted, and the run goes on to its end all the same. `refusesReplay`: what `resume` of a known response fails with.
 * `gone`: how many times `resume` and `retrieve` say first that a known response is gone. `background`: what the answers
 * tell of whether a response runs in the background; by default they do not tell.
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
  /** What options demand of a request; by default that it is streamed. */
  readonly demands?: BackgroundModel.BackgroundModel["Service"]["demands"]
}

/**
 * The ledger of a scripted model: every request, in order.
 *
 * @since 0.1.0
 * @category services
 */
export class ScriptedModel extends Context.Service<
  ScriptedModel,
  { readonly ledger: Effect.Effect<ReadonlyArray<LedgerEntry>> }
>()("@effect-baton/testing/ScriptedModel") {}

/**
 * A `BackgroundModel` that plays a script for every run, and keeps a ledger of the requests it saw.
 *
 * **When to use**
 *
 * In tests of everything that is built on agents: time is the `TestClock`'s, and each step means one thing.
 *
 * **Details**
 *
 * The run goes on by the clock, whoever watches, as at a real provider: `pause` moves it, `disconnect` and `fail` end a
 * connection once, and whoever resumes reads on after the number asked for.
 *
 * **Example** (A run that is cut once)
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
                  description: "This response can no longer be streamed"
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
