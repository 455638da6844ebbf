// Guarantee 12 end to end: 200,000 deltas of one run, and the memory that they leave behind.
import { Agent, TokenStore } from "@effect-baton/core"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { ResponsesServer } from "@effect-baton/sandbox"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { analyst } from "../support/runs.ts"

const deltas = 200_000

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** The heap in megabytes, without what nobody holds any more. */
const heap = () => {
  collectGarbage()
  return process.memoryUsage().heapUsed / 1024 / 1024
}

describe("200,000 deltas", () => {
  it.live(
    "with flat memory",
    () =>
      Effect.gen(function* () {
        const sizes: Array<number> = []
        let updates = 0
        let length = 0
        yield* Stream.runForEach(Agent.stream(analyst, { input: "Hello", runId: "r" }), ({ text }) =>
          Effect.sync(() => {
            length += text.length
            if (++updates % 20_000 === 0) sizes.push(heap())
          })
        )
        assert.isAtLeast(updates, deltas)
        assert.strictEqual(sizes.length, 10)
        // The text itself, held nowhere but here by its length, has about a million characters.
        assert.isAbove(length, 600_000)
        assert.isBelow(sizes[9]! - sizes[1]!, 3, `heap in MB: ${sizes.map((size) => size.toFixed(1)).join(", ")}`)
      }).pipe(
        Effect.provide(
          OpenAiBackgroundModel.layer({ model: `lorem:${deltas}` }).pipe(
            Layer.provide(
              Layer.unwrap(
                Effect.map(ResponsesServer.ResponsesServer, ({ url }) =>
                  OpenAiClient.layer({ apiKey: Redacted.make("sandbox"), baseUrl: url })
                )
              )
            ),
            Layer.provide(ResponsesServer.layer()),
            Layer.merge(TokenStore.layerMemory)
          )
        )
      ),
    300_000
  )
})
