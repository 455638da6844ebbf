import { Effect, Layer, Queue } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"

interface Delivery {
  readonly body: string
  readonly headers: Record<string, string>
}

/** A server on a free port that keeps what is posted to it. */
export const listening = Effect.gen(function* () {
  const deliveries = yield* Queue.unbounded<Delivery>()
  const app = HttpRouter.add(
    "POST",
    "/hook",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const body = yield* request.text
      yield* Queue.offer(deliveries, { body, headers: { ...request.headers } })
      return HttpServerResponse.empty()
    })
  )
  const server = yield* HttpServer.HttpServer
  yield* Layer.build(HttpRouter.serve(app, { disableListenLog: true, disableLogger: true }))
  const port = "port" in server.address ? server.address.port : 0
  return { deliveries, url: `http://127.0.0.1:${port}/hook` }
})
