// A server that listens before its routes are there never answers the requests that come in between.
import { NodeHttpServer } from "@effect/platform-node"
import { RunViewers } from "@effect-baton/http"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

it.live("listens once its routes are built, and not before", () =>
  Effect.gen(function* () {
    const happened: Array<string> = []
    const Routes = Layer.effectDiscard(
      Effect.gen(function* () {
        yield* Effect.yieldNow
        yield* (yield* HttpRouter.HttpRouter).add("GET", "/", HttpServerResponse.text("here"))
        happened.push("routes")
      })
    )
    const Node = NodeHttpServer.layer(() => createServer().on("listening", () => happened.push("listening")), {
      host: "127.0.0.1",
      port: 0
    })
    const served = yield* Layer.build(RunViewers.serve(Routes, Node, { isLogged: false }))
    assert.deepStrictEqual(happened, ["routes", "listening"])
    const { address } = Context.get(served, HttpServer.HttpServer)
    if (!("port" in address)) return assert.fail("it listens on no port")
    const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${address.port}/`).then((got) => got.text()))
    assert.strictEqual(answer, "here")
  }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerHttpServices))
)
