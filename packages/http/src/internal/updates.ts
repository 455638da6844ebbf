import * as Agent from "@effect-baton/core/Agent"
import * as Runs from "@effect-baton/core/Runs"
import * as RunState from "@effect-baton/core/RunState"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { TooManyViewers, Unavailable } from "../RunProblem.ts"
import { RunViewers } from "../RunViewers.ts"
import { type Engine, find, type Served } from "./known.ts"
import { look, type Named, placeOf } from "./position.ts"
import { retryAfter } from "./problems.ts"
import { RunViewer } from "./viewer.ts"

const headers = {
  // For proxies that wait for the whole of a response before they pass it on.
  "x-accel-buffering": "no"
}

/** Sends the updates of a run as events. What can be refused is refused before the first byte. */
export const updates = Effect.fnUntraced(function* (
  served: Served,
  runId: string,
  named: Named,
  request: HttpServerRequest
) {
  const { agent, record } = yield* find(served, runId, "watch")
  const place = yield* placeOf(record, named)
  const found = yield* look(record, place)
  if (found === "nothing") return HttpServerResponse.empty({ status: 204 })

  const context = yield* Effect.context<Engine>()
  const viewers = yield* RunViewers
  const viewer = new RunViewer({
    run: {
      watch: (after) => Agent.watch(agent, { runId, ...after }),
      status: Effect.map(Runs.get(runId), RunState.statusOfRecord)
    },
    context,
    after: place,
    reset: found === "reset",
    // As EventSource asks. Effect's client takes the line that says when to come again for a failure.
    readsRetry: request.headers["accept"]?.includes("text/event-stream") === true,
    scope: yield* Effect.scope,
    clock: yield* Clock.Clock,
    viewers
  })
  yield* Effect.catch(viewers.enter(viewer), (why) =>
    Effect.andThen(
      retryAfter(),
      Effect.fail(why === "full" ? new TooManyViewers() : new Unavailable({ detail: "The server stops. Come again." }))
    )
  )
  return HttpServerResponse.stream(Stream.fromPull(Effect.succeed(viewer.next)), {
    contentType: "text/event-stream",
    headers
  })
})
