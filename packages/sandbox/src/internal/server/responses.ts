import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { ModelInput, ModelRequest, ResponseScript, SandboxModel } from "../../ResponseScript.ts"
import { lorem, message } from "../../ResponseScript.ts"
import type { LedgerRequest, SandboxLedger } from "../../SandboxLedger.ts"
import type { Transcript } from "../../Transcript.ts"
import { type ApiError, badRequest, notFound, responseNotFound } from "./apiError.ts"
import type { CreateRequest } from "./createRequest.ts"
import { findRecording, type Recording, recordedId, recordedTimeline } from "./recordedTimeline.ts"
import { isFinal, responseBase } from "./responseObject.ts"
import { produce, Run } from "./run.ts"
import { notify, type Webhook } from "./webhook.ts"
import { scriptedTimeline } from "./scriptedTimeline.ts"
import { toolCalls } from "./toolCalls.ts"
import type { Troubles } from "./troubles.ts"
import { TroubleSet } from "./troubles.ts"

// A response that is not stored can still be polled for a while, as the API documents.
const unstoredRetention = 10 * 60 * 1000

export interface Settings {
  pace: number
  readonly queue: number
  readonly replayWindow: number
  readonly partialSnapshots: boolean
  readonly model: SandboxModel
  readonly transcripts: ReadonlyArray<Transcript>
  readonly webhook: Webhook | undefined
}

/** The responses of one server, and its ledger. */
export class Responses {
  readonly settings: Settings
  readonly serverTroubles = new TroubleSet()
  readonly troubleCounts = new Map<string, number>()
  readonly clock: Clock.Clock
  requests: Array<{ -readonly [K in keyof LedgerRequest]: LedgerRequest[K] }> = []
  private created: Array<Run> = []
  private readonly byId = new Map<string, Run>()
  private readonly conversations = new Map<string, Run>()
  private readonly scope: Scope.Scope

  constructor(settings: Settings, scope: Scope.Scope, clock: Clock.Clock) {
    this.settings = settings
    this.scope = scope
    this.clock = clock
  }

  get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  get ledger(): SandboxLedger {
    return {
      requests: this.requests.map((request) => ({ ...request })),
      responses: this.created.map((run) => run.ledger),
      troubles: Object.fromEntries(this.troubleCounts)
    }
  }

  clearLedger(): void {
    this.requests = []
    this.created = []
    this.troubleCounts.clear()
  }

  /** The response with this id, if this request may still see it. */
  find(id: string, troubles: Troubles): Effect.Effect<Run, ApiError> {
    const run = this.byId.get(id)
    if (run === undefined) return Effect.fail(responseNotFound(id))
    troubles.include(run.troubles)
    const expiry = troubles.arm("Expired")
    if (expiry !== undefined && this.now - run.createdAt >= (expiry.trouble.afterMillis ?? 0) && expiry.strike()) {
      return Effect.fail(responseNotFound(id))
    }
    const kept =
      run.request.store ||
      (run.request.background && (run.finishedAt === undefined || this.now - run.finishedAt < unstoredRetention))
    return kept ? Effect.succeed(run) : Effect.fail(responseNotFound(id))
  }

  remove(run: Run): void {
    run.deleted = true
    run.cancel(this.now, false)
    if (this.byId.get(run.id) === run) this.byId.delete(run.id)
  }

  private previous(request: CreateRequest): Effect.Effect<ReadonlyArray<ModelInput>, ApiError> {
    if (request.previousResponseId !== undefined) {
      const run = this.byId.get(request.previousResponseId)
      return run === undefined || !run.request.store
        ? Effect.fail(
            badRequest(
              `Previous response with id '${request.previousResponseId}' not found.`,
              "previous_response_not_found",
              "previous_response_id"
            )
          )
        : Effect.succeed([...run.history, ...run.request.input])
    }
    if (request.conversation === undefined) return Effect.succeed([])
    const run = this.conversations.get(request.conversation)
    if (run === undefined) return Effect.succeed([])
    return run.over && isFinal(run.status)
      ? Effect.succeed([...run.history, ...run.request.input])
      : Effect.fail(
          badRequest(
            "Another process is currently operating on this conversation. Please retry in a few seconds.",
            "conversation_locked"
          )
        )
  }

  private script(request: ModelRequest): Effect.Effect<ResponseScript> {
    const [name = "", argument = ""] = request.model.split(":")
    if (name === "lorem" && /^\d+$/.test(argument)) return Effect.succeed(lorem(Number(argument)))
    if (name === "echo") {
      const last = request.input.findLast((input) => input.type === "message")
      return Effect.succeed(message(last?.type === "message" ? last.text : ""))
    }
    return Option.match(toolCalls(request), {
      onSome: Effect.succeed,
      onNone: () => this.settings.model(request)
    })
  }

  private recording(request: CreateRequest): Effect.Effect<Option.Option<Recording>, ApiError> {
    if (!request.model.startsWith("transcript:")) return Effect.succeed(Option.none())
    const name = request.model.slice("transcript:".length)
    const transcript = this.settings.transcripts.find((one) => one.name === name)
    const recording = transcript === undefined ? undefined : findRecording(transcript, request.body)
    return recording === undefined
      ? Effect.fail(notFound(`The sandbox has no transcript named '${name}'.`, "model_not_found"))
      : Effect.succeed(Option.some(recording))
  }

  /** Stores a new response without any events yet. */
  create = Effect.fnUntraced(function* (
    this: Responses,
    request: CreateRequest,
    troubles: Troubles,
    own: TroubleSet
  ): Effect.fn.Return<{ readonly run: Run; readonly recording: Option.Option<Recording> }, ApiError> {
    const recording = yield* this.recording(request)
    const history = yield* this.previous(request)
    const generated = `resp_${crypto.randomUUID().replaceAll("-", "")}${this.created.length.toString(16).padStart(16, "0")}`
    const id = Option.getOrUndefined(Option.flatMapNullishOr(recording, recordedId)) ?? generated
    const createdAt = this.now
    const long = Option.isSome(recording) ? undefined : troubles.strike("LongRun")
    const script = Option.isSome(recording)
      ? { items: [] }
      : long === undefined
        ? yield* this.script({ ...request, history })
        : lorem(long.deltas)
    const run = new Run({
      id,
      request,
      history,
      createdAt,
      troubles: own,
      timeline: (made) =>
        Option.match(recording, {
          onSome: recordedTimeline,
          onNone: () =>
            scriptedTimeline({
              id,
              base: responseBase(id, createdAt, request),
              background: request.background,
              obfuscate: request.obfuscate,
              script,
              maxOutputTokens: request.maxOutputTokens,
              inputTokens: Math.ceil(
                [...history, ...request.input].reduce(
                  (sum, input) => sum + (input.type === "message" ? input.text : input.output).length,
                  0
                ) / 4
              ),
              partialSnapshots: this.settings.partialSnapshots,
              shape: {
                keepalives: troubles.strike("Keepalives"),
                unknownEvents: troubles.strike("UnknownEvents"),
                errorEvent: troubles.strike("ErrorEvent"),
                end: troubles.strike("End")
              },
              completedAt: () => (made.finishedAt === undefined ? null : Math.floor(made.finishedAt / 1000))
            })
        })
    })
    this.created.push(run)
    this.byId.set(id, run)
    if (request.conversation !== undefined) this.conversations.set(request.conversation, run)
    return { run, recording }
  })

  /**
   * Starts to make the events of a response. A background response lives as
   * long as the server, any other as long as its request.
   */
  start = Effect.fnUntraced(function* (this: Responses, run: Run, troubles: Troubles) {
    const pace = troubles.strike("Pace")
    const queue = troubles.strike("QueueTime")
    const stuck = run.request.background && troubles.strike("StuckQueued") !== undefined
    const making = produce(run, {
      queue: stuck ? Number.POSITIVE_INFINITY : run.request.background ? (queue?.millis ?? this.settings.queue) : 0,
      pace: () => pace?.millis ?? this.settings.pace
    })
    run.fiber = yield* Effect.forkIn(making, this.scope)
    const { webhook } = this.settings
    if (webhook !== undefined && run.request.background) {
      const copies = troubles.strike("Webhook")?.copies ?? 1
      yield* Effect.forkIn(Effect.andThen(Fiber.await(run.fiber), notify(webhook, run, copies)), this.scope)
    }
    if (!run.request.background) {
      yield* Effect.addFinalizer(() => Effect.sync(() => run.cancel(this.now, false)))
    }
    return run.fiber
  })

  static make = Effect.fnUntraced(function* (settings: Settings) {
    return new Responses(settings, yield* Effect.scope, yield* Clock.Clock)
  })
}
