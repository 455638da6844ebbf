import { Run } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import { equal } from "../contract/violation.ts"
import * as Output from "../output.ts"
import { type Bench, holds, type Law, says, type Snapshot, type Told, violation } from "./bench.ts"
import * as Story from "./story.ts"

/** Checks the response to each of `answers`. */
const each =
  (law: (told: Told, bench: Bench) => Effect.Effect<unknown, unknown>): Law =>
  (bench) =>
    Effect.forEach(bench.answers, (request) => Effect.flatMap(bench.tell(request), (told) => law(told, bench)))

/** Checks each response with its ends: the terminal event, and a snapshot that is retrieved afterwards. */
const compared = (
  law: (told: Told, ends: ReadonlyArray<readonly [string, Snapshot]>) => Effect.Effect<unknown, unknown>
) =>
  each(
    Effect.fnUntraced(function* (told, bench) {
      const { terminal } = told
      const looked = ["a look after the end", yield* bench.untilOver(told.responseId)] as const
      yield* law(told, terminal === undefined ? [looked] : [["the terminal event", terminal], looked])
    })
  )

/** Checks that the events and each end agree in this view of the output. */
const alike = (what: string, view: (items: Snapshot["items"]) => unknown) =>
  compared((told, ends) => {
    const said = view(Output.snapshotOf(Story.storyOf(told.events)))
    return Effect.forEach(ends, ([name, { items }]) => equal(view(items), said, `the ${what} that ${name} shows`))
  })

export const creation = {
  "an ordinary request may be streamed": ({ answers, model }) =>
    Effect.forEach(answers, ({ options }) =>
      equal(model.demands(options).streamed, true, "whether `answers` can be streamed with their options")
    ),

  "the response is named before anything is said of it": each(({ events, responseId }) =>
    Effect.gen(function* () {
      const named = events.findIndex((event) => event.responseId !== undefined)
      const said = events.findIndex((event) => says(event) || event.terminal !== undefined)
      yield* holds(said === -1 || named <= said, `event ${named} names the response, and event ${said} says something`)
      const names = events.flatMap((event) => event.responseId ?? [])
      yield* equal([...new Set(names)], [responseId], "the names of the response")
    })
  ),

  "each request is a response of its own": ({ answers, tell }) =>
    Effect.gen(function* () {
      const first = yield* tell(answers[0])
      const second = yield* tell(answers[0])
      yield* holds(first.responseId !== second.responseId, `two requests are both the response ${first.responseId}`)
    }),

  "the numbers of events rise": each(({ events }, { model }) =>
    Effect.gen(function* () {
      let before = -1
      for (const { sequenceNumber } of events) {
        if (sequenceNumber === undefined) {
          yield* holds(!model.capabilities.resume, "an event has no sequence number, though the model can resume")
          continue
        }
        yield* holds(
          Number.isSafeInteger(sequenceNumber),
          `the number of event ${sequenceNumber} is not a whole number`
        )
        yield* holds(sequenceNumber > before, `event ${sequenceNumber} comes after event ${before}`)
        before = sequenceNumber
      }
    })
  ),

  "a response ends with a terminal event, and nothing comes after it": each(({ events, responseId }) =>
    Effect.gen(function* () {
      const at = events.findIndex(({ terminal }) => terminal !== undefined)
      const event = events[at]
      if (event?.terminal === undefined) return yield* violation("there is no terminal event")
      yield* equal(events.length - 1 - at, 0, "the events after the terminal one")
      yield* equal(event.terminal.responseId, responseId, "the response that the terminal event names")
      yield* holds(Run.isOver(event.terminal.status), `the terminal event says ${event.terminal.status}`)
      yield* equal(event.status ?? event.terminal.status, event.terminal.status, "the status of the terminal event")
    })
  ),

  "until its end a response is under way": each(({ events }) =>
    Effect.forEach(events, ({ sequenceNumber, status, terminal }) =>
      holds(
        terminal !== undefined || status === undefined || status === "queued" || status === "in_progress",
        `event ${sequenceNumber} says ${status} and is not terminal`
      )
    )
  ),

  "the requests of `answers` complete": compared((_, ends) =>
    Effect.forEach(ends, ([name, { status }]) => equal(status, "completed", `the status that ${name} shows`))
  )
} satisfies Record<string, Law>

export const story = {
  "the first of `answers` says text in several events": ({ answers, tell }) =>
    Effect.gen(function* () {
      const { events } = yield* tell(answers[0])
      const deltas = events.filter(({ statements }) => statements.some(({ _tag }) => _tag === "Delta"))
      yield* holds(deltas.length > 1, `the text came in ${deltas.length} events: give a request with a longer answer`)
    }),

  "the deltas of a text are what its end says that it was": each(({ events }) => {
    const [fault] = Story.storyOf(events).faults
    return fault === undefined ? Effect.void : violation(fault)
  }),

  "items and lanes have whole numbers, and no number twice": compared(({ events }, ends) =>
    Effect.gen(function* () {
      yield* equal(Story.misplaced(events), [], "the numbers in events")
      for (const [name, { items }] of ends) {
        yield* equal(Story.misnumbered(items), [], `the numbers of ${name}`)
      }
    })
  ),

  "the end shows the texts that the events said": alike("texts", Story.textsOf),
  "the end shows the calls and files that the events said": alike("calls and files", Story.singlesOf),
  "the end shows the sources that the events said": alike("sources", Story.sourcesOf),
  "the end shows each lane at its place, of its kind": alike("places", Story.placesOf),

  "a look after the end shows what the terminal event showed": each(({ responseId, terminal }, { untilOver }) =>
    Effect.gen(function* () {
      const looked = yield* untilOver(responseId)
      yield* equal(looked.responseId, responseId, "the response that a look names")
      if (terminal === undefined) return
      yield* equal(looked.status, terminal.status, "the status")
      yield* equal(Story.placesOf(looked.items), Story.placesOf(terminal.items), "the output")
      yield* equal(looked.finish?.reason, terminal.finish?.reason, "the finish reason")
      yield* equal(looked.finish?.usage, terminal.finish?.usage, "the usage")
    })
  ),

  "what is over has a finish": compared((_, ends) =>
    Effect.forEach(ends, ([name, { finish }]) => holds(finish !== undefined, `there is no finish in ${name}`))
  ),

  "what is over has no unfinished item": compared((_, ends) =>
    Effect.forEach(ends, ([name, { items, status }]) =>
      holds(
        status !== "completed" || items.every(({ done }) => done),
        `an item is not done in ${name} of a completed response`
      )
    )
  )
} satisfies Record<string, Law>
