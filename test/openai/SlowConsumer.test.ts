// A consumer that is slower than its stream, over a connection that closes after the body (S4).
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { program } from "../support/program.ts"
import { create, created, delta, eventually, over, sse } from "./support.ts"

const slow = program(new URL("slow.program.ts", import.meta.url))

describe("a slow consumer", () => {
  it.live("lives on when the connection closes (S4)", () =>
    Effect.gen(function* () {
      const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
      // Beyond what Node's sockets and its fetch hold, and what one read brings.
      const sizes = [100, 130, 150, 170, 190, 400, 2000]
      const child = yield* spawner.spawn(
        ChildProcess.make(process.execPath, [yield* slow, ...sizes.map(String)], { stderr: "inherit" })
      )
      const lines = yield* child.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.runCollect)
      assert.strictEqual(yield* child.exitCode, 0)
      const expected = sizes.map((size) => `${size} ${size + 1}`)
      assert.deepEqual([...lines], [...expected, ...expected])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  /** A body without an end, and how many bytes of it were read. */
  const endless = (headers: Record<string, string>) => {
    const piece = new TextEncoder().encode(sse(delta(1, "x".repeat(256 * 1024))))
    const seen = { bytes: 0, aborted: false }
    const fetch: Parameters<typeof over>[0] = (_, init) => {
      let first = true
      const body = new ReadableStream<Uint8Array>(
        {
          start: (controller) =>
            init?.signal?.addEventListener("abort", () => {
              seen.aborted = true
              controller.error(new Error("aborted"))
            }),
          pull: (controller) => {
            const chunk = first ? new TextEncoder().encode(sse(created())) : piece
            first = false
            seen.bytes += chunk.length
            controller.enqueue(chunk)
          }
        },
        { highWaterMark: 0 }
      )
      return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream", ...headers } }))
    }
    return { seen, fetch }
  }

  const megabyte = 1024 * 1024

  it.live.each([
    [{ connection: "close" }, 17],
    [{ connection: "close", "transfer-encoding": "chunked" }, 17],
    [{}, 17],
    [{ connection: "keep-alive" }, 1],
    [{ "transfer-encoding": "chunked" }, 1]
  ] as ReadonlyArray<readonly [Record<string, string>, number]>)(
    "holds a part of the body, and closes the connection when it leaves: %j",
    ([headers, most]) =>
      Effect.gen(function* () {
        const { fetch, seen } = endless(headers)
        const fiber = yield* create().pipe(
          Stream.runForEachArray(() => Effect.never),
          Effect.provide(over(fetch)),
          Effect.forkChild
        )
        const held = yield* eventually(() => seen.bytes > 15 * megabyte)
        assert.strictEqual(held, most > 1)
        yield* Effect.sleep("50 millis")
        assert.isAtMost(seen.bytes, most * megabyte)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(seen.aborted)
        const { bytes } = seen
        yield* Effect.sleep("50 millis")
        assert.strictEqual(seen.bytes, bytes)
      })
  )

  it.live("a consumer that keeps up again gets all of it, beyond what is held", () =>
    Effect.gen(function* () {
      const { fetch, seen } = endless({})
      let got = 0
      yield* create().pipe(
        Stream.mapArrayEffect((some) => Effect.as(got++ === 0 ? Effect.sleep("200 millis") : Effect.void, some)),
        Stream.take(200),
        Stream.runDrain,
        Effect.provide(over(fetch))
      )
      assert.isAtLeast(seen.bytes, 199 * 256 * 1024)
      assert.isTrue(seen.aborted)
    })
  )
})
