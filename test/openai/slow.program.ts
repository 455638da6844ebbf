/**
 * A process that reads event streams more slowly than they come, over connections that close after them, and says how many
 * events it got. Its server stands in the same process.
 */
import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { Effect, Stream } from "effect"
import * as Net from "node:net"
import { writeLine } from "../support/writeLine.ts"
import { at, created, delta, request, sse } from "./support.ts"

const body = (kilobytes: number): string =>
  sse(created()) + Array.from({ length: kilobytes }, (_, i) => sse(delta(i + 1, "x".repeat(830)))).join("")

// Without a length, the end of the connection ends the body.
const heads = ["", "content-length: "]

const serve = (text: string, head: string) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.once("data", () => {
          const length = head === "" ? "" : `${head}${Buffer.byteLength(text)}\r\n`
          socket.end(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n${length}\r\n${text}`)
        })
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )

const read = Effect.fnUntraced(function* (kilobytes: number, head: string) {
  const server = yield* serve(body(kilobytes), head)
  const { port } = server.address() as Net.AddressInfo
  const model = yield* Effect.provide(BackgroundModel, at(`http://127.0.0.1:${port}/v1`))
  let events = 0
  yield* Stream.runForEachArray(model.create(request()), (some) => {
    events += some.filter(({ raw }) => raw !== undefined).length
    return Effect.sleep(events < 300 ? "60 millis" : "1 millis")
  })
  yield* writeLine(`${kilobytes} ${events}`)
}, Effect.scoped)

const sizes = process.argv.slice(2).map(Number)

void Effect.runPromise(
  Effect.forEach(heads, (head) => Effect.forEach(sizes, (kilobytes) => read(kilobytes, head)), { discard: true })
)
