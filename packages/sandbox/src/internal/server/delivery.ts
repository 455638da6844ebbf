import * as Effect from "effect/Effect"
import type * as Http from "node:http"
import type { Run } from "./run.ts"
import type { SandboxEvent } from "./timeline.ts"
import type { Armed, Troubles } from "./troubles.ts"

// Large enough for few socket writes, small enough to notice a slow reader
// soon.
const batchLength = 64 * 1024

const drained = (response: Http.ServerResponse): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const done = () => resume(Effect.void)
    response.once("drain", done)
    return Effect.sync(() => response.off("drain", done))
  })

const nextTick: Effect.Effect<void> = Effect.callback((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

const flushed = (response: Http.ServerResponse, text: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    response.write(text, () => resume(Effect.void))
  })

const ended = (response: Http.ServerResponse): Effect.Effect<void> =>
  Effect.callback((resume) => {
    response.end(() => resume(Effect.void))
  })

const write = Effect.fnUntraced(function* (response: Http.ServerResponse, text: string, every: number | undefined) {
  if (every === undefined) {
    if (!response.write(text)) yield* drained(response)
    return
  }
  const bytes = Buffer.from(text)
  for (let start = 0; start < bytes.length; start += every) {
    const flowing = response.write(bytes.subarray(start, start + every))
    // A turn of the event loop between pieces keeps them from being joined.
    yield* flowing ? nextTick : drained(response)
  }
})

type Cut = Armed<"EndEarly"> | Armed<"HalfEvent"> | Armed<"Reset"> | Armed<"Stall">

const armCut = (troubles: Troubles): Cut | undefined =>
  [troubles.arm("EndEarly"), troubles.arm("HalfEvent"), troubles.arm("Reset"), troubles.arm("Stall")]
    .filter((cut) => cut !== undefined)
    .toSorted((a, b) => a.trouble.after - b.trouble.after)[0]

/**
 * Writes the events of a response from `from` on to one connection, as they
 * are made, until the response ends or a trouble strikes.
 */
export const deliver = Effect.fnUntraced(function* (options: {
  readonly run: Run
  readonly response: Http.ServerResponse
  readonly from: number
  readonly resumed: boolean
  readonly troubles: Troubles
}) {
  const { response, resumed, run, troubles } = options
  const newline = troubles.strike("Crlf") === undefined ? "\n" : "\r\n"
  const finalBlankLine = troubles.strike("NoFinalBlankLine") === undefined
  const split = troubles.strike("SplitBytes")
  const every = split === undefined ? undefined : (split.every ?? 1)
  const replayEnd = resumed ? run.produced : 0
  const duplicate = resumed ? troubles.strike("DuplicateReplay") : undefined
  const swapped = resumed && troubles.strike("OutOfOrderReplay") !== undefined
  const from = Math.max(0, Math.min(options.from, run.timeline.length) - (duplicate?.back ?? 0))
  const cut = armCut(troubles)

  const order = (position: number): number => {
    if (!swapped || position >= replayEnd) return position
    const other = from + ((position - from) ^ 1)
    return other < replayEnd ? other : position
  }
  const frame = (event: SandboxEvent, last: boolean): string => {
    const text = `event: ${event.type}${newline}data: ${event.json}${newline}`
    return last && !finalBlankLine ? text : text + newline
  }

  let position = from
  let sent = 0
  let cutting = cut !== undefined
  const due = () => cutting && cut !== undefined && sent >= cut.trouble.after

  while (true) {
    while (position < run.produced && !due()) {
      let text = ""
      while (position < run.produced && text.length < batchLength && !due()) {
        const event = run.timeline.at(order(position))
        position++
        if (event.ephemeral && position <= replayEnd) continue
        text += frame(event, position >= run.timeline.length)
        sent++
      }
      if (text !== "") yield* write(response, text, every)
      run.delivered = Math.max(run.delivered, position)
      if (!run.request.background) run.notify()
    }
    if (position >= run.timeline.length) return yield* ended(response)
    if (due() && cut !== undefined) {
      const { trouble } = cut
      const half = trouble._tag === "Reset" || trouble._tag === "HalfEvent"
      if (!half || position < run.produced) {
        if (!cut.strike()) {
          cutting = false
          continue
        }
        if (half) {
          const text = frame(run.timeline.at(order(position)), false)
          yield* flushed(response, text.slice(0, Math.floor(text.length / 2)))
        }
        switch (trouble._tag) {
          case "EndEarly":
          case "HalfEvent":
            return yield* ended(response)
          case "Reset": {
            response.socket?.resetAndDestroy()
            return
          }
          case "Stall":
            return yield* Effect.never
        }
      }
    }
    const seen = position
    yield* run.until(() => run.produced > seen || seen >= run.timeline.length)
  }
})
