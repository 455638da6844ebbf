import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import OpenAI from "openai"
import { call, created, textOf } from "./sdk.ts"

const program = new URL("../../packages/sandbox/src/sandbox.ts", import.meta.url).pathname

const sandbox = (...flags: ReadonlyArray<string>) => ChildProcess.make(process.execPath, [program, ...flags])

const running = Effect.fnUntraced(function* (...flags: ReadonlyArray<string>) {
  const handle = yield* sandbox(...flags)
  const url = yield* handle.stdout.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runHead,
    Effect.flatMap(Effect.fromOption),
    Effect.map((line) => line.split(" ").at(-1) ?? "")
  )
  return { handle, url, client: new OpenAI({ baseURL: url, apiKey: "any", maxRetries: 0 }) }
})

describe("sandbox", () => {
  it.live(
    "prints its address, answers on loopback, and ends cleanly when told to",
    () =>
      Effect.gen(function* () {
        for (const signal of ["SIGTERM", "SIGINT"] as const) {
          const { client, handle, url } = yield* running("--trouble", "EndEarly after=6 times=1")
          assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/v1$/)
          assert.strictEqual((yield* created(client, { model: "echo", input: "Hello" })).events.length, 6)
          assert.strictEqual(textOf(yield* created(client, { model: "echo", input: "Hello" })), "Hello")
          const stalled = yield* call(() =>
            client.responses.create(
              { model: "echo", input: "Hello", stream: true },
              { headers: { "x-sandbox-trouble": "Stall after=2" } }
            )
          )
          yield* handle.kill({ killSignal: signal })
          assert.isDefined(stalled.controller)
          assert.isFalse(yield* handle.isRunning)
        }
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    300_000
  )

  it.live(
    "refuses troubles and times that it does not know",
    () =>
      Effect.gen(function* () {
        const wrong = [
          ["--trouble", "Nonsense"],
          ["--pace", "soon"],
          ["--transcripts", "/nowhere"]
        ]
        const codes = yield* Effect.forEach(
          wrong,
          (flags) => Effect.flatMap(sandbox(...flags), (handle) => handle.exitCode),
          { concurrency: "unbounded" }
        )
        assert.isTrue(codes.every((code) => code !== 0))
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    300_000
  )
})
