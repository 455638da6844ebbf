// The process behind the viewers is killed, again and again.
import { ResponsesServer } from "@effect-baton/sandbox"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { program } from "../support/program.ts"
import { ask, post } from "./served.ts"
import { type Heard, lastIdOf, named, textOf, updatesOf, watch } from "./watching.ts"

const source = program(new URL("server.program.ts", import.meta.url))

const started = Effect.fnUntraced(function* (env: Record<string, string>) {
  const child = yield* ChildProcess.make(process.execPath, [yield* source], { env, extendEnv: true, stderr: "inherit" })
  const line = yield* child.stdout.pipe(Stream.decodeText, Stream.splitLines, Stream.runHead)
  return { child, url: yield* Effect.fromOption(line) }
})

describe("a server that is killed", () => {
  it.live("is followed by another, and a viewer that comes back with its last id sees each update once", () =>
    Effect.gen(function* () {
      const sandbox = yield* ResponsesServer.ResponsesServer
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-http-" })
      const env = { SANDBOX_URL: sandbox.url, DIRECTORY: directory, MODEL: "lorem:300" }
      const seen: Array<Heard> = []
      for (let life = 0; named(seen, "end").length === 0; life++) {
        const { child, url } = yield* started(env)
        // The run is started once, whatever the client repeats.
        const answer = yield* post(url, "alice", { agent: "analyst", input: "Write." }, "report")
        assert.strictEqual(answer.status, 201, answer.body)
        const { heard, status } = yield* watch(url, "report", {
          lastEventId: lastIdOf(seen),
          until: (now) => life < 4 && updatesOf(now).length >= 40 + 20 * life
        })
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(named(heard, "reset"), [])
        seen.push(...heard)
        yield* child.kill({ killSignal: "SIGKILL" })
      }
      const { url } = yield* started(env)
      const whole = yield* watch(url, "report")
      assert.deepStrictEqual(updatesOf(seen), updatesOf(whole.heard))
      const ids = /resp_|msg_|"openai"|"raw"/
      assert.notMatch(whole.text, ids, "nothing of the provider")
      const result = yield* ask(`${url}/api/runs/report/result`)
      assert.strictEqual(textOf(seen), result.json.text)
      assert.notMatch(result.body, ids)
      assert.lengthOf((yield* sandbox.ledger).responses, 1)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(ResponsesServer.layer({ pace: "5 millis" }), NodeServices.layer)))
  )
})
