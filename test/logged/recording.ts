import type { AgentUpdate, RunRecord, TokenStore, UpdateLog } from "@effect-baton/core"
import { Effect, Option } from "effect"
import { readFileSync } from "node:fs"
import { decodeEvent, type Event, type EventOf } from "./history.ts"

/** Where a worker writes down what it does, and when. */
export interface Recorder {
  readonly worker: string
  readonly now: () => number
  readonly write: (event: Event) => void
}

type Log = UpdateLog.UpdateLog["Service"]
type Store = TokenStore.TokenStore["Service"]
type Operation = EventOf<"append" | "open" | "write">
type Begun<O> = O extends Operation ? Omit<O, "begin" | "done" | "end" | "number" | "worker"> : never

const noting = ({ now, worker, write }: Recorder) => {
  let number = 0
  return <A, E>(
    of: Begun<Operation>,
    operation: Effect.Effect<A, E>,
    isDone: (value: A) => boolean = () => true
  ): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const begun = { ...of, worker, number: ++number, begin: now() } as Operation
      write(begun)
      return operation.pipe(
        Effect.tap((value) => Effect.sync(() => write({ ...begun, end: now(), done: isDone(value) }))),
        // Whether an operation that failed took effect is not known, unless it was refused.
        Effect.tapError((error) =>
          isRefusal(error) ? Effect.sync(() => write({ ...begun, end: now(), done: false })) : Effect.void
        )
      )
    })
}

const isRefusal = (error: unknown): boolean =>
  typeof error === "object" &&
  error !== null &&
  "_tag" in error &&
  ["LeaseLost", "LogFenced", "LogGap"].includes(String(error._tag))

/** An update log whose writing is written down. */
export const recordedLog = (inner: Log, recorder: Recorder): Log => {
  const note = noting(recorder)
  return {
    ...inner,
    open: (runId, epoch) => note({ what: "open", runId, epoch }, inner.open(runId, epoch)),
    append: (runId, chunk) => {
      const { count, ended, epoch, from } = chunk
      return note({ what: "append", runId, epoch, from, count, ended }, inner.append(runId, chunk))
    }
  }
}

const factsOf = (facts: ReadonlyArray<RunRecord.NewFact> = []) =>
  facts.map((fact) => ({
    tag: fact._tag,
    ...("responseId" in fact ? { responseId: fact.responseId } : {})
  }))

/** A store whose grants, facts and acknowledgements are written down. */
export const recordedStore = (inner: Store, recorder: Recorder): Store => {
  const note = noting(recorder)
  const granted = ({ lease: { fence, runId } }: TokenStore.Taken) =>
    Effect.sync(() => recorder.write({ what: "granted", runId, worker: recorder.worker, at: recorder.now(), fence }))
  return {
    ...inner,
    acquire: (runId, options) => Effect.tap(inner.acquire(runId, options), granted),
    claim: (options) =>
      Effect.tap(inner.claim(options), ({ taken }) => Effect.forEach(taken, granted, { discard: true })),
    commit: (lease, commit) => {
      const { facts, position } = commit
      return note(
        {
          what: "write",
          runId: lease.runId,
          fence: lease.fence,
          facts: factsOf(facts),
          ...(position === undefined ? {} : { ordinal: position.ordinal, offset: position.token.offset })
        },
        inner.commit(lease, commit),
        ({ outcome }) => outcome === "written"
      )
    },
    record: (runId, fact, seen) =>
      note({ what: "write", runId, facts: factsOf([fact]) }, inner.record(runId, fact, seen)),
    conclude: (runId, options) =>
      note(
        { what: "write", runId, facts: factsOf(options.facts) },
        inner.conclude(runId, options),
        ({ outcome }) => outcome === "written"
      )
  }
}

/** Somebody who reads a run, and writes down what it sees. */
export class Reader {
  /** The offset and the epoch of the last update. */
  place: { readonly offset: number; readonly epoch: number } | undefined
  readonly name: string
  private readonly recorder: Recorder
  private readonly of: Pick<EventOf<"joins">, "owner" | "reader" | "runId" | "worker">

  constructor(recorder: Recorder, runId: string, name: string, owner: boolean) {
    this.recorder = recorder
    this.name = name
    this.of = { runId, worker: recorder.worker, reader: name, owner }
  }

  /** Begins to read after an offset, if it is known. */
  joins(offset?: number): void {
    const { now, write } = this.recorder
    write({ what: "joins", ...this.of, at: now(), ...(offset === undefined ? {} : { offset }) })
  }

  sees(update: AgentUpdate.AgentUpdate): void {
    const { now, write } = this.recorder
    const { owner: _, ...of } = this.of
    const token = Option.getOrThrow(update.continuationToken)
    this.place = { offset: token.offset, epoch: token.epoch ?? Number.NaN }
    const { part, responseId, retried, status, text, waitingFor } = update
    const { type = "none" } = part ?? {}
    write({
      what: "sees",
      ...of,
      at: now(),
      ...this.place,
      text,
      rest: JSON.stringify([type, status, waitingFor, retried, update.origin, update.session]),
      responseId,
      finishes: type === "finish",
      waits: waitingFor !== undefined
    })
  }

  stops(how: EventOf<"stops">["how"]): void {
    const { now, write } = this.recorder
    const { owner: _, ...of } = this.of
    write({ what: "stops", ...of, at: now(), how })
  }
}

/** One event for each operation: the answer, if there is one. */
export const merged = (events: ReadonlyArray<Event>): ReadonlyArray<Event> => {
  const all = new Map<string, Event>()
  let others = 0
  for (const event of events) {
    all.set(
      "number" in event ? `${event.worker} ${event.what === "write" ? "store" : "log"} ${event.number}` : `${++others}`,
      event
    )
  }
  return [...all.values()]
}

/** The milliseconds of the host's monotonic clock, which all its processes share. */
export const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6

/** Reads what processes wrote down. The last line of a killed process may be cut. */
export const readHistory = (files: ReadonlyArray<string>): ReadonlyArray<Event> =>
  merged(
    files.flatMap((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line.endsWith("}"))
        .map((line) => decodeEvent(line))
    )
  )
