/** Models in this process. A response is five deltas, each of which is read by itself, or goes on for ever. */
import { BackgroundModel } from "@effect-baton/core"
import { Effect, Layer, Stream } from "effect"
import { wordOf } from "./words.ts"

let responses = 0
const words = Array.from({ length: 5 }, (_, i) => wordOf(i))
const text = words.join("")

const eventsOf = (responseId: string): ReadonlyArray<BackgroundModel.ModelEvent> => [
  { sequenceNumber: 0, responseId, status: "in_progress", background: true, statements: [] },
  ...words.map((delta, i): BackgroundModel.ModelEvent => ({
    sequenceNumber: i + 1,
    statements: [{ _tag: "Delta", index: 0, lane: 0, kind: "text", delta }]
  })),
  {
    sequenceNumber: words.length + 1,
    responseId,
    status: "completed",
    statements: [],
    terminal: {
      responseId,
      status: "completed",
      items: [{ lanes: [{ lane: 0, kind: "text", text }], done: true }],
      finish: { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } }
    }
  }
]

const unused = Effect.die("The bench only opens and resumes responses.")

/** Every request is accepted at once, and its response is over at once, unless it is `open`: then it says nothing and goes on. */
const modelWith = (open: boolean) =>
  BackgroundModel.BackgroundModel.of({
    provider: "bench",
    model: "bench",
    capabilities: { background: true, resume: true, cancel: true },
    demands: () => ({ streamed: true }),
    create: () =>
      Stream.suspend(() => {
        const events = eventsOf(`resp_${process.pid}_${++responses}`)
        return open
          ? Stream.concat(Stream.fromIterable(events.slice(0, 1)), Stream.never)
          : Stream.rechunk(Stream.fromIterable(events), 1)
      }),
    submit: () => unused,
    resume: () => Stream.never,
    retrieve: () => unused,
    cancel: () => unused,
    remove: () => unused
  })

export const shortModel = Layer.succeed(BackgroundModel.BackgroundModel, modelWith(false))
export const openModel = Layer.succeed(BackgroundModel.BackgroundModel, modelWith(true))
