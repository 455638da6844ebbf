import { Schema } from "effect"

// What happened to the runs of a history. Times are comparable in all of it: a count of steps within one process, or the
// milliseconds of the host's monotonic clock. An operation took effect between `begin` and `end`. Without `end` its worker
// did not live to see the answer.

const of = { runId: Schema.String, worker: Schema.String }
const operation = {
  ...of,
  /** Tells the operations of a worker apart. */
  number: Schema.Int,
  begin: Schema.Number,
  end: Schema.optionalKey(Schema.Number),
  /** Whether it was answered with success. */
  done: Schema.optionalKey(Schema.Boolean)
}

/** A fact, as far as the rules speak of it. */
const Noted = Schema.Struct({ tag: Schema.String, responseId: Schema.optionalKey(Schema.String) })

/** One event of a history. */
export const Event = Schema.Union([
  /** A worker was given the lease of a run, with this fence. */
  Schema.Struct({ what: Schema.tag("granted"), ...of, at: Schema.Number, fence: Schema.Number }),
  Schema.Struct({ what: Schema.tag("open"), ...operation, epoch: Schema.Number }),
  Schema.Struct({
    what: Schema.tag("append"),
    ...operation,
    epoch: Schema.Number,
    from: Schema.Int,
    count: Schema.Int,
    ended: Schema.Boolean
  }),
  /** A worker, or somebody else, wrote facts, an acknowledged offset, or both. */
  Schema.Struct({
    what: Schema.tag("write"),
    ...operation,
    fence: Schema.optionalKey(Schema.Number),
    ordinal: Schema.optionalKey(Schema.Int),
    offset: Schema.optionalKey(Schema.Int),
    facts: Schema.Array(Noted)
  }),
  /** Somebody begins to read after this offset. An owner reads under the lease, others only watch. */
  Schema.Struct({
    what: Schema.tag("joins"),
    ...of,
    reader: Schema.String,
    at: Schema.Number,
    offset: Schema.optionalKey(Schema.Int),
    owner: Schema.Boolean
  }),
  Schema.Struct({
    what: Schema.tag("sees"),
    ...of,
    reader: Schema.String,
    at: Schema.Number,
    offset: Schema.Int,
    epoch: Schema.Number,
    text: Schema.String,
    /** What tells the update from others, beside its text. */
    rest: Schema.String,
    responseId: Schema.String,
    /** Whether it is the last one of its response. */
    finishes: Schema.Boolean,
    waits: Schema.Boolean
  }),
  /** Somebody stops reading: because the run ended, because the log was written again, or for another reason. */
  Schema.Struct({
    what: Schema.tag("stops"),
    ...of,
    reader: Schema.String,
    at: Schema.Number,
    how: Schema.Literals(["ended", "rewritten", "left"])
  }),
  /** The place of the log lost its end: it has this many updates left. */
  Schema.Struct({ what: Schema.tag("lost"), ...of, at: Schema.Number, length: Schema.Int })
])
export type Event = typeof Event.Type
export type EventOf<What extends Event["what"]> = Extract<Event, { readonly what: What }>

const Line = Schema.fromJsonString(Event)
export const encodeEvent = Schema.encodeSync(Line)
export const decodeEvent = Schema.decodeSync(Line)

type Append = EventOf<"append">
type Done = { readonly done: true; readonly end: number }

/** When an operation had taken effect at the latest. */
const answered = <A extends { readonly done?: boolean; readonly end?: number }>(event: A): event is A & Done =>
  event.done === true && event.end !== undefined

/** The history of one run, and what it breaks. */
class Judge {
  readonly found: Array<string> = []
  private readonly appends: ReadonlyArray<Append>
  private readonly isLossy: boolean
  private readonly events: ReadonlyArray<Event>

  constructor(events: ReadonlyArray<Event>) {
    this.events = events
    this.appends = this.of("append")
      .filter(({ done }) => done !== false)
      .toSorted((a, b) => a.begin - b.begin)
    this.isLossy = this.of("lost").length > 0
  }

  of<What extends Event["what"]>(what: What): ReadonlyArray<EventOf<What>> {
    return this.events.filter((event): event is EventOf<What> => event.what === what)
  }

  private owners(): ReadonlySet<string> {
    return new Set(this.of("joins").flatMap(({ owner, reader }) => (owner ? [reader] : [])))
  }

  private complain(rule: string, why: string): void {
    this.found.push(`${rule}: ${why}`)
  }

  /** The appends that can have brought the update before an offset. */
  private bringing(offset: number, epoch: number): ReadonlyArray<Append> {
    return this.appends.filter(
      (append) => append.epoch === epoch && append.from < offset && offset <= append.from + append.count
    )
  }

  /** One epoch at a time writes, each from the end on. */
  fencing(): void {
    // A place that loses its end also loses that a later epoch had opened it.
    if (this.isLossy) return
    const opened = [...this.of("open").filter(answered), ...this.appends.filter(answered)]
    for (const append of this.appends.filter(answered)) {
      const later = opened.find(({ end, epoch }) => epoch > append.epoch && end < append.begin)
      if (later === undefined) continue
      this.complain("fence", `an append under ${append.epoch} succeeded after ${later.epoch} had opened the log`)
    }
    const chunks = this.appends.filter(answered).filter(({ count }) => count > 0)
    for (const chunk of chunks) {
      const end = chunk.from + chunk.count
      const clash = chunks.find(
        (other) =>
          other.from < end &&
          chunk.from < other.from + other.count &&
          (other.from !== chunk.from || other.count !== chunk.count || other.epoch !== chunk.epoch)
      )
      if (clash !== undefined && clash.begin >= chunk.begin) {
        this.complain(
          "fence",
          `the updates from ${clash.from} on were appended twice, under ${chunk.epoch} and ${clash.epoch}`
        )
      }
    }
  }

  /** The last update of a response, and an update that says that the run waits, come after the fact. */
  factBeforeUpdate(): void {
    const written = this.of("write").filter(({ done }) => done !== false)
    const judged = new Set<string>()
    for (const { epoch, finishes, offset, responseId, waits } of this.of("sees")) {
      const key = `${offset}.${epoch}`
      if ((!finishes && !waits) || judged.has(key)) continue
      judged.add(key)
      for (const append of this.bringing(offset, epoch)) {
        const isKnown = written.some(
          ({ begin, facts }) =>
            begin < append.begin && facts.some((fact) => fact.tag === "ResponseEnded" && fact.responseId === responseId)
        )
        if (!isKnown) this.complain("rule 1", `update ${key} was appended before the end of ${responseId} was written`)
      }
    }
  }

  /** Nobody sees an update before it is in the log. Its writer knows that once the append was answered. */
  appendBeforeDelivery(): void {
    const owners = this.owners()
    for (const { at, epoch, offset, reader, waits, worker } of this.of("sees")) {
      const key = `${offset}.${epoch}`
      const from = this.bringing(offset, epoch)
      // A run that still waits says so again to each consumer.
      if (from.length === 0 && waits && owners.has(reader)) continue
      if (from.length === 0) this.complain("rule 2", `${reader} saw ${key}, which nobody appended`)
      else if (from.every(({ begin }) => begin > at)) {
        this.complain("rule 2", `${reader} saw ${key} before it was appended`)
      } else if (owners.has(reader)) {
        const own = from.filter((append) => append.worker === worker)
        if (own.length === from.length && !own.some((append) => answered(append) && append.end <= at)) {
          this.complain("rule 2", `${reader} saw ${key} before its append was answered`)
        }
      }
    }
  }

  /** What is acknowledged is in the log, was delivered, and stays acknowledged. */
  deliveryBeforeAcknowledgement(): void {
    const owners = this.owners()
    const positions = this.of("write").filter(
      (write): write is typeof write & { readonly offset: number } => write.offset !== undefined
    )
    for (const { begin, offset, worker } of positions) {
      const length = Math.max(
        0,
        ...this.appends.filter((append) => append.begin < begin).map(({ count, from }) => from + count)
      )
      if (offset > length) this.complain("rule 3", `${offset} was acknowledged, and the log had ${length}`)
      const seen = Math.max(
        0,
        ...this.of("sees").flatMap((sees) =>
          sees.worker === worker && sees.at <= begin && owners.has(sees.reader) ? [sees.offset] : []
        )
      )
      const isTaken = this.of("write").some((other) => other.begin < begin && (other.offset ?? 0) >= offset)
      if (offset > seen && !isTaken) {
        this.complain("rule 3", `${worker} acknowledged ${offset}, and had delivered ${seen}`)
      }
    }
    if (this.isLossy) return
    for (const { begin } of this.of("write").filter(({ facts }) => facts.some(({ tag }) => tag === "Delivered"))) {
      const length = Math.max(
        0,
        ...this.appends
          .filter((append) => answered(append) && append.begin < begin)
          .map(({ count, from }) => from + count)
      )
      const most = Math.max(
        0,
        ...this.of("sees").flatMap(({ at, offset, reader }) => (at <= begin && owners.has(reader) ? [offset] : []))
      )
      if (most < length) this.complain("rule 3", `Delivered was written after ${most} of ${length} updates`)
    }
    const written = positions
      .filter(answered)
      .toSorted((a, b) => (a.fence ?? 0) - (b.fence ?? 0) || (a.ordinal ?? 0) - (b.ordinal ?? 0))
    for (const [i, { offset }] of written.entries()) {
      const before = written[i - 1]?.offset ?? 0
      if (offset < before) this.complain("rule 3", `acknowledged went back from ${before} to ${offset}`)
    }
  }

  /** The log says that the run has ended before the record does, and nothing comes after that. */
  endOfLog(): void {
    const ends = this.of("write").filter(
      ({ done, facts }) => done !== false && facts.some(({ tag }) => tag === "Ended")
    )
    for (const { begin, end: last } of ends) {
      const before = this.appends.filter((append) => append.begin < begin)
      const newest = before.findLast((append) => answered(append)) ?? before.at(-1)
      if (!before.some(({ ended }) => ended)) this.complain("rule 4", "Ended was written before the log had ended")
      else if (newest?.ended !== true && !before.some((append) => append.ended && !answered(append))) {
        this.complain("rule 4", "Ended was written after the end of the log was taken back")
      }
      const length = Math.max(0, ...before.map(({ count, from }) => from + count))
      const late = this.appends.find(
        (append) => answered(append) && append.begin > (last ?? Infinity) && append.from + append.count > length
      )
      const isRetried = this.of("write").some(({ facts }) => facts.some(({ tag }) => tag === "Retried"))
      if (late !== undefined && !isRetried) this.complain("rule 4", `${late.count} updates were appended after Ended`)
    }
  }

  private acknowledgedBefore(at: number): number {
    const before = this.of("write").filter(({ begin, done }) => done !== false && begin < at)
    return Math.max(0, ...before.map(({ offset }) => offset ?? 0))
  }

  /** Each reader sees every update from its place on, once and in order, and all see the same. */
  readers(): void {
    const contents = new Map<string, string>()
    const owners = this.owners()
    for (const [reader, own] of Map.groupBy(
      this.events.filter((event) => "reader" in event),
      (event) => event.reader
    )) {
      let offset: number | undefined
      let isOver = false
      for (const event of own) {
        if (event.what === "joins") {
          offset = event.offset
          isOver = false
          continue
        }
        if (isOver) this.complain("readers", `${reader} read on after it had stopped`)
        if (event.what === "sees") {
          const key = `${event.offset}.${event.epoch}`
          // What the log lost is written again. Whoever reads under the lease gets again what it had not finished with.
          const isWritten = this.isLossy && owners.has(reader) && event.offset <= (offset ?? 0)
          const isRepeated = isWritten || (event.waits && event.offset === offset)
          const acknowledged = offset === undefined ? this.acknowledgedBefore(event.at) : 0
          if (offset === undefined && event.offset > acknowledged + 1) {
            this.complain("readers", `${reader} began at ${event.offset}, and ${acknowledged} were acknowledged`)
          }
          if (offset !== undefined && event.offset !== offset + 1 && !isRepeated) {
            this.complain("readers", `${reader} saw ${event.offset} after ${offset}`)
          }
          offset = event.offset
          const content = JSON.stringify([event.text, event.rest])
          const known = contents.get(key) ?? content
          if (known !== content && !event.waits)
            this.complain("readers", `${reader} saw another update ${key}: ${content}, not ${known}`)
          if (!event.waits) contents.set(key, known)
          continue
        }
        isOver = true
        if (event.how === "rewritten" && !this.isLossy)
          this.complain("readers", `${reader} was told of a loss, and there was none`)
        if (event.how !== "ended") continue
        const before = this.appends.filter(({ begin }) => begin < event.at)
        const length = Math.max(0, ...before.filter(answered).map(({ count, from }) => from + count))
        if (!before.some(({ ended }) => ended)) this.complain("rule 4", `${reader} ended before the log`)
        else if (!this.isLossy && (offset ?? length) < length)
          this.complain("rule 4", `${reader} ended at ${offset} of ${length}`)
      }
    }
    if (this.isLossy) return
    const epochs = Map.groupBy(
      this.of("sees").filter(({ waits }) => !waits),
      ({ offset }) => offset
    )
    for (const [offset, all] of epochs) {
      const kinds = new Set(all.map(({ epoch }) => epoch))
      if (kinds.size > 1) this.complain("readers", `update ${offset} was seen of epochs ${[...kinds].join(" and ")}`)
    }
  }

  /** Those who read the whole run got what the provider said. */
  whole(said: string): void {
    for (const [reader, own] of Map.groupBy(
      this.events.filter((event) => "reader" in event),
      (event) => event.reader
    )) {
      const first = own.findLastIndex(({ what }) => what === "joins")
      const last = own.slice(Math.max(0, first))
      const [joins] = last
      const stops = last.at(-1)
      if (joins?.what !== "joins" || (joins.offset ?? 0) > 0 || stops?.what !== "stops" || stops.how !== "ended")
        continue
      const text = last.map((event) => (event.what === "sees" ? event.text : "")).join("")
      if (joins.offset === 0 && text !== said) this.complain("whole", `${reader} got ${JSON.stringify(text)}`)
    }
  }
}

/** What in a history breaks the rules of logged runs. `said` is what the provider said of a run, if it is known. */
export const violations = (
  history: ReadonlyArray<Event>,
  said: (runId: string) => string | undefined = () => undefined
): ReadonlyArray<string> =>
  [...Map.groupBy(history, ({ runId }) => runId)].flatMap(([runId, events]) => {
    const judge = new Judge(events)
    judge.fencing()
    judge.factBeforeUpdate()
    judge.appendBeforeDelivery()
    judge.deliveryBeforeAcknowledgement()
    judge.endOfLog()
    judge.readers()
    const text = said(runId)
    if (text !== undefined) judge.whole(text)
    return [...new Set(judge.found)].map((why) => `${runId}: ${why}`)
  })
