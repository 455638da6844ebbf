// Every example that is a program runs as it is, on the sandbox. (05 and 07 are tests themselves.)
import { NodeServices } from "@effect/platform-node"
import { ResponsesServer } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { describeRedis, describeShared } from "../support/redisServer.ts"

// A busy machine takes its time: what does not end at all is a fault.
const patience = 300_000

const examples = new URL("../../examples/", import.meta.url).pathname

/** How a program ends and what it says, where nothing in the environment leads it to a provider or a server. */
const run = Effect.fnUntraced(function* (
  [program, ...flags]: readonly [string, ...Array<string>],
  { cwd, ...env }: { readonly cwd?: string } & Readonly<Record<string, string>> = {}
) {
  const child = yield* ChildProcess.make(process.execPath, [`${examples}${program}`, ...flags], {
    env: {
      OPENAI_API_KEY: undefined,
      AZURE_OPENAI_ENDPOINT: undefined,
      OTLP_URL: undefined,
      SANDBOX_URL: undefined,
      REDIS_URL: undefined,
      ...env
    },
    extendEnv: true,
    ...(cwd === undefined ? {} : { cwd })
  })
  const said = yield* Stream.mkString(Stream.decodeText(child.all))
  return { said, exitCode: Number(yield* child.exitCode) }
}, Effect.scoped)

const says = Effect.fnUntraced(function* (
  program: readonly [string, ...Array<string>],
  expected: ReadonlyArray<RegExp>,
  env?: { readonly cwd?: string } & Readonly<Record<string, string>>
) {
  const { exitCode, said } = yield* run(program, env)
  assert.strictEqual(exitCode, 0, said)
  for (const line of expected) assert.match(said, line)
})

// The last words of the sandbox's report.
const whole = /they may be an error, or news\.\n/

describe.concurrent("examples", () => {
  const works = (program: string, ...expected: ReadonlyArray<RegExp>) =>
    it.live(program, () => says([program], expected).pipe(Effect.provide(NodeServices.layer)), patience)

  works("01-stream-and-resume.ts", /--- broken off/, whole, /--- the session goes on after resp_/)
  works("02-start-and-poll.ts", /accepted: (queued|in_progress)/, /polled: completed/, whole)
  works("04-azure.ts", whole)
  works("11-follow-a-response.ts", /accepted as resp_/, /--- broken off/, whole, /--- completed after \d+ updates/)
  works(
    "12-enqueue.ts",
    /1 report is cancelled before its time/,
    /report-2 of north: completed/,
    /report-3 of south: cancelled/,
    /2 completed, 1 cancelled\n/
  )
  works("06-observability.ts", /replay, attempt 1, after event 49/, /baton\.runs +1\n/)

  it.live(
    "03-another-process.ts, twice",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const { url } = yield* ResponsesServer.ResponsesServer
        const env = { SANDBOX_URL: url, cwd: yield* fs.makeTempDirectoryScoped({ prefix: "baton-example-" }) }
        yield* says(["03-another-process.ts"], [/--- broken off after 100 updates/], env)
        yield* says(["03-another-process.ts"], [whole, /--- the report is complete/], env)
      }).pipe(Effect.scoped, Effect.provide([ResponsesServer.layer(), NodeServices.layer])),
    patience
  )

  it.live(
    "the demo refuses a store that it does not know",
    () =>
      Effect.gen(function* () {
        const { exitCode, said } = yield* run(["demo.ts", "--store", "paper"])
        assert.strictEqual(exitCode, 1)
        assert.match(said, /--store: "paper"\. Expected: "file" \| "redis"/)
      }).pipe(Effect.provide(NodeServices.layer)),
    patience
  )

  it.live(
    "over Redis say what is missing where there is none",
    () =>
      Effect.gen(function* () {
        const { exitCode, said } = yield* run(["08-workers.ts"], { PATH: "/nowhere" })
        assert.strictEqual(exitCode, 1)
        assert.match(said, /NoRedis: .*put redis-server .* on the PATH .* REDIS_URL/)
      }).pipe(Effect.provide(NodeServices.layer)),
    patience
  )
})

type Env = Readonly<Record<string, string>>

const overRedis = (env: Effect.Effect<Env>, program: readonly [string, ...Array<string>], ...expected: Array<RegExp>) =>
  it.live(
    program.join(" "),
    () => Effect.flatMap(env, (given) => says(program, expected, given)).pipe(Effect.provide(NodeServices.layer)),
    patience
  )

describeRedis(
  "over a Redis of its own",
  () => {
    overRedis(
      Effect.succeed({}),
      ["08-workers.ts"],
      /--- (worker \d) is killed with SIGKILL\n[^]*--- \1 is gone\. It had \w+[^]*, which \1 had/,
      /workers: ok, 6 runs by 3 workers, 1 of them killed, 0 lost, 0 repeated\n/
    )
  },
  { concurrent: true }
)

describeShared("over a given Redis", (server) => {
  const given = Effect.map(server, ({ url }): Env => ({ REDIS_URL: url }))
  describe.concurrent("examples", () => {
    overRedis(
      given,
      ["09-start-and-follow.ts"],
      /the worker got report-1 in 1\d\d\d updates/,
      /the result of report-2: completed/,
      /the worker is done with both\n/
    )
    overRedis(given, ["10-rate-limit.ts"], /6 saves took \d+ ms; the limit says at least 2500 ms\n/)
    overRedis(given, ["demo.ts", "--store", "redis"], /demo: ok, 1040 updates, 0 lost, 0 repeated\n/)
  })
})
