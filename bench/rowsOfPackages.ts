/** What a program that uses a library weighs, and how soon it has something. */
import { Effect } from "effect"
import { join } from "node:path"
import { type Form, place } from "./build.ts"
import { bundled } from "./bundle.ts"
import { BenchFailed, timeToFirst } from "./processes.ts"
import { absentIn, done, type Setting } from "./row.ts"

const hellos: ReadonlyArray<{
  readonly name: string
  readonly program: string
  readonly form?: Form
  readonly cached?: boolean
}> = [
  { name: "fetch", program: "fetch" },
  { name: "openai", program: "openai" },
  { name: "Agents SDK", program: "agents" },
  { name: "AI SDK", program: "ai" },
  { name: "Baton, memory", program: "memory" },
  { name: "Baton, file", program: "file" },
  { name: "Baton, Redis", program: "redis" },
  { name: "Baton, memory, by subpath", program: "memory", form: "subpath" },
  { name: "Baton, file, by subpath", program: "file", form: "subpath" },
  { name: "Baton, Redis, by subpath", program: "redis", form: "subpath" },
  { name: "openai, compile cache", program: "openai", cached: true },
  { name: "Baton, memory, by subpath, compile cache", program: "memory", form: "subpath", cached: true }
]

export const first = Effect.fnUntraced(function* (setting: Setting) {
  const subjects = hellos.map(({ cached = false, form = "readme", name, program }) => ({
    name,
    absent: absentIn(setting, program),
    measure: timeToFirst(`hello/${program}`, {
      form,
      env: { ...setting.env, ...(cached ? { NODE_COMPILE_CACHE: join(place, "compiled") } : {}) }
    })
  }))
  // The first start reads from the disk, and fills the compile cache.
  if (!setting.quick)
    yield* Effect.forEach(subjects, ({ absent, measure }) =>
      absent === undefined ? Effect.ignore(measure) : Effect.void
    )
  return yield* done(
    "first",
    {
      title: "first: from the start of a process to its first update (less is better)",
      goal: "Baton by subpath <= 2.2 x openai, <= 1.8 x with the compile cache"
    },
    [
      { head: "ms", figure: "ms", digits: 0 },
      { head: "x fetch", figure: "ms", over: "fetch", digits: 2 },
      { head: "x openai", figure: "ms", over: "openai", digits: 2 },
      { head: "CPU ms", figure: "cpu", digits: 0 },
      { head: "x openai", figure: "cpu", over: "openai", digits: 2 }
    ],
    subjects,
    setting.rounds
  )
})

const weighed = (program: string, form: Form = "readme", external: ReadonlyArray<string> = []) =>
  Effect.tryPromise({
    try: () => bundled(program, form, { external }),
    catch: (error) => new BenchFailed({ message: String(error) })
  })

export const bundle = () =>
  done(
    "bundle",
    {
      title: "bundle: a hello stream, by esbuild (less is better)",
      goal: "Baton by subpath <= 150 KB gzip, <= 65 without openai"
    },
    [
      { head: "minified KB", figure: "minified", digits: 0 },
      { head: "gzip KB", figure: "gzip", digits: 0 },
      { head: "x openai", figure: "gzip", over: "openai", digits: 2 }
    ],
    [
      { name: "openai", measure: weighed("openai") },
      { name: "Agents SDK", measure: weighed("agents") },
      { name: "AI SDK", measure: weighed("ai") },
      { name: "Baton, memory", measure: weighed("memory") },
      { name: "Baton, memory, without openai", measure: weighed("memory", "readme", ["openai"]) },
      { name: "Baton, memory, by subpath", measure: weighed("memory", "subpath") },
      { name: "Baton, memory, by subpath, without openai", measure: weighed("memory", "subpath", ["openai"]) }
    ],
    // It is the same every time.
    1
  )
