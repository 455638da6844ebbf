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

// What would lead an example to a provider, a server or a place of its own.
const unset = Object.fromEntries(
  [
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "AZURE_OPENAI_ENDPOINT",
    "OTLP_URL",
    "REDIS_PREFIX",
    "REDIS_URL",
    "STORE_DIRECTORY",
    "TOKEN_SECRET"
  ].map((name) => [name, undefined])
)

type Env = Readonly<Record<string, string>>
type Program = readonly [string, ...Array<string>]

/** How a program ends and what it says, where nothing in the environment leads it elsewhere. */
const run = Effect.fnUntraced(function* ([program, ...flags]: Program, env: Env = {}) {
  const child = yield* ChildProcess.make(process.execPath, [`${examples}${program}`, ...flags], {
    env: { ...unset, ...env },
    extendEnv: true
  })
  const said = yield* Stream.mkString(Stream.decodeText(child.all))
  return { said, exitCode: Number(yield* child.exitCode) }
}, Effect.scoped)

const says = Effect.fnUntraced(function* (program: Program, expected: ReadonlyArray<RegExp>, env?: Env) {
  const { exitCode, said } = yield* run(program, env)
  assert.strictEqual(exitCode, 0, said)
  for (const line of expected) assert.match(said, line)
  return said
})

const refuses = Effect.fnUntraced(function* (program: Program, expected: RegExp, env?: Env) {
  const { exitCode, said } = yield* run(program, env)
  assert.strictEqual(exitCode, 1, said)
  assert.match(said, expected)
})

// The last words of the sandbox's report.
const whole = /they may be an error, or news\.\n/

const tested = new Set<string>()

describe.concurrent("examples", () => {
  const works = (program: string, ...expected: ReadonlyArray<RegExp>) => {
    tested.add(program)
    it.live(program, () => says([program], expected).pipe(Effect.provide(NodeServices.layer)), patience)
  }

  works("01-stream-and-resume.ts", /--- broken off/, whole, /--- the session goes on after resp_/)
  works("02-start-and-poll.ts", /accepted: (queued|in_progress)/, /polled: completed/, whole)
  works("04-azure.ts", whole)
  works("06-observability.ts", /replay, attempt 1, after event 49/, /baton\.runs +1\n/)
  works("11-follow-a-response.ts", /accepted as resp_/, /--- broken off/, whole, /--- completed after \d+ updates/)
  works(
    "12-enqueue.ts",
    /1 report is cancelled before its time/,
    /report-2 of north: completed/,
    /report-3 of south: cancelled/,
    /2 completed, 1 cancelled\n/
  )
  works(
    "13-watch.ts",
    /consumer: the end, (\d+) characters/,
    /late viewer: the end, \d+ characters/,
    /all three have the same text: true\n/
  )
  works(
    "14-cancel.ts",
    /--- the stream is left, and the run is in_progress\n/,
    /--- the run is stopped: cancelled\n/,
    /--- The run was cancelled/
  )
  works(
    "15-acknowledge.ts",
    /300 updates are saved, and the database is away\n1040 updates are saved\n/,
    /each word once: true\n/
  )
  works(
    "16-signed-tokens.ts",
    /the browser has a token of \d+ characters: s1\.2026\.[^]*accepted: the other \d+ characters of the report\n/,
    /one letter is changed:\nrefused \(signature\)[^]*without the secret:\nrefused \(signature\)/
  )
  works(
    "17-parked-runs.ts",
    /attempt 1: saving[^]*attempt 2: saving[^]*attempt 3: saving[^]*--- report is parked: DiskFull: the disk is full/,
    /--- the disk has room again[^]*attempt 1: saving \d+ characters\nreport is saved\n--- report: completed\n/
  )
  works(
    "18-retry.ts",
    /--- the run is cancelled\. It is opened again:\n/,
    whole,
    /one run, two responses at the provider: (resp_\w+) and (?!\1)resp_/
  )
  works("19-session.ts", /# Report on North\n/, /on South: \d+ characters\n/, /the session to keep: .*"resp_/)
  works(
    "20-update-log.ts",
    /viewer that leaves: 100 updates\n/,
    /and comes back after 100\.\d+: 940 updates\n/,
    /late viewer: 1040 updates\n/,
    /all saw the same updates under the same ids: true\nattachments to the provider: create\nlogged: 3813 characters\n/
  )
  works(
    "21-http.ts",
    /POST: 201; again: 201\n/,
    /--- 200 events, 661 characters; broken off after event 200\.\d+\n/,
    /--- 841 events, 3152 characters; the last: \{"status":"completed"\}\n/,
    /--- the server has stopped: retry-later \{"reason":"shutdown".*\n/
  )
  works(
    "23-tools.ts",
    /tool: sales of North, attempt 1, key (plan:0:\S+)\nresult: \{"sold":150\}\n[^]*tool: forecast after 150, attempt 1, key (plan:1:\S+)\n/,
    /--- it was killed\n--- a process: the same again\n[^]*tool: forecast after 150, attempt 2, key plan:1:[^]*"expected":165/
  )
  works(
    "24-approval.ts",
    /asks for approval: refund-7:0:\S+\nthe run waits for approval\n/,
    /--- a process: approve\nalice approves refund \{"order":"7","amount":20\}\n/,
    /--- a process: go on\n[^]*tool: 20 euros for order 7\nanswer: [^]*paid/
  )
  works(
    "25-later.ts",
    /ticket sunday:0:\S+: May we open on Sunday\?[^]*the run waits: deferred\n/,
    /the expert answers\n[^]*answer: [^]*from noon on/
  )
  works("26-mcp.ts", /tools of the server: stock\n[^]*result: [^]*left[^]*:5/)
  works("22-webhook.ts", /the webhook woke report\n/, /report: completed, 3813 characters\n/)

  tested.add("03-another-process.ts")
  it.live(
    "03-another-process.ts, twice, on a server that another process could have started",
    () =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const env = { OPENAI_API_KEY: "any", OPENAI_BASE_URL: server.url }
        for (const time of [0, 1]) {
          const said = yield* says(
            ["03-another-process.ts"],
            [/--- the first process was stopped/, /--- the report is complete, .* ended with 0\n/],
            env
          )
          // The two processes together wrote the report, each word once.
          const written = said
            .split("\n")
            .filter((line) => !line.startsWith("[on "))
            .join("\n")
            .replace(/\n--- the first process was stopped.*\n/, "")
            .replace(/--- the report is complete.*\n/, "")
          const { responses } = yield* server.ledger
          assert.strictEqual(responses.length, time + 1)
          assert.strictEqual(written, responses[time]?.outputText)
        }
      }).pipe(Effect.provide([ResponsesServer.layer({ pace: "3 millis" }), NodeServices.layer])),
    patience
  )

  it.live(
    "03-another-process.ts, on its own server",
    () => says(["03-another-process.ts"], [whole, /ended with 0\n/]).pipe(Effect.provide(NodeServices.layer)),
    patience
  )

  it.live(
    "01-stream-and-resume.ts, twice on one server, is two runs",
    () =>
      Effect.gen(function* () {
        const server = yield* ResponsesServer.ResponsesServer
        const env = { OPENAI_API_KEY: "any", OPENAI_BASE_URL: server.url }
        for (const times of [1, 2]) {
          yield* says(["01-stream-and-resume.ts"], [/--- broken off/, whole], env)
          assert.strictEqual((yield* server.ledger).responses.length, times)
        }
      }).pipe(Effect.provide([ResponsesServer.layer(), NodeServices.layer])),
    patience
  )

  it.live(
    "say which variable is missing if a server is named without a key",
    () =>
      refuses(["01-stream-and-resume.ts"], /No API key for OpenAI: set OPENAI_API_KEY/, {
        OPENAI_BASE_URL: "http://127.0.0.1:1/v1"
      }).pipe(Effect.provide(NodeServices.layer)),
    patience
  )

  it.live(
    "the demo shows in a few lines how far it is",
    () =>
      Effect.gen(function* () {
        const said = yield* says(
          ["demo.ts"],
          [
            / s {2}first process: queued\n.* s {2}first process: thinking\n.* s {2}first process: writing\n/,
            /second process: killed with SIGKILL after \d+ updates\n/,
            /third process: completed\n[^]*third process: reached the end of the run\n/,
            /tokens used: \d+ in, \d+ out, of these [1-9]\d* to think\n/,
            /demo: ok, \d+ updates, 0 lost, 0 repeated\n/
          ]
        )
        assert.isBelow(said.split("\n").length, 40, said)
        assert.notInclude(said, "\u001b")
      }).pipe(Effect.provide(NodeServices.layer)),
    patience
  )

  it.live(
    "the demo refuses a store that it does not know",
    () =>
      refuses(["demo.ts", "--store", "paper"], /--store: "paper"\. Expected: "file" \| "redis"/).pipe(
        Effect.provide(NodeServices.layer)
      ),
    patience
  )

  it.live(
    "over Redis say what is missing where there is none",
    () =>
      refuses(["08-workers.ts"], /NoRedis: .*put redis-server .* on the PATH .* REDIS_URL/, { PATH: "/nowhere" }).pipe(
        Effect.provide(NodeServices.layer)
      ),
    patience
  )
})

const overRedis = (env: Effect.Effect<Env>, program: Program, ...expected: Array<RegExp>) => {
  tested.add(program[0])
  it.live(
    program.join(" "),
    () => Effect.flatMap(env, (given) => says(program, expected, given)).pipe(Effect.provide(NodeServices.layer)),
    patience
  )
}

describeRedis(
  "over a Redis of its own",
  () => {
    overRedis(
      Effect.succeed({}),
      ["08-workers.ts"],
      /--- (worker \d) is killed with SIGKILL[^]* goes on with \w+, which \1 had\n/,
      /workers: ok, 6 runs by 3 workers, 1 of them killed, 0 lost, 0 repeated\n/
    )
  },
  { concurrent: true }
)

describeShared("over a given Redis", (server) => {
  const given = Effect.map(server, ({ url }): Env => ({ REDIS_URL: url }))
  describe.concurrent("examples", () => {
    // The second time, in the same Redis, nothing of the first is in the way.
    for (const _ of ["once", "again"]) {
      overRedis(
        given,
        ["09-start-and-follow.ts"],
        /the worker got report-1 in 1\d\d\d updates/,
        /the result of report-2: completed/,
        /the worker is done with both\n/
      )
    }
    overRedis(given, ["10-rate-limit.ts"], /6 saves took \d+ ms; the limit says at least 2500 ms\n/)
    overRedis(given, ["demo.ts", "--store", "redis"], /demo: ok, \d+ updates, 0 lost, 0 repeated\n/)
  })
})

describe("the list of the examples", () => {
  it.effect("names each one, and each program is tested above", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const files = (yield* fs.readDirectory(examples)).filter((file) => /^\d\d-.*\.ts$/.test(file))
      const readme = yield* fs.readFileString(`${examples}README.md`)
      for (const file of files) {
        assert.include(readme, `(${file})`)
        const lines = (yield* fs.readFileString(`${examples}${file}`)).split("\n").length
        assert.isAtMost(lines, 80, file)
      }
      const programs = files.filter((file) => !file.endsWith(".test.ts") && !file.startsWith("07-"))
      assert.deepStrictEqual([...tested].filter((file) => file !== "demo.ts").toSorted(), programs.toSorted())
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
