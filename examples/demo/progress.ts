import { Clock, Effect, Fiber, Schedule, Stdio, Stream } from "effect"
import { type Line, position } from "../line.ts"

const phaseOf = ({ part, status, text }: Line): string | undefined => {
  if (status !== "in_progress") return status
  if (part.startsWith("reasoning")) return "thinking"
  return text === "" ? undefined : "writing"
}

/** Shows how far the processes are: on a terminal in one line that is written again and again, elsewhere in a few lines. */
export const makeProgress = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  const terminal = yield* stdio.stdoutIsTerminal
  const began = yield* Clock.currentTimeMillis
  const seen = new Set<string>()
  let name = ""
  let phase = "starting"
  let text = ""

  const print = (line: string) => Stream.run(Stream.make(line), stdio.stdout({ endOnDone: false }))
  const elapsed = Effect.map(Clock.currentTimeMillis, (now) => `${((now - began) / 1000).toFixed(1).padStart(5)} s`)
  const say = Effect.fnUntraced(function* (what: string) {
    yield* print(`${terminal ? "\r\u001b[2K" : ""}${yield* elapsed}  ${name}: ${what}\n`)
  })
  const redraw = Effect.gen(function* () {
    const words = text.slice(-200).replace(/\s+/g, " ").slice(-40)
    const line = `${yield* elapsed}  ${name}: ${phase}, ${seen.size} updates  ${words}`
    yield* print(`\r\u001b[2K${line.slice(0, (process.stdout.columns ?? 80) - 1)}`)
  })
  const drawing = yield* Effect.forkScoped(
    terminal ? Effect.repeat(redraw, Schedule.spaced("100 millis")) : Effect.void
  )

  return {
    /** The number of updates, each counted once. */
    distinct: () => seen.size,
    say,
    begin: Effect.fnUntraced(function* (process: string, what: string) {
      name = process
      phase = "starting"
      yield* say(what)
    }),
    end: (what: string) => Effect.andThen(Fiber.interrupt(drawing), say(what)),
    update: Effect.fnUntraced(function* (update: Line) {
      const fresh = !seen.has(position(update))
      seen.add(position(update))
      if (fresh) text += update.text
      const before = phase
      phase = phaseOf(update) ?? phase
      if (terminal) return
      if (phase !== before) yield* say(phase)
      else if (fresh && seen.size % 250 === 0) yield* say(`${phase}, ${seen.size} updates`)
    })
  }
})
