/** The rows of the bench. */
import { build as bundle } from "esbuild"
import { Effect } from "effect"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { type Form, place, programAt } from "./build.ts"
import { BenchFailed, figuresOf, timeToFirst } from "./processes.ts"
import { inRounds, type Subject } from "./rounds.ts"
import { type Column, table } from "./table.ts"

/** What a row is given. */
interface Setting {
  readonly env: Readonly<Record<string, string>>
  readonly noRedis: string | undefined
  readonly rounds: number
  /** Smaller numbers, to see that everything runs. */
  readonly quick: boolean
}

const readers = [
  { name: "fetch (the limit)", subject: "fetch" },
  { name: "openai", subject: "openai" },
  { name: "Baton, memory", subject: "memory" },
  { name: "Baton, file", subject: "file" },
  { name: "Baton, Redis", subject: "redis" }
]

const absentIn = (setting: Setting, subject: string) => (subject === "redis" ? setting.noRedis : undefined)

const done = Effect.fnUntraced(function* <R>(
  row: string,
  title: string,
  columns: ReadonlyArray<Column>,
  subjects: ReadonlyArray<Subject<R>>,
  rounds: number
) {
  const measured = yield* inRounds(row, subjects, rounds)
  return { text: table(title, columns, measured), failed: measured.some(({ failed }) => failed) }
})

const read = Effect.fnUntraced(function* (setting: Setting) {
  const deltas = setting.quick ? 20_000 : 200_000
  const measured = (subject: string) => figuresOf("read", { args: [subject, deltas, 20_000], env: setting.env })
  // The server makes its events at the first request for them.
  yield* Effect.ignore(measured("fetch"))
  return yield* done(
    "read",
    `read: ${deltas.toLocaleString("en")} deltas flat out, a process for each round (deltas/s: more is better)`,
    [
      { head: "deltas/s", figure: "rate", digits: 0 },
      { head: "x limit", figure: "rate", over: "fetch (the limit)", digits: 2 },
      { head: "x openai", figure: "rate", over: "openai", digits: 2 },
      { head: "CPU us/delta", figure: "cpu", digits: 2 },
      { head: "x openai", figure: "cpu", over: "openai", digits: 2 },
      { head: "peak MB", figure: "peak", digits: 0 },
      { head: "x openai", figure: "peak", over: "openai", digits: 2 }
    ],
    readers.map(({ name, subject }) => ({
      name,
      absent: absentIn(setting, subject),
      measure: measured(subject)
    })),
    setting.rounds
  )
})

const paced = (setting: Setting) => {
  const [runs, perSecond, seconds] = setting.quick ? [100, 10, 1] : [1000, 10, 5]
  return done(
    "paced",
    `paced: ${runs.toLocaleString("en")} runs in one process, ${perSecond} updates/s each, for ${seconds} s (less is better)`,
    [
      { head: "RSS KB/run", figure: "rss", digits: 0 },
      { head: "x openai", figure: "rss", over: "openai", digits: 2 },
      { head: "heap KB/run", figure: "heap", digits: 0 },
      { head: "x openai", figure: "heap", over: "openai", digits: 2 },
      { head: "lag p50 ms", figure: "p50", digits: 1 },
      { head: "p99 ms", figure: "p99", digits: 1 },
      { head: "x openai", figure: "p99", over: "openai", digits: 2 },
      { head: "CPU %", figure: "cpu", digits: 0 },
      { head: "x openai", figure: "cpu", over: "openai", digits: 2 },
      { head: "opening ms/run", figure: "opening", digits: 2 }
    ],
    readers.map(({ name, subject }) => ({
      name,
      absent: absentIn(setting, subject),
      measure: figuresOf("paced", {
        args: [subject, runs, perSecond, seconds],
        flags: ["--expose-gc"],
        env: setting.env
      })
    })),
    setting.rounds
  )
}

const hellos: ReadonlyArray<{
  readonly name: string
  readonly program: string
  readonly form?: Form
  readonly cached?: boolean
}> = [
  { name: "fetch", program: "fetch" },
  { name: "openai", program: "openai" },
  { name: "Baton, memory", program: "memory" },
  { name: "Baton, file", program: "file" },
  { name: "Baton, Redis", program: "redis" },
  { name: "Baton, memory, by subpath", program: "memory", form: "subpath" },
  { name: "Baton, file, by subpath", program: "file", form: "subpath" },
  { name: "Baton, Redis, by subpath", program: "redis", form: "subpath" },
  { name: "openai, compile cache", program: "openai", cached: true },
  { name: "Baton, memory, by subpath, compile cache", program: "memory", form: "subpath", cached: true }
]

const first = Effect.fnUntraced(function* (setting: Setting) {
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
    "first: from the start of a process to its first update (less is better)",
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

const bundled = (program: string, form: Form, external: ReadonlyArray<string>) =>
  Effect.tryPromise({
    try: async () => {
      const { outputFiles } = await bundle({
        entryPoints: [programAt(`hello/${program}`, form)],
        bundle: true,
        external: [...external],
        format: "esm",
        platform: "node",
        target: "es2023",
        minify: true,
        write: false,
        logLevel: "silent"
      })
      const [{ contents } = { contents: new Uint8Array() }] = outputFiles
      return { minified: contents.length / 1024, gzip: gzipSync(contents, { level: 9 }).length / 1024 }
    },
    catch: (error) => new BenchFailed({ message: String(error) })
  })

const size = () =>
  done(
    "bundle",
    "bundle: a hello stream, by esbuild (less is better)",
    [
      { head: "minified KB", figure: "minified", digits: 0 },
      { head: "gzip KB", figure: "gzip", digits: 0 },
      { head: "x openai", figure: "gzip", over: "openai", digits: 2 }
    ],
    [
      { name: "openai", measure: bundled("openai", "readme", []) },
      { name: "Baton, memory", measure: bundled("memory", "readme", []) },
      { name: "Baton, memory, without openai", measure: bundled("memory", "readme", ["openai"]) },
      { name: "Baton, memory, by subpath", measure: bundled("memory", "subpath", []) },
      { name: "Baton, memory, by subpath, without openai", measure: bundled("memory", "subpath", ["openai"]) }
    ],
    // It is the same every time.
    1
  )

/** All rows, by name. */
export const rows = { read, paced, first, bundle: size }
