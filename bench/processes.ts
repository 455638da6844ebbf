/** Processes of the bench: each ends with its scope, and is waited for. */
import { Console, Data, Duration, Effect, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { type Form, programAt } from "./build.ts"
import { now } from "./clock.ts"

/** Something did not run, or not to its end. */
export class BenchFailed extends Data.TaggedError("BenchFailed")<{ readonly message: string }> {}

/** What was measured once, by name. */
export type Figures = Readonly<Record<string, number>>

const FiguresJson = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Finite))
const AddressJson = Schema.fromJsonString(Schema.Struct({ url: Schema.String }))

const limit = Duration.minutes(5)

const text = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>) => Stream.mkString(Stream.decodeText(bytes))

export interface ProgramOptions {
  readonly form?: Form
  readonly args?: ReadonlyArray<string | number>
  /** Arguments of Node. */
  readonly flags?: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
}

/** Runs a program of the bench to its end: when it was started, by `now`, and the line with its result. */
const run = (name: string, { args = [], env, flags = [], form = "readme" }: ProgramOptions) =>
  Effect.gen(function* () {
    const startedAt = now()
    const child = yield* ChildProcess.make(
      process.execPath,
      [...flags, programAt(name, form), ...args.map((arg) => String(arg))],
      { extendEnv: true, env, killSignal: "SIGKILL" }
    )
    const [stdout, stderr, exitCode] = yield* Effect.all([text(child.stdout), text(child.stderr), child.exitCode], {
      concurrency: "unbounded"
    })
    const lines = stdout.split("\n").filter((line) => line !== "")
    const found = lines.find((line) => line.startsWith('{"'))
    // Warnings go to the same place, and are no reason to have no result. A thousand runs may say the same.
    const others = lines.filter((line) => line !== found)
    for (const line of others.slice(0, 3)) yield* Console.error(`  ${name} ${args.join(" ")}: ${line.slice(0, 300)}`)
    if (others.length > 3) yield* Console.error(`  and ${others.length - 3} lines more`)
    if (exitCode === 0 && found !== undefined) {
      return { startedAt, figures: yield* Schema.decodeEffect(FiguresJson)(found) }
    }
    const why = stderr.split("\n").find((line) => /^\S*(Error|Failed|Cause)\b/.test(line)) ?? stderr.slice(0, 300)
    return yield* new BenchFailed({ message: `ended with ${exitCode}: ${why.trim()}` })
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () => Effect.fail(new BenchFailed({ message: `did not end within ${Duration.toSeconds(limit)} s` }))
    }),
    Effect.catchTag(["PlatformError", "SchemaError"], ({ message }) => Effect.fail(new BenchFailed({ message })))
  )

/** Runs a program that prints its figures. */
export const figuresOf = (name: string, options: ProgramOptions) =>
  Effect.map(run(name, options), ({ figures }) => figures)

/** Runs a program that prints a stamp: the milliseconds from its start to there. */
export const timeToFirst = (name: string, options: ProgramOptions) =>
  Effect.map(run(name, options), ({ figures, startedAt }): Figures => ({
    ...figures,
    ms: (figures["at"] ?? Number.NaN) - startedAt
  }))

/** Starts the server that all subjects read from, for as long as the scope is open: its address. */
export const startServer = Effect.gen(function* () {
  const child = yield* ChildProcess.make(process.execPath, [programAt("server")], {
    stderr: "inherit",
    killSignal: "SIGKILL"
  })
  const line = yield* child.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runHead,
    Effect.flatMap(Effect.fromOption)
  )
  return (yield* Schema.decodeEffect(AddressJson)(line)).url
}).pipe(Effect.mapError(({ message }) => new BenchFailed({ message: `The server did not start: ${message}` })))
