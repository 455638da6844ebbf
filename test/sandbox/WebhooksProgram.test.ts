// The flags of the program for webhooks.
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import OpenAI from "openai"
import { eventually, serve } from "../openai/support.ts"
import { call } from "./sdk.ts"

const program = new URL("../../packages/sandbox/src/sandbox.ts", import.meta.url).pathname
const secret = `whsec_${Buffer.from("a secret of the program's").toString("base64")}`

const sandbox = (env: Record<string, string>, ...flags: ReadonlyArray<string>) =>
  ChildProcess.make(process.execPath, [program, ...flags], { env, extendEnv: true })

describe("sandbox", () => {
  it.live("reports to --webhook-url, signed with --webhook-secret or OPENAI_WEBHOOK_SECRET", () =>
    Effect.gen(function* () {
      const hook = yield* serve((_, outgoing) => outgoing.writeHead(204).end())
      const ways = [
        sandbox({}, "--webhook-url", hook.url, "--webhook-secret", secret),
        sandbox({ OPENAI_WEBHOOK_SECRET: secret }, "--webhook-url", hook.url)
      ]
      for (const [i, way] of ways.entries()) {
        const { stdout } = yield* way
        const line = yield* stdout.pipe(Stream.decodeText, Stream.splitLines, Stream.runHead)
        const baseURL = (yield* Effect.fromOption(line)).split(" ").at(-1) ?? ""
        const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 })
        const { id } = yield* call(() => client.responses.create({ model: "echo", input: "Hello", background: true }))
        assert.isTrue(yield* eventually(() => hook.seen.length === i + 1))
        const { body = "", headers = {} } = hook.seen[i] ?? {}
        const event = yield* call(() => client.webhooks.unwrap(body, headers as Record<string, string>, secret))
        assert.deepEqual<unknown>(event.data, { id })
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("refuses a URL without a secret, and what is no URL", () =>
    Effect.gen(function* () {
      const wrong = [
        ["--webhook-url", "http://127.0.0.1/"],
        ["--webhook-url", "nowhere", "--webhook-secret", secret]
      ]
      for (const flags of wrong) {
        const { exitCode } = yield* sandbox({ OPENAI_WEBHOOK_SECRET: "" }, ...flags)
        assert.notStrictEqual(yield* exitCode, 0)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
