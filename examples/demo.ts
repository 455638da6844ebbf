// The main job, before your eyes: a report is streamed by one process, gone on with by a second, which is killed, and
// finished by a third. Nothing is lost, and nothing is in the report twice. Positions are kept in files, or in Redis:
//
//   pnpm demo --store redis      (the Redis at REDIS_URL, or a redis-server of the demo's own)
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { ResponsesServer } from "@effect-baton/sandbox"
import { Console, Context, Data, Effect, FileSystem, Layer, Schema, Stdio, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { startProgram } from "./child.ts"
import { type Line, position } from "./line.ts"
import { RedisPlace } from "./redis.ts"

const breakOffAfter = 150
const killAfter = 250

class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly message: string }> {}

/** Where the processes keep their positions, as they are told. */
const stores = {
  file: Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    return { STORE_DIRECTORY: yield* fs.makeTempDirectoryScoped({ prefix: "baton-demo-" }) }
  }),
  redis: Effect.gen(function* () {
    const { prefix, url } = Context.get(yield* Layer.build(RedisPlace.layer), RedisPlace)
    return { STORE_DIRECTORY: undefined, REDIS_URL: url, REDIS_PREFIX: prefix }
  })
}

const program = Effect.fnUntraced(function* (store: keyof typeof stores) {
  const server = yield* ResponsesServer.ResponsesServer
  const place = yield* stores[store]
  const screen = yield* makeScreen

  // Everything that any process finished with, in the order in which it was written down.
  const written: Array<Line> = []

  const work = Effect.fnUntraced(function* (options: { readonly breakOffAfter?: number; readonly killAfter?: number }) {
    const worker = yield* startProgram("demo/worker.ts", {
      OPENAI_API_KEY: undefined,
      SANDBOX_URL: server.url,
      RUN_ID: "demo",
      BREAK_OFF_AFTER: options.breakOffAfter?.toString(),
      ...place
    })
    const updates: Array<Line> = []
    yield* worker.updates.pipe(
      Stream.runForEach((update) =>
        Effect.gen(function* () {
          updates.push(update)
          yield* screen.update(update)
          if (updates.length === options.killAfter) yield* worker.signal("SIGKILL")
        })
      )
    )
    const exit = yield* Effect.exit(worker.exitCode)
    if (options.killAfter === undefined && (exit._tag === "Failure" || exit.value !== 0)) {
      return yield* new DemoFailed({ message: `a process ended by itself: ${exit}` })
    }
    const again = updates.filter((update) => written.some((known) => position(known) === position(update))).length
    written.push(...updates)
    return { updates: updates.length, again }
  }, Effect.scoped)

  yield* Console.log(
    `A sandbox server on this machine plays the model; positions are kept in ${store === "file" ? "files" : "Redis"}.\n`
  )
  yield* screen.say("first process: streams")
  const first = yield* work({ breakOffAfter })
  yield* screen.say(`first process: broke off after ${first.updates} updates`)
  yield* screen.say("second process: resumes by the run's id")
  const second = yield* work({ killAfter })
  const cut = screen.distinct()
  yield* screen.say("second process: killed with SIGKILL")
  yield* screen.say("third process: resumes by the run's id")
  const third = yield* work({})

  const seen = new Set<string>()
  const once = written.filter((update) => !seen.has(position(update)) && seen.add(position(update)))
  yield* screen.say("third process: reached the end of the run")
  yield* Console.log("")
  yield* Console.log(`killed at ${cut} of ${once.length}`)
  yield* Console.log(
    `came again after breaking off: ${second.again}, after the kill: ${third.again} (dropped by position)`
  )

  const ledger = yield* server.ledger
  const creates = ledger.responses.length
  const text = once.map((update) => update.text).join("")
  const truth = yield* outputText(`${server.url}/responses/${once[0]?.responseId}`)
  yield* Console.log(`responses created at the server: ${creates}`)

  const lost = missing(truth, text)
  const repeated = second.again + Math.max(0, text.length - truth.length)
  const whole = Buffer.from(text).equals(Buffer.from(truth))
  const between = cut > breakOffAfter && cut < once.length
  const ok = whole && between && creates === 1 && second.again === 0 && once.length >= 300
  yield* Console.log(
    ok
      ? `demo: ok, ${once.length} updates, 0 lost, 0 repeated`
      : `demo: FAILED, ${once.length} updates, ${lost} characters lost, ${repeated} repeated, text ${
          whole ? "equal" : "differs"
        }, ${creates} creates, killed at ${cut}`
  )
  if (!ok) return yield* new DemoFailed({ message: "the report that the processes wrote is not the server's" })
})

/** The text of a response as the server has it. */
const outputText = Effect.fnUntraced(function* (url: string) {
  const response = yield* HttpClient.get(url).pipe(
    Effect.flatMap(
      HttpClientResponse.schemaBodyJson(
        Schema.Struct({
          output: Schema.Array(
            Schema.Struct({ content: Schema.Array(Schema.Struct({ type: Schema.String, text: Schema.String })) })
          )
        })
      )
    )
  )
  return response.output.flatMap((item) => item.content.map((part) => part.text)).join("")
})

const missing = (whole: string, text: string): number => Math.max(0, whole.length - text.length)

/** The report as it is written: with colours and a progress line on a terminal, as plain text elsewhere. */
const makeScreen = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  const terminal = yield* stdio.stdoutIsTerminal
  const rows = process.stdout.rows ?? 24
  const print = (text: string) => Stream.run(Stream.make(text), stdio.stdout({ endOnDone: false }))
  const seen = new Set<string>()
  // The last row of a terminal is kept out of the scrolled region, for the progress line.
  const progress = (text: string) => print(`\u001b7\u001b[${rows};1H\u001b[2K\u001b[7m ${text} \u001b[0m\u001b8`)
  if (terminal) {
    yield* Effect.acquireRelease(print(`\n\u001b7\u001b[1;${rows - 1}r\u001b8\u001b[A`), () =>
      Effect.ignore(print(`\u001b7\u001b[r\u001b[${rows};1H\u001b[2K\u001b8`))
    )
  }
  return {
    distinct: () => seen.size,
    say: (what: string) => print(terminal ? `\n\u001b[36m--- ${what}\u001b[0m\n` : `\n--- ${what}\n`),
    update: (update: Line) => {
      const again = seen.has(position(update))
      seen.add(position(update))
      const shown = again ? Effect.void : print(update.text)
      return terminal ? Effect.andThen(shown, progress(`${seen.size} updates, ${update.status}`)) : shown
    }
  }
})

const command = Command.make(
  "demo",
  {
    store: Flag.Literals("store", ["file", "redis"]).pipe(
      Flag.withDescription("Where positions are kept"),
      Flag.withDefault("file")
    )
  },
  ({ store }) =>
    program(store).pipe(
      Effect.scoped,
      Effect.provide([ResponsesServer.layer({ pace: "4 millis" }), FetchHttpClient.layer])
    )
).pipe(Command.withDescription("A report is written by three processes, one of them killed on the way"))

command.pipe(Command.run({ version: "0.1.0" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
