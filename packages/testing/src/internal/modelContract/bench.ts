import { type BackgroundModel, Run } from "@effect-baton/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as AiError from "effect/ai/AiError"
import { ContractViolation } from "../../ContractViolation.ts"

export type Model = BackgroundModel.BackgroundModel["Service"]
export type Event = BackgroundModel.ModelEvent
export type Snapshot = BackgroundModel.ModelSnapshot

/**
 * A request to a model. The suite adds the run and the agent, and requests a background response.
 *
 * @since 0.1.0
 * @category models
 */
export type Request = Pick<BackgroundModel.ModelRequest, "prompt" | "instructions" | "options" | "previousResponseId">

/** The requests to the model, and how time passes. */
export interface Terms {
  readonly answers: readonly [Request, ...ReadonlyArray<Request>]
  /** An id that the provider never gave. */
  readonly unknownId: string
  /** Lets a little time pass. */
  readonly wait: Effect.Effect<void>
  /** How long a response may take to end. */
  readonly patience: Duration.Duration
}

/** The events of a response, read from its creation on. */
export interface Told {
  readonly responseId: string
  /** All events except keepalives. */
  readonly events: ReadonlyArray<Event>
  readonly terminal: Snapshot | undefined
}

/** The events of a stream until it ended, and its error if it failed. */
export interface Heard<E> {
  readonly events: ReadonlyArray<Event>
  readonly error: E | undefined
}

/** A model, and the operations that many laws need. */
export interface Bench extends Terms {
  readonly model: Model
  readonly requestOf: (request: Request) => BackgroundModel.ModelRequest
  /** Reads a stream while time passes. */
  readonly hear: <E>(stream: Stream.Stream<Event, E>) => Effect.Effect<Heard<E>, ContractViolation>
  /** Creates a response and reads it to its end. It resumes the stream each time it ends early. */
  readonly tell: (request: Request) => Effect.Effect<Told, unknown>
  /** Creates a response, and leaves its stream after the first event for which `when` is true. */
  readonly leaveAt: (request: Request, when: (event: Event) => boolean) => Effect.Effect<Told, unknown>
  /** Reads the rest of a response, after the events that were read already. */
  readonly readOn: (told: Told) => Effect.Effect<Told, unknown>
  readonly look: (responseId: string) => Effect.Effect<Snapshot, unknown>
  /** Polls until the response is over. */
  readonly untilOver: (responseId: string) => Effect.Effect<Snapshot, unknown>
}

/** A law that every model must keep. */
export type Law = (bench: Bench) => Effect.Effect<unknown, unknown>

/** A law that every model must keep for this request. */
export type LawOf = (request: Request) => Law

export const violation = (message: string, actual?: unknown): Effect.Effect<never, ContractViolation> =>
  Effect.fail(new ContractViolation({ message, ...(actual === undefined ? {} : { actual }) }))

/** Fails with this message unless the condition is true. */
export const holds = (condition: boolean, message: string, actual?: unknown): Effect.Effect<void, ContractViolation> =>
  condition ? Effect.void : violation(message, actual)

/** Whether the event has output. */
export const says = ({ statements }: Event): boolean => statements.length > 0

/** The sequence number after which a stream is resumed. */
export const lastNumber = (events: ReadonlyArray<Event>): number | undefined =>
  events.findLast(({ sequenceNumber }) => sequenceNumber !== undefined)?.sequenceNumber

export const afterOf = (after: number | undefined): { readonly after?: number } =>
  after === undefined ? {} : { after }

// A new id each time, also in another process: a provider may treat requests of the same run as the same request.
const newRunId = (): Run.RunId => Run.RunId.make(`contract-${crypto.randomUUID()}`)

// A stream may end early, and is then resumed, but not without limit.
const mostReads = 100

export const make = (model: Model, terms: Terms): Bench => {
  const { patience, wait } = terms

  const requestOf: Bench["requestOf"] = (request) => ({
    ...request,
    runId: newRunId(),
    agent: "contract",
    background: true
  })

  const passing = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | ContractViolation> =>
    Effect.raceFirst(effect, timeIsUp)

  const timeIsUp = Effect.gen(function* () {
    const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(patience)
    while ((yield* Clock.currentTimeMillis) < until) yield* wait
    return yield* violation(`the response did not go on within ${Duration.format(patience)}`)
  })

  const hear: Bench["hear"] = <E>(stream: Stream.Stream<Event, E>) =>
    Effect.suspend(() => {
      const events: Array<Event> = []
      const reading = Stream.runForEach(stream, (event) =>
        Effect.sync(() => {
          if (event.keepalive !== true) events.push(event)
        })
      )
      return passing(Effect.result(reading)).pipe(
        Effect.map((result): Heard<E> => ({
          events,
          error: result._tag === "Failure" ? result.failure : undefined
        }))
      )
    })

  const toldBy = Effect.fnUntraced(function* ({ error, events }: Heard<unknown>) {
    const responseId = events.find((event) => event.responseId !== undefined)?.responseId
    if (responseId !== undefined) return { responseId, events, terminal: terminalOf(events) }
    if (error !== undefined) return yield* Effect.fail(error)
    return yield* violation("create did not name the response", events)
  })

  const readOn: Bench["readOn"] = Effect.fnUntraced(function* (told: Told) {
    let all = told
    for (let reads = 0; all.terminal === undefined && model.capabilities.resume; reads++) {
      yield* holds(reads < mostReads, `the stream was read ${mostReads} times, and there was no terminal event`)
      const { responseId } = told
      const { error, events } = yield* hear(model.resume(responseId, afterOf(lastNumber(all.events))))
      if (error !== undefined && !AiError.isAiError(error)) return yield* Effect.fail(error)
      // The response is over and has no more events: something ended it from outside, for example a cancel.
      if (events.length === 0 && Run.isOver((yield* look(responseId)).status)) break
      all = { responseId, events: [...all.events, ...events], terminal: terminalOf(events) }
    }
    return all
  })

  const look: Bench["look"] = (responseId) => Effect.map(model.retrieve(responseId), ({ snapshot }) => snapshot)

  const untilOver: Bench["untilOver"] = (responseId) =>
    Effect.gen(function* () {
      const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(patience)
      while (true) {
        const snapshot = yield* look(responseId)
        if (Run.isOver(snapshot.status)) return snapshot
        yield* holds(
          (yield* Clock.currentTimeMillis) < until,
          `the response was not over within ${Duration.format(patience)}`
        )
        yield* wait
      }
    })

  return {
    ...terms,
    model,
    requestOf,
    hear,
    tell: (request) => Effect.flatMap(Effect.flatMap(hear(model.create(requestOf(request))), toldBy), readOn),
    leaveAt: (request, when) => Effect.flatMap(hear(Stream.takeUntil(model.create(requestOf(request)), when)), toldBy),
    readOn,
    look,
    untilOver
  }
}

const terminalOf = (events: ReadonlyArray<Event>): Snapshot | undefined =>
  events.find(({ terminal }) => terminal !== undefined)?.terminal
