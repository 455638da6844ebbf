/** One stream in a process: what an event costs. */
import { Effect } from "effect"
import { figuresOf } from "./processes.ts"
import { absentIn, done, names, readers, type Setting } from "./row.ts"

const reading = (setting: Setting, subjects: ReturnType<typeof readers>, ...args: ReadonlyArray<string | number>) =>
  subjects.map(({ name, subject }) => ({
    name,
    absent: absentIn(setting, subject),
    measure: figuresOf("read", { args: [subject, ...args], env: setting.env })
  }))

const flatOf = (setting: Setting) => (setting.quick ? 20_000 : 200_000)

/** The server makes its events at the first request for them. */
const made = (subjects: ReturnType<typeof reading>) =>
  Effect.forEach(subjects.slice(0, 1), ({ measure }) => Effect.ignore(measure))

export const read = Effect.fnUntraced(function* (setting: Setting) {
  const deltas = flatOf(setting)
  const subjects = reading(
    setting,
    readers("fetch", "openai", "agents", "ai", "memory", "file", "redis", "manual"),
    "flat",
    deltas,
    20_000,
    deltas / 10
  )
  yield* made(subjects)
  return yield* done(
    "read",
    {
      title: `read: ${deltas.toLocaleString("en")} deltas flat out, a process for each round (deltas/s: more is better)`,
      goal:
        "Baton >= 0.8 x limit, 2.7 x openai, 5 x Agents SDK, 10 x AI SDK; with one pull for each read >= 0.9 x limit, " +
        "3 x openai; a delta costs no more than in a tenth of the stream; peak <= 200 MB"
    },
    [
      { head: "deltas/s", figure: "rate", digits: 0 },
      { head: "x limit", figure: "rate", over: names.fetch, digits: 2 },
      { head: "x openai", figure: "rate", over: "openai", digits: 2 },
      { head: "x Agents SDK", figure: "rate", over: "Agents SDK", digits: 2 },
      { head: "x AI SDK", figure: "rate", over: "AI SDK", digits: 2 },
      { head: "CPU us/delta", figure: "cpu", digits: 2 },
      { head: "x openai", figure: "cpu", over: "openai", digits: 2 },
      { head: "x a tenth", figure: "growth", digits: 2 },
      { head: "peak MB", figure: "peak", digits: 0 }
    ],
    subjects,
    setting.rounds
  )
})

export const writes = Effect.fnUntraced(function* (setting: Setting) {
  const deltas = setting.quick ? 5_000 : 20_000
  const subjects = reading(setting, readers("fetch", "openai", "memory", "file", "redis"), "each", deltas, deltas / 4)
  yield* made(subjects)
  return yield* done(
    "writes",
    {
      title: `writes: ${deltas.toLocaleString("en")} deltas, each in a write of its own (less is better)`,
      goal: "Baton <= 0.9 x openai"
    },
    [
      { head: "CPU us/delta", figure: "cpu", digits: 2 },
      { head: "x limit", figure: "cpu", over: names.fetch, digits: 2 },
      { head: "x openai", figure: "cpu", over: "openai", digits: 2 },
      { head: "deltas/s", figure: "rate", digits: 0 }
    ],
    subjects,
    setting.rounds
  )
})

export const checkpoint = Effect.fnUntraced(function* (setting: Setting) {
  const deltas = flatOf(setting)
  const subjects = reading(setting, readers("nothing", "memory", "file", "redis"), "flat", deltas, 20_000)
  yield* made(subjects)
  return yield* done(
    "checkpoint",
    {
      title: `checkpoint: ${deltas.toLocaleString("en")} deltas flat out, positions written (deltas/s: more is better)`,
      goal: ">= 0.95 x a store that does nothing"
    },
    [
      { head: "deltas/s", figure: "rate", digits: 0 },
      { head: "x nothing", figure: "rate", over: names.nothing, digits: 2 }
    ],
    subjects,
    setting.rounds
  )
})
