// What Baton is for, before your eyes: a report is streamed by one process, continued by a second, which is killed, and
// finished by a third. Nothing is lost, and nothing is in the report twice. Positions are kept in files, or in Redis:
//
//   pnpm demo --store redis      (the Redis at REDIS_URL, or a redis-server of the demo's own)
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { ResponseScript, ResponsesServer, SalesAnalyst } from "@effect-baton/sandbox"
import { Console, Context, Data, Effect, FileSystem, Layer, Schema, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { startProgram } from "./child.ts"
import { makeProgress } from "./demo/progress.ts"
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
  yield* Console.log(
    `A sandbox server on this machine plays the model; positions are kept in ${store === "file" ? "files" : "Redis"}.\n`
  )
  const progress = yield* makeProgress

  // Every update that a process was done with, in the order in which they were told.
  const written: Array<Line> = []

  const work = Effect.fnUntraced(function* (options: { readonly breakOffAfter?: number; readonly killAfter?: number }) {
    const worker = yield* startProgram("demo/worker.ts", {
      OPENAI_API_KEY: "sandbox",
      OPENAI_BASE_URL: server.url,
      RUN_ID: "demo",
      BREAK_OFF_AFTER: options.breakOffAfter?.toString(),
      ...place
    })
    const updates: Array<Line> = []
    yield* worker.updates.pipe(
      Stream.runForEach((update) =>
        Effect.gen(function* () {
          updates.push(update)
          yield* progress.update(update)
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

  yield* progress.begin("first process", "streams the report")
  const first = yield* work({ breakOffAfter })
  yield* progress.say(`broke off after ${first.updates} updates`)
  yield* progress.begin("second process", "resumes by the run's id")
  const second = yield* work({ killAfter })
  const cut = progress.distinct()
  yield* progress.say(`killed with SIGKILL after ${cut} updates`)
  yield* progress.begin("third process", "resumes by the run's id")
  const third = yield* work({})
  yield* progress.end("reached the end of the run\n")

  const seen = new Set<string>()
  const once = written.filter((update) => !seen.has(position(update)) && seen.add(position(update)))
  const text = once.map((update) => update.text).join("")
  const truth = yield* responseAt(`${server.url}/responses/${once[0]?.responseId}`)
  const creates = (yield* server.ledger).responses.length
  yield* Console.log(`updates: ${once.length}, the second process was killed at ${cut}`)
  yield* Console.log(
    `came again: ${second.again} after breaking off, ${third.again} after the kill (dropped by position)`
  )
  yield* Console.log(`responses created at the server: ${creates}`)
  yield* Console.log(
    `tokens used: ${truth.usage.input_tokens} in, ${truth.usage.output_tokens} out, ` +
      `of these ${truth.usage.output_tokens_details.reasoning_tokens} to think`
  )

  const lost = Math.max(0, truth.text.length - text.length)
  const repeated = second.again + Math.max(0, text.length - truth.text.length)
  const between = cut > breakOffAfter && cut < once.length
  const ok = text === truth.text && between && creates === 1 && second.again === 0 && once.length >= 300
  if (!ok) {
    const differs = text === truth.text ? "equal" : "different"
    return yield* new DemoFailed({
      message: `demo: FAILED, ${once.length} updates, ${lost} characters lost, ${repeated} repeated, the text is ${differs}`
    })
  }
  yield* Console.log(`demo: ok, ${once.length} updates, 0 lost, 0 repeated`)
})

const Response = Schema.Struct({
  output: Schema.Array(
    Schema.Struct({
      type: Schema.String,
      content: Schema.optionalKey(Schema.Array(Schema.Struct({ text: Schema.String })))
    })
  ),
  usage: Schema.Struct({
    input_tokens: Schema.Int,
    output_tokens: Schema.Int,
    output_tokens_details: Schema.Struct({ reasoning_tokens: Schema.Int })
  })
})

/** The text of a response, and the tokens that it took, as the server has them. */
const responseAt = Effect.fnUntraced(function* (url: string) {
  const { output, usage } = yield* Effect.flatMap(HttpClient.get(url), HttpClientResponse.schemaBodyJson(Response))
  const messages = output.filter(({ type }) => type === "message")
  return { usage, text: messages.flatMap(({ content = [] }) => content.map((part) => part.text)).join("") }
})

/** The analyst, which thinks aloud before it writes. */
const model: ResponseScript.SandboxModel = (request) =>
  Effect.map(SalesAnalyst.model(request), (script) => {
    const thoughts = ResponseScript.splitDeltas(
      "I read the table, add up each column, and compare the regions. ".repeat(5)
    )
    const deltas = { length: thoughts.length, at: (index: number) => thoughts[index] }
    return { ...script, items: [{ type: "reasoning", deltas }, ...script.items] }
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
      Effect.provide([ResponsesServer.layer({ model, pace: "4 millis", queueTime: "1 second" }), FetchHttpClient.layer])
    )
).pipe(Command.withDescription("A report is written by three processes, one of them killed on the way"))

command.pipe(Command.run({ version: "0.1.0" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
