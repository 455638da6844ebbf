// Runs over HTTP. A client starts a run, reads its updates as Server-Sent Events, breaks off, and goes on after the id of the
// last event that it has. It needs nothing of Baton: here it is `fetch`. Then the server stops, and tells a viewer to come again.
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Runs, SignedTokens, TokenStore, UpdateLog } from "@effect-baton/core"
import { RunAccess, RunsApi, RunsServer, RunViewers } from "@effect-baton/http"
import { Console, Effect, Exit, Layer, Option, Redacted, Scope, Stream } from "effect"
import { Sse } from "effect/encoding"
import { HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { createServer } from "node:http"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const Api = HttpApi.make("reports").add(RunsApi.group.prefix("/api"))

// Runs belong to those that started them.
const users = new Map([["Bearer alices-key", "alice"]])
const Access = RunAccess.layer({
  authenticate: ({ headers }) => Effect.succeed(Option.fromUndefinedOr(users.get(headers["authorization"] ?? ""))),
  labels: (user) => ({ owner: user }),
  may: (user, _action, run) => Effect.succeed(run.labels["owner"] === user)
})

const Server = RunViewers.serve(
  HttpApiBuilder.layer(Api).pipe(Layer.provide(RunsServer.layer(Api, { agents: [analyst] })), Layer.provide(Access)),
  NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }),
  { isLogged: false }
)

// A worker writes what runs say into the log. Over Redis it can be in another process.
const Worker = Runs.worker([analyst], { concurrency: 10, handle: ({ updates }) => Stream.runDrain(updates) })

/** Sends a request as Alice: a POST if it has a body. */
const send = (url: string, headers: Readonly<Record<string, string>> = {}, body?: string) =>
  Effect.promise(() =>
    fetch(url, {
      headers: { authorization: "Bearer alices-key", "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { method: "POST", body })
    })
  )

/** The events of a run after an id. */
const events = (run: string, lastEventId = "") =>
  Stream.unwrap(
    Effect.map(send(`${run}/updates`, { "last-event-id": lastEventId }), ({ body }) =>
      Stream.fromReadableStream({ evaluate: () => body!, onError: (cause) => cause })
    )
  ).pipe(Stream.decodeText(), Stream.pipeThroughChannel(Sse.decode()))

const textOf = ({ data }: Sse.Event) => (JSON.parse(data) as { text?: string }).text ?? ""
const lengthOf = (list: ReadonlyArray<Sse.Event>) => list.map(textOf).join("").length

const program = Effect.gen(function* () {
  const serving = yield* Scope.make()
  const { address } = yield* Effect.provide(HttpServer.HttpServer, yield* Layer.buildWithScope(Server, serving))
  const runs = `http://127.0.0.1:${"port" in address ? address.port : ""}/api/runs`
  const body = JSON.stringify({ agent: analyst.name, input: yield* task })
  // The key is the run's id: the request can be sent again.
  const start = (key: string) => Effect.map(send(runs, { "idempotency-key": key }, body), ({ status }) => status)
  yield* Console.log(`POST: ${yield* start("october")}; again: ${yield* start("october")}`)
  const first = yield* Stream.runCollect(Stream.take(events(`${runs}/october`), 200))
  const last = first.at(-1)?.id
  yield* Console.log(`--- ${first.length} events, ${lengthOf(first)} characters; broken off after event ${last}`)
  const rest = yield* Stream.runCollect(events(`${runs}/october`, last))
  yield* Console.log(`--- ${rest.length} events, ${lengthOf(rest)} characters; the last: ${rest.at(-1)?.data}`)

  yield* start("november")
  const stop = Effect.forkChild(Scope.close(serving, Exit.void))
  const seen = yield* Stream.runCollect(Stream.onFirst(events(`${runs}/november`), () => stop))
  yield* Console.log(`--- the server has stopped: ${seen.at(-1)?.event} ${seen.at(-1)?.data}`)
})

const Signed = SignedTokens.layer({ keys: [{ id: "1", secret: Redacted.make("32 random bytes, from your secrets") }] })
const Engine = Layer.mergeAll(Model, TokenStore.layerMemory, UpdateLog.layerMemory, Signed)

program.pipe(Effect.provide(Worker), Effect.provide([Engine, NodeHttpServer.layerHttpServices]), NodeRuntime.runMain)
