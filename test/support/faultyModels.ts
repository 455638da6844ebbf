import type { BackgroundModel } from "@effect-baton/core"
import { Effect, Stream, Struct } from "effect"
import { AiError } from "effect/ai"
import { aiError } from "./models.ts"

type Model = BackgroundModel.BackgroundModel["Service"]
type Event = BackgroundModel.ModelEvent
type Snapshot = BackgroundModel.ModelSnapshot

/** A request is refused. */
export const refuses = aiError(
  new AiError.InvalidRequestError({ description: "Cannot cancel a synchronous response." })
)

/** Changes events, of the stream and of its replay alike. */
const heard =
  (change: (event: Event) => ReadonlyArray<Event>) =>
  (inner: Model): Partial<Model> => ({
    create: (request) => Stream.flatMap(inner.create(request), (event) => Stream.fromIterable(change(event))),
    resume: (id, after) => Stream.flatMap(inner.resume(id, after), (event) => Stream.fromIterable(change(event)))
  })

const each = (change: (event: Event) => Event) => heard((event) => [change(event)])

/** Changes what is shown at the end, in the terminal event and in looks. */
const shown =
  (change: (snapshot: Snapshot) => Snapshot, where: "both" | "looks" = "both") =>
  (inner: Model): Partial<Model> => ({
    ...(where === "both"
      ? each((event) => (event.terminal === undefined ? event : { ...event, terminal: change(event.terminal) }))(inner)
      : {}),
    retrieve: (id) =>
      Effect.map(inner.retrieve(id), ({ snapshot }) => ({
        snapshot: snapshot.items.length === 0 ? snapshot : change(snapshot)
      }))
  })

/** A terminal event, or a look, with other items. */
const showing = (change: (items: Snapshot["items"]) => Snapshot["items"], where?: "both" | "looks") =>
  shown((snapshot) => ({ ...snapshot, items: change(snapshot.items) }), where)

const lanes = (change: (lane: BackgroundModel.Lane) => ReadonlyArray<BackgroundModel.Lane>) =>
  showing((items) => items.map((item) => ({ ...item, lanes: item.lanes.flatMap(change) })))

/** Changes statements, of the stream and of its replay alike. */
const said = (change: (statement: BackgroundModel.Statement) => ReadonlyArray<BackgroundModel.Statement>) =>
  each((event) => ({ ...event, statements: event.statements.flatMap(change) }))

const found = (responseId: string) =>
  Effect.succeed({ snapshot: { responseId, status: "in_progress", items: [] } } as const)

// Events 2 and 3 say something.
const nameLate = <E>(events: Stream.Stream<Event, E>): Stream.Stream<Event, E> =>
  Stream.suspend(() => {
    let name = "unknown"
    return Stream.map(events, (event) => {
      name = event.responseId ?? name
      return event.sequenceNumber === 3 ? { ...event, responseId: name } : Struct.omit(event, ["responseId"])
    })
  })

/** Models with one fault each. */
export const faults = {
  "skips a delta": heard((event) =>
    event.statements.some((one) => one._tag === "Delta" && one.delta === "Hello, ") ? [] : [event]
  ),
  "loses a text at the end": lanes((lane) => (lane.kind === "text" && lane.text === "side by side!" ? [] : [lane])),
  "loses a text in looks": showing((items) => items.slice(0, -1), "looks"),
  "says a text twice at its end": said((one) =>
    one._tag === "LaneEnded" ? [{ ...one, text: `${one.text}${one.text}` }] : [one]
  ),
  "makes the rest itself": said((one) =>
    one._tag === "LaneEnded"
      ? [one, { _tag: "Delta", index: one.index, lane: one.lane, kind: one.kind, delta: one.text ?? "" }]
      : [one]
  ),
  "shows items at other places": showing((items) => [{ lanes: [], done: true }, ...items]),
  "shows reasoning as text": lanes((lane) => [lane.kind === "reasoning" ? { ...lane, kind: "text" } : lane]),
  "leaves out sources that it cannot read": lanes((lane) => [
    lane.kind === "sources" ? { ...lane, sources: lane.sources.filter((one) => one !== undefined) } : lane
  ]),
  "tells parameters as text": lanes((lane) => [
    lane.kind === "single" && lane.part.type === "tool-call"
      ? { ...lane, part: { ...lane.part, params: JSON.stringify(lane.part.params) } }
      : lane
  ]),
  "numbers lanes with fractions": said((one) => [
    one._tag === "PartAdded" ? { ...one, lane: { ...one.lane, lane: 0.5 } } : one
  ]),
  "has no finish": shown((snapshot) => Struct.omit(snapshot, ["finish"])),
  "says not why it failed": shown((snapshot) => Struct.omit(snapshot, ["error"])),
  "repeats the event that it is resumed after": (inner) => ({
    resume: (id, { after = -1 }) => inner.resume(id, after < 1 ? {} : { after: after - 1 })
  }),
  "skips an event when it is resumed": (inner) => ({
    resume: (id, options) => Stream.drop(inner.resume(id, options), 1)
  }),
  "has no terminal event": each((event) => Struct.omit(event, ["terminal"])),
  "numbers events backwards": each((event) => ({ ...event, sequenceNumber: 100 - (event.sequenceNumber ?? 0) })),
  "names the response late": (inner) => ({
    create: (request) =>
      request.instructions === "everything" ? nameLate(inner.create(request)) : inner.create(request)
  }),
  "says that it is over while it runs": (inner) => ({
    retrieve: (id) =>
      Effect.map(inner.retrieve(id), ({ snapshot }) => ({ snapshot: { ...snapshot, status: "completed" } }))
  }),
  "has a finish while it runs": (inner) => ({
    retrieve: (id) =>
      Effect.map(inner.retrieve(id), ({ snapshot }) => ({
        snapshot: {
          ...snapshot,
          finish: { type: "finish", reason: "other", usage: { inputTokens: {}, outputTokens: {} } }
        }
      }))
  }),
  "knows any response": (inner) => ({
    retrieve: (id) => Effect.catchTag(inner.retrieve(id), "ResponseGone", () => found(id))
  }),
  "takes an unknown response for a failure": (inner) => ({
    retrieve: (id) => Effect.mapError(inner.retrieve(id), () => refuses),
    resume: (id, options) => Stream.mapError(inner.resume(id, options), () => refuses)
  }),
  "cancels nothing and says so of everything": () => ({ cancel: () => Effect.succeed("already over") }),
  "asks to cancel what is over": (inner) => ({ cancel: (id) => Effect.as(inner.cancel(id), "requested" as const) }),
  "removes nothing": () => ({ remove: () => Effect.void }),
  "removes once": (inner) => ({
    remove: (id) =>
      Effect.andThen(
        Effect.mapError(inner.retrieve(id), () => refuses),
        inner.remove(id)
      )
  }),
  "opens what it refuses": (inner) => ({
    create: (request) =>
      request.instructions === "refused"
        ? Stream.concat(Stream.succeed<Event>({ responseId: "resp_1", statements: [] }), inner.create(request))
        : inner.create(request)
  }),
  "submits what nobody finds": (inner) => ({
    submit: (request) => Effect.map(inner.submit(request), (snapshot) => ({ ...snapshot, responseId: "resp_other" }))
  }),
  "demands that nothing is streamed": () => ({ demands: () => ({ streamed: false }) }),
  "says no deltas": heard((event) => (event.statements.some(({ _tag }) => _tag === "Delta") ? [] : [event])),
  "leaves an item unfinished": showing((items) => items.map((item) => ({ ...item, done: false }))),
  "ends incomplete": (inner) => ({
    ...each((event) => ({
      ...event,
      ...(event.status === "completed" ? { status: "incomplete" } : {}),
      ...(event.terminal === undefined ? {} : { terminal: { ...event.terminal, status: "incomplete" } })
    }))(inner),
    ...shown((snapshot) => ({ ...snapshot, status: "incomplete" }), "looks")(inner)
  }),
  "opens one response for all requests": (inner) => {
    let opened = false
    return {
      create: (request) =>
        Stream.suspend(() => {
          if (opened) return Stream.orDie(inner.resume("resp_1", {}))
          opened = true
          return inner.create(request)
        })
    }
  },
  "shows more than it says while it runs": (inner) => ({
    retrieve: (id) =>
      Effect.map(inner.retrieve(id), ({ snapshot }) => ({
        snapshot:
          snapshot.items.length > 0
            ? snapshot
            : { ...snapshot, items: [{ lanes: [{ lane: 0, kind: "text", text: "Hello, you" }], done: false }] }
      }))
  }),
  "goes on after its last event": (inner) => ({
    resume: (id, options) =>
      Stream.unwrap(
        Effect.map(Stream.runCollect(inner.resume(id, options)), (events) =>
          Stream.fromIterable(events.length > 0 ? events : [{ sequenceNumber: 99, statements: [] }])
        )
      )
  }),
  "removes other responses too": (inner) => ({
    remove: () => Effect.forEach(["resp_1", "resp_2"], inner.remove, { discard: true })
  })
} satisfies Record<string, (inner: Model) => Partial<Model>>
