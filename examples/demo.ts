// The main job, before your eyes: a report is streamed by one process, gone on with by a second, which is killed, and
// finished by a third. Nothing is lost, and nothing is in the report twice.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { ResponsesServer } from "@effect-baton/testing"
import { Console, Data, Effect, FileSystem, Schema, Stdio, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { decodeLine, type Line } from "./demo/line.ts"

const breakOffAfter = 150
const killAfter = 250

type Update = typeof Line.Type

class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly message: string }> {}

const position = (update: Update) => `${update.sequenceNumber}.${update.skip}`

const program = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const server = yield* ResponsesServer.ResponsesServer
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-demo-" })
  const screen = yield* makeScreen

  // Everything that any process finished with, in the order in which it was written down.
  const written: Array<Update> = []

  const work = Effect.fnUntraced(function* (options: { readonly breakOffAfter?: number; readonly killAfter?: number }) {
    const worker = yield* spawner.spawn(
      ChildProcess.make(process.execPath, [new URL("demo/worker.ts", import.meta.url).pathname], {
        extendEnv: true,
        env: {
          OPENAI_API_KEY: undefined,
          SANDBOX_URL: server.url,
          STORE_DIRECTORY: directory,
          RUN_ID: "demo",
          BREAK_OFF_AFTER: options.breakOffAfter?.toString()
        },
        stderr: "inherit"
      })
    )
    const updates: Array<Update> = []
    yield* worker.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.filter((line) => line.startsWith("{")),
      Stream.mapEffect((line) => decodeLine(line)),
      Stream.runForEach((update) =>
        Effect.gen(function* () {
          updates.push(update)
          yield* screen.update(update)
          if (updates.length === options.killAfter) yield* worker.kill({ killSignal: "SIGKILL" })
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

  yield* Console.log(`A sandbox server on this machine plays the model; positions are kept in files.\n`)
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
    update: (update: Update) => {
      const again = seen.has(position(update))
      seen.add(position(update))
      const shown = again ? Effect.void : print(update.text)
      return terminal ? Effect.andThen(shown, progress(`${seen.size} updates, ${update.status}`)) : shown
    }
  }
})

program.pipe(
  Effect.scoped,
  Effect.provide([ResponsesServer.layer({ pace: "4 millis" }), FetchHttpClient.layer, NodeServices.layer]),
  NodeRuntime.runMain
)
