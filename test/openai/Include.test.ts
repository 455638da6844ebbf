// Guarantee 5: a stream and a retrieval ask for the same.
import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { at, completed, created, type Json, request, serve, stream } from "./support.ts"

describe("what the provider shows only if it is asked", () => {
  it.effect("is asked for when a response is created, replayed and retrieved", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, outgoing) => {
        stream(outgoing, created(), completed(1))
        outgoing.end()
      })
      const include = ["web_search_call.action.sources", "file_search_call.results"] as const
      yield* Effect.gen(function* () {
        const service = yield* BackgroundModel
        yield* Stream.runDrain(service.create(request()))
        yield* Stream.runDrain(service.resume("resp_1", { after: 0 }))
        yield* Effect.ignore(service.retrieve("resp_1"))
      }).pipe(Effect.provide(at(server.url, { params: { include: [...include] } })))
      const [made, ...others] = server.seen
      assert.deepEqual((JSON.parse(made!.body) as Json)["include"], [...include])
      assert.strictEqual(others.length, 2)
      for (const { url } of others) {
        const asked = [...new URL(url, server.url).searchParams].filter(([key]) => key.startsWith("include"))
        assert.deepEqual(
          asked.map(([, value]) => value),
          [...include]
        )
      }
    }).pipe(Effect.scoped)
  )
})
