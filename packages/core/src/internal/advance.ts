import { Effect, Option, Stream, type Scope } from "effect"
import type { LeaseOptions, StreamOptions } from "../Agent.ts"
import { AgentError, InvalidInput, RunCancelled, RunNotFound, Unconfirmed } from "../AgentError.ts"
import type { AgentUpdate } from "../AgentUpdate.ts"
import type { BackgroundModel } from "../BackgroundModel.ts"
import * as ContinuationToken from "../ContinuationToken.ts"
import { isOver } from "../Run.ts"
import * as RunRecord from "../RunRecord.ts"
import * as Acknowledge from "./acknowledge.ts"
import type { Ending } from "./cursor.ts"
import { failure, follow, type Options } from "./follow.ts"
import * as HeldRun from "./heldRun.ts"
import { checkVersion, storeFailed, type OpenRun } from "./openRun.ts"

type Updates = Stream.Stream<AgentUpdate, AgentError>

/** How a run that the record knows to be over ends its stream. */
const finished = (record: RunRecord.RunRecord): Updates => {
  const reason = failure(record.status, RunRecord.responseIds(record).at(-1) ?? "", RunRecord.ended(record)?.error)
  return reason === undefined ? Stream.empty : Stream.fail(new AgentError({ runId: record.runId, reason }))
}

/** What the journal says of a run's end. */
export const endOf = ({ error, status }: Pick<Ending, "status" | "error">): RunRecord.Ended => ({
  _tag: "Ended",
  status,
  ...(error === undefined ? {} : { error })
})

/** Takes the run's lease for the scope. */
export const hold = (
  run: Pick<OpenRun, "policy" | "runId" | "store">,
  { ifLeased }: LeaseOptions = {}
): Effect.Effect<HeldRun.HeldRun, AgentError, Scope.Scope> => {
  const held = HeldRun.acquire({ ...run, takeOver: ifLeased === "take over" })
  return ifLeased === "wait"
    ? Effect.retry(held, { schedule: run.policy.leased, while: ({ reason }) => reason._tag === "RunLeased" })
    : held
}

interface AdvanceOptions extends StreamOptions {
  /** The run is over: called before its last update is delivered. */
  readonly onEnd?: (ending: Ending) => void
  /** The consumer finished with the last update: by default that is written. */
  readonly onFinish?: (end: RunRecord.Ended) => void
}

/** Follows a run under its lease, checkpointing what its consumer acknowledges. */
export const advance = Effect.fnUntraced(function* (
  run: OpenRun,
  options: AdvanceOptions = {}
): Effect.fn.Return<Updates, AgentError, Scope.Scope> {
  yield* checkVersion(run)
  if (RunRecord.isFinished(run.record)) return reread(run, run.record)
  return yield* advanceHeld(run, yield* hold(run, options), options)
})

/** Follows a run that is held already, from the position that its consumer acknowledged last. */
export const advanceHeld = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun.HeldRun,
  options: AdvanceOptions
): Effect.fn.Return<Updates, AgentError> {
  const { record } = held
  const position = held.position()
  if (position === null || RunRecord.isFinished(record)) return reread(run, record)

  const source = yield* sourceOf(run, held)
  let ending: Ending | undefined
  const finish: Acknowledge.Finish = (held) => {
    if (ending !== undefined) (options.onFinish ?? held.finish)(endOf(ending))
  }
  const updates = follow({
    model: run.model,
    policy: run.policy,
    runId: run.runId,
    background: record.background,
    source,
    from: run.from ?? position,
    accepted: (responseId) => accept(run.model, held, responseId, record.background),
    refused: Effect.asVoid(held.write("queued", [{ _tag: "Refused", turn: 0 }])),
    ended: (how) => {
      ending = how
      options.onEnd?.(how)
    },
    lost: held.lost,
    counts: RunRecord.ended(record) === undefined
  })
  return options.acknowledge === "manual"
    ? Acknowledge.manually(held, finish, hold(run))(updates)
    : Acknowledge.onPull(held, finish)(updates)
})

/** A finished run has nothing left to deliver, but can be read again from an early token. */
const reread = (run: OpenRun, record: RunRecord.RunRecord): Updates =>
  run.from === undefined ? finished(record) : read(run, record, run.from)

/** Reads a run along, from a position, without lease or checkpoint. */
const read = (run: OpenRun, record: RunRecord.RunRecord, from: ContinuationToken.ContinuationToken): Updates => {
  const opening = RunRecord.opening(record, from.turn)
  return opening._tag !== "Accepted"
    ? finished(record)
    : follow({
        model: run.model,
        policy: run.policy,
        runId: run.runId,
        background: record.background,
        source: { _tag: "Attach", responseId: opening.responseId, streamed: opening.streamed },
        from,
        accepted: () => Effect.void,
        refused: Effect.void,
        ended: () => {},
        lost: Effect.never,
        counts: false
      })
}

/** Reads a run along from its start or a token, waiting for its response to be opened. */
export const watch = Effect.fnUntraced(function* (run: OpenRun): Effect.fn.Return<Updates, AgentError> {
  const opened = yield* run.store.read(run.runId).pipe(
    Effect.mapError(storeFailed(run.runId)),
    Effect.flatMap((record) =>
      Option.isNone(record)
        ? Effect.fail(new AgentError({ runId: run.runId, reason: new RunNotFound({ runId: run.runId }) }))
        : Effect.succeed(record.value)
    ),
    Effect.repeat({
      schedule: run.policy.poll,
      until: (record) => isOver(record.status) || RunRecord.opening(record, 0)._tag === "Accepted"
    }),
    Effect.andThen(run.store.read(run.runId).pipe(Effect.mapError(storeFailed(run.runId))))
  )
  const record = Option.getOrElse(opened, () => run.record)
  return read(run, record, run.from ?? ContinuationToken.start(run.agent.name, run.runId))
})

/** The run's response as the journal knows it, or the request that opens it. */
const sourceOf = Effect.fnUntraced(function* (
  run: OpenRun,
  held: HeldRun.HeldRun
): Effect.fn.Return<Options["source"], AgentError> {
  const opening = RunRecord.opening(held.record, 0)
  if (opening._tag === "Accepted") {
    return { _tag: "Attach", responseId: opening.responseId, streamed: opening.streamed }
  }
  const request = yield* openable(run, opening)
  return {
    _tag: "Create",
    events: Stream.unwrap(Effect.as(intend(held), run.model.create(request)))
  }
})

/** The request that opens the run, where it may be sent. */
export const openable = Effect.fnUntraced(function* (run: OpenRun, opening: RunRecord.Opening) {
  const { runId, policy, request } = run
  if (opening._tag === "Requested" && policy.unconfirmed === "fail") {
    return yield* new AgentError({ runId, reason: new Unconfirmed({ runId }) })
  }
  if (request === undefined) {
    const description = `Run '${runId}' was recorded, but never opened at the provider. Start it again with its input.`
    return yield* new AgentError({ runId, reason: new InvalidInput({ description }) })
  }
  return request
})

/** Records that a request is about to open a response; from a cancelled run none is opened. */
export const intend = Effect.fnUntraced(function* (held: HeldRun.HeldRun): Effect.fn.Return<void, AgentError> {
  const refused = [{ _tag: "Refused", turn: 0 }] as const
  const signals = yield* (
    held
      .write("queued", [{ _tag: "Requested", turn: 0 }], { setAside: null })
      // Where it failed or was interrupted it may have been written all the same, and nothing was requested.
      .pipe(Effect.onError(() => Effect.sync(() => held.note(refused))))
  )
  if (!signals.some((signal) => signal._tag === "Cancel")) return
  yield* held.write("cancelled", refused)
  held.finish({ _tag: "Ended", status: "cancelled" })
  yield* held.flush
  return yield* new AgentError({ runId: held.record.runId, reason: new RunCancelled() })
})

/** Records the response's id, and passes on a cancellation that came while there was none to cancel. */
export const accept = Effect.fnUntraced(function* (
  model: BackgroundModel["Service"],
  held: HeldRun.HeldRun,
  responseId: string,
  streamed: boolean
): Effect.fn.Return<void, AgentError> {
  // Without its name what was bought cannot be found again.
  const signals = yield* held.persist("queued", [{ _tag: "Accepted", turn: 0, responseId, streamed }])
  if (!signals.some((signal) => signal._tag === "Cancel")) return
  yield* Effect.ignore(model.cancel(responseId))
})
