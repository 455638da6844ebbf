// What Baton costs beside bare `fetch` and other libraries, against a local server: pnpm bench --row read --rounds 3.
// Quote ratios: absolute figures are those of one machine in one hour.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Option, Record } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { stop } from "esbuild"
import { join } from "node:path"
import { availableParallelism, cpus, loadavg } from "node:os"
import { build } from "./build.ts"
import { places } from "./places.ts"
import { BenchFailed, startServer } from "./processes.ts"
import { rows } from "./rows.ts"

const names = Record.keys(rows)

const bench = Effect.fnUntraced(function* (options: {
  readonly row: (typeof names)[number] | undefined
  readonly rounds: number
  readonly quick: boolean
}) {
  yield* Effect.addFinalizer(() => Effect.promise(() => stop()))
  yield* Effect.tryPromise({
    try: () => build(),
    catch: (error) => new BenchFailed({ message: `The packages were not built: ${String(error)}` })
  })
  const { env, noRedis } = yield* places
  const url = yield* startServer
  yield* Console.log(
    `bench: Node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model ?? "unknown"}), ` +
      `rounds: ${options.rounds}, medians${options.quick ? "; quick: the figures say nothing" : ""}`
  )
  const before = loadavg()[0] ?? 0
  let failed = 0
  for (const name of options.row === undefined ? names : [options.row]) {
    // A store opens faster the less it holds: what one row wrote is not there in the next.
    const files = join(env.BENCH_FILES, name)
    const row = yield* rows[name]({ ...options, noRedis, env: { ...env, BENCH_FILES: files, BENCH_URL: url } })
    yield* Console.log(row.text)
    if (row.failed) failed++
  }
  // The bench itself keeps about two cores busy. Above that others work here too, and the figures are theirs as well.
  yield* Console.log(`\nload of the machine: ${before.toFixed(1)} before, ${(loadavg()[0] ?? 0).toFixed(1)} after`)
  if (failed > 0)
    return yield* new BenchFailed({ message: `${failed} of the rows did not run to their end: see above.` })
})

const command = Command.make(
  "bench",
  {
    one: Argument.Literals("row", names).pipe(Argument.withDescription("One row alone"), Argument.optional),
    row: Flag.Literals("row", names).pipe(Flag.withDescription("The same"), Flag.optional),
    rounds: Flag.Int("rounds").pipe(Flag.withDescription("How many rounds, 5 if nothing is said"), Flag.optional),
    quick: Flag.Boolean("quick").pipe(
      Flag.withDescription("A few seconds, to see that everything runs"),
      Flag.withDefault(false)
    )
  },
  ({ one, quick, row, rounds }) =>
    Effect.scoped(
      bench({
        row: Option.getOrUndefined(Option.orElse(one, () => row)),
        rounds: Math.max(
          1,
          Option.getOrElse(rounds, () => (quick ? 1 : 5))
        ),
        quick
      })
    )
).pipe(Command.withDescription("What Baton costs beside bare fetch and other libraries"))

command.pipe(
  Command.run({ version: "0.1.0" }),
  Effect.catchTag("BenchFailed", ({ message }) =>
    Effect.andThen(
      Console.error(`\nbench: FAILED. ${message}`),
      Effect.sync(() => void (process.exitCode = 1))
    )
  ),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
