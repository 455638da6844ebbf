import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { ModelInput, ResponseScript, SandboxModel, ScriptItem } from "../../ResponseScript.ts"
import { lorem, message } from "../../ResponseScript.ts"
import type { LedgerRequest, SandboxLedger } from "../../SandboxLedger.ts"
import type { Transcript } from "../../Transcript.ts"
import { type ApiError, badRequest, itemNotFound, notFound, responseNotFound } from "./apiError.ts"
import { type CreateRequest, toInput } from "./createRequest.ts"
import { type Json, stringOf } from "./json.ts"
import { placeOf } from "./outputItem.ts"
import { findRecording, type Recording, recordedId, recordedTimeline } from "./recordedTimeline.ts"
import { isFinal, responseBase } from "./responseObject.ts"
import { produce, Run } from "./run.ts"
import { notify, type Webhook } from "./webhook.ts"
import { scriptedTimeline } from "./scriptedTimeline.ts"
import { checkPairs } from "./tools/checkPairs.ts"
import { conversationOf } from "./tools/conversation.ts"
import { isCallable } from "./tools/fit.ts"
import { planOf } from "./tools/plan.ts"
import { allowedItems, cited } from "./tools/scripted.ts"
import type { Troubles } from "./troubles.ts"
import { TroubleSet } from "./troubles.ts"

// A response that is not stored can still be polled for a while, as the API documents.
const unstoredRetention = 10 * 60 * 1000

const lengthOf = (input: ModelInput): number =>
  input.type === "message" ? input.text.length : "output" in input ? input.output.length : 0

export interface Settings {
  pace: number
  readonly queue: number
  readonly replayWindow: number
  readonly partialSnapshots: boolean
  readonly model: SandboxModel
  /** Whether the model calls tools by rules. A model of the user's own decides itself. */
  readonly rules: boolean
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

  private previous(request: CreateRequest): Effect.Effect<ReadonlyArray<Json>, ApiError> {
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
        : Effect.succeed([...run.context, ...run.output])
    }
    if (request.conversation === undefined) return Effect.succeed([])
    const run = this.conversations.get(request.conversation)
    if (run === undefined) return Effect.succeed([])
    return run.over && isFinal(run.status)
      ? Effect.succeed([...run.context, ...run.output])
      : Effect.fail(
          badRequest(
            "Another process is currently operating on this conversation. Please retry in a few seconds.",
            "conversation_locked"
          )
        )
  }

  /** The response and the script of an item, if it is stored. */
  private item(id: string): { readonly shown: Json; readonly script: ScriptItem | undefined } | undefined {
    const place = placeOf(id)
    const run = place === undefined ? undefined : this.byId.get(place.responseId)
    const shown = run?.output.find((item) => item["id"] === id)
    return place === undefined || run === undefined || shown === undefined || !run.request.store
      ? undefined
      : { shown, script: run.script[place.index] }
  }

  /** Replaces references by the items that they refer to. */
  private resolve(items: ReadonlyArray<Json>): Effect.Effect<ReadonlyArray<Json>, ApiError> {
    return Effect.forEach(items, (item) => {
      if (item["type"] !== "item_reference") return Effect.succeed(item)
      const id = stringOf(item["id"]) ?? ""
      const found = this.item(id)
      return found === undefined ? Effect.fail(itemNotFound(id)) : Effect.succeed(found.shown)
    })
  }

  private script = Effect.fnUntraced(function* (
    this: Responses,
    request: CreateRequest,
    history: ReadonlyArray<Json>
  ): Effect.fn.Return<ResponseScript> {
    const input = request.items.flatMap(toInput)
    const [name = "", argument = ""] = request.model.split(":")
    if (name === "lorem" && /^\d+$/.test(argument)) return lorem(Number(argument))
    if (name === "echo") {
      const last = input.findLast((item) => item.type === "message")
      return message(last?.type === "message" ? last.text : "")
    }
    const plan = planOf({
      conversation: conversationOf([...history, ...request.items]),
      settings: request.tools,
      rules: this.settings.rules,
      scriptOf: (id) => this.item(id)?.script
    })
    if (plan.waits) return { items: plan.items }
    const answer = yield* this.settings.model({
      model: request.model,
      instructions: request.instructions,
      input,
      history: history.flatMap(toInput),
      tools: request.tools.tools.filter(isCallable).map((tool) => tool.name),
      toolResults: plan.results
    })
    const said = allowedItems(answer.items, plan.items, request.tools).map(cited(plan.sources))
    return { ...answer, items: [...plan.items, ...said] }
  })

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
    asked: CreateRequest,
    troubles: Troubles,
    own: TroubleSet
  ): Effect.fn.Return<{ readonly run: Run; readonly recording: Option.Option<Recording> }, ApiError> {
    const recording = yield* this.recording(asked)
    const history = yield* this.previous(asked)
    const recorded = Option.isSome(recording)
    const request = recorded ? asked : { ...asked, items: yield* this.resolve(asked.items) }
    const context = [...history, ...request.items]
    if (!recorded) yield* checkPairs(context)
    const generated = `resp_${crypto.randomUUID().replaceAll("-", "")}${this.created.length.toString(16).padStart(16, "0")}`
    const id = Option.getOrUndefined(Option.flatMapNullishOr(recording, recordedId)) ?? generated
    const createdAt = this.now
    const long = recorded ? undefined : troubles.strike("LongRun")
    const script = recorded
      ? { items: [] }
      : long === undefined
        ? yield* this.script(request, history)
        : lorem(long.deltas)
    const run = new Run({
      id,
      request,
      context,
      script: script.items,
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
              inputTokens: Math.ceil(context.flatMap(toInput).reduce((sum, one) => sum + lengthOf(one), 0) / 4),
              included: request.included,
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
