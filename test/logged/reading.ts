import { Agent, type AgentError, type AgentUpdate } from "@effect-baton/core"
import { Cause, Effect, Exit, Option, Schedule, Stream } from "effect"
import { appendFileSync } from "node:fs"
import { encodeEvent } from "./history.ts"
import { monotonic, Reader, type Recorder } from "./recording.ts"

// Readers in processes of their own, which write down at once what they see.

/** Writes down what a process does, in a file of its own. */
export const recorderIn = (file: string, worker: string): Recorder => ({
  worker,
  now: monotonic,
  write: (event) => appendFileSync(file, `${encodeEvent(event)}\n`)
})

const endings = new Set(["RunFailed", "RunCancelled", "RunExpired"])

const howOf = (exit: Exit.Exit<void, AgentError.AgentError>) => {
  if (Exit.isSuccess(exit)) return "ended"
  const reason = Option.getOrUndefined(Cause.findErrorOption(exit.cause))?.reason
  if (reason?._tag === "TokenInvalid" && reason.kind === "rewritten") return "rewritten"
  return reason !== undefined && endings.has(reason._tag) ? "ended" : "left"
}

/** Reads to the end, and writes down what comes. `finished` is called when the reader is done with an update. */
export const reading = <R>(
  recorder: Recorder,
  runId: string,
  name: string,
  updates: Stream.Stream<AgentUpdate.AgentUpdate, AgentError.AgentError, R>,
  options: { readonly owner: boolean; readonly offset?: number; readonly finished?: Effect.Effect<void> }
) =>
  Effect.suspend(() => {
    const reader = new Reader(recorder, runId, `${name} of ${recorder.worker}`, options.owner)
    reader.joins(options.offset)
    return Stream.runForEach(updates, (update) =>
      Effect.suspend(() => {
        reader.sees(update)
        return options.finished ?? Effect.void
      })
    ).pipe(
      Effect.exit,
      Effect.map((exit) => {
        const how = howOf(exit)
        reader.stops(how)
        return { exit, how, place: reader.place } as const
      })
    )
  })

/** Watches a run to its end, from its start, and comes again after failures. Fails if it cannot go on. */
export const watching = (recorder: Recorder, agent: Agent.Agent, runId: string, name: string) =>
  Effect.suspend(() => {
    let place = { offset: 0 } as { readonly offset: number; readonly epoch?: number }
    let times = 0
    const once = Effect.suspend(() =>
      reading(recorder, runId, `${name}.${++times}`, Agent.watch(agent, { runId, ...place }), {
        owner: false,
        offset: place.offset
      })
    ).pipe(
      Effect.tap(({ how, place: reached }) =>
        Effect.sync(() => {
          place = how === "rewritten" ? { offset: 0 } : (reached ?? place)
        })
      )
    )
    return Effect.repeat(once, { until: ({ how }) => how === "ended", schedule: Schedule.spaced("100 millis") })
  })
