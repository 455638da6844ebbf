import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Trouble } from "../../SandboxTrouble.ts"
import { badRequest, notFound } from "./apiError.ts"
import { listedItems, parseCreate } from "./createRequest.ts"
import { deliver } from "./delivery.ts"
import { dropIfDue, endpoint, type Exchange, ok } from "./endpoint.ts"
import type { Recording } from "./recordedTimeline.ts"
import { isFinal } from "./responseObject.ts"
import type { Responses } from "./responses.ts"
import type { Run } from "./run.ts"

const stream = Effect.fnUntraced(function* (exchange: Exchange, run: Run, from: number, resumed: boolean) {
  yield* dropIfDue(exchange)
  exchange.node.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-request-id": exchange.requestId,
    "openai-version": "2020-10-01",
    "openai-processing-ms": "1"
  })
  exchange.node.flushHeaders()
  exchange.note({ status: 200 })
  yield* deliver({ run, response: exchange.node, from, resumed, troubles: exchange.troubles })
  // The body was already written to the socket, so the router ignores this answer.
  return HttpServerResponse.empty()
})

const billed = (snapshot: { readonly [key: string]: unknown }) =>
  isFinal(String(snapshot["status"])) ? { ...snapshot, billing: { payer: "developer" } } : snapshot

const recordedAnswer = (recording: Option.Option<Recording>) =>
  Option.filter(recording, ({ create }) => create.response.events === undefined)

const create = Effect.fnUntraced(function* (exchange: Exchange) {
  const { responses, troubles } = exchange
  const request = yield* parseCreate(exchange.body, exchange.params["deployment"])
  const { recording, run } = yield* responses.create(request, troubles, exchange.own)
  exchange.note({ responseId: run.id })
  const answered = recordedAnswer(recording)
  if (Option.isSome(answered)) {
    const { json, status } = answered.value.create.response
    if (status >= 400) {
      return HttpServerResponse.jsonUnsafe(json, { status, headers: { "x-request-id": exchange.requestId } })
    }
    return yield* ok(exchange, json)
  }
  const accepted = run.snapshot()
  yield* responses.start(run, troubles)
  if (request.stream) return yield* stream(exchange, run, 0, false)
  if (request.background) return yield* ok(exchange, accepted)
  yield* run.until(() => run.over)
  return yield* ok(exchange, billed(run.snapshot()))
})

const isYes = (value: string | undefined) => value === "true" || value === "1"

const minutes = (millis: number): string => {
  const count = Math.round(millis / 60_000)
  return count === 0 ? `${millis} milliseconds` : `${count} minute${count === 1 ? "" : "s"}`
}

const resume = Effect.fnUntraced(function* (exchange: Exchange) {
  const { query, responses, troubles } = exchange
  const run = yield* responses.find(exchange.params["id"] ?? "", troubles)
  const cursor = query["starting_after"]
  if (cursor !== undefined && !/^-?\d+$/.test(cursor)) {
    return yield* badRequest(
      `Invalid type for 'starting_after': expected an integer, but got '${cursor}' instead.`,
      "invalid_type",
      "starting_after"
    )
  }
  if (!run.request.background) {
    return yield* badRequest("Only responses created with background=true can be streamed.")
  }
  if (!run.request.stream) {
    return yield* badRequest("Only responses created with stream=true can be streamed.")
  }
  const refusal = troubles.arm("RefuseReplay")
  const age = responses.now - run.createdAt
  const tooOld = age >= responses.settings.replayWindow
  if (tooOld || (refusal !== undefined && age >= (refusal.trouble.afterMillis ?? 0) && refusal.strike())) {
    // Troubles change the window, but not the text of the refusal: clients may
    // look for that text.
    return yield* badRequest(
      `This response can no longer be streamed because it is more than ${
        tooOld ? minutes(responses.settings.replayWindow) : "5 minutes"
      } old`
    )
  }
  run.resumes++
  return yield* stream(exchange, run, cursor === undefined ? 0 : run.timeline.after(Number(cursor)), true)
})

const retrieve = Effect.fnUntraced(function* (exchange: Exchange) {
  const { responses, troubles } = exchange
  const run = yield* responses.find(exchange.params["id"] ?? "", troubles)
  run.retrieves++
  const hint = troubles.strike("PollAfter")
  const snapshot = run.timeline.poll?.() ?? run.snapshot()
  return yield* ok(
    exchange,
    billed(snapshot),
    hint === undefined ? {} : { "openai-poll-after-ms": String(hint.millis) }
  )
})

const cancel = Effect.fnUntraced(function* (exchange: Exchange) {
  const { responses, troubles } = exchange
  const run = yield* responses.find(exchange.params["id"] ?? "", troubles)
  run.cancels++
  if (!run.request.background) return yield* badRequest("Cannot cancel a synchronous response.")
  if (run.over && isFinal(run.status)) {
    if (troubles.strike("RefuseCancelFinished") !== undefined) {
      return yield* badRequest(`Cannot cancel a ${run.status} response.`)
    }
  } else if (troubles.strike("IgnoreCancel") === undefined) {
    run.cancel(responses.now, troubles.strike("CancelEvent") !== undefined)
  }
  return yield* ok(exchange, run.snapshot())
})

const remove = Effect.fnUntraced(function* (exchange: Exchange) {
  const run = yield* exchange.responses.find(exchange.params["id"] ?? "", exchange.troubles)
  exchange.responses.remove(run)
  return yield* ok(exchange, { id: run.id, object: "response", deleted: true })
})

const inputItems = Effect.fnUntraced(function* (exchange: Exchange) {
  const run = yield* exchange.responses.find(exchange.params["id"] ?? "", exchange.troubles)
  const { after, limit, order } = exchange.query
  const items = listedItems(run.id, run.request.items)
  const ordered = order === "asc" ? items : items.toReversed()
  const start = after === undefined ? 0 : ordered.findIndex((item) => item["id"] === after) + 1
  const page = ordered.slice(start, start + Number(limit ?? 20))
  return yield* ok(exchange, {
    object: "list",
    data: page,
    first_id: page[0]?.["id"] ?? "",
    last_id: page.at(-1)?.["id"] ?? "",
    has_more: start + page.length < ordered.length
  })
})

const models = (exchange: Exchange) => {
  const names = [
    "sales-analyst",
    "echo",
    "lorem:1000",
    ...exchange.responses.settings.transcripts.map(({ name }) => `transcript:${name}`)
  ]
  return ok(exchange, {
    object: "list",
    data: names.map((id) => ({ id, object: "model", created: 0, owned_by: "sandbox" }))
  })
}

const Troubles = Schema.Array(Trouble)

/** The sandbox's own routes, for other processes. Their requests are not in the ledger. */
const control = (responses: Responses) => [
  HttpRouter.route(
    "GET",
    "/sandbox/ledger",
    Effect.sync(() => HttpServerResponse.jsonUnsafe(responses.ledger))
  ),
  HttpRouter.route(
    "DELETE",
    "/sandbox/ledger",
    Effect.sync(() => {
      responses.clearLedger()
      return HttpServerResponse.empty()
    })
  ),
  HttpRouter.route(
    "PUT",
    "/sandbox/troubles",
    HttpServerRequest.schemaBodyJson(Troubles).pipe(
      Effect.map((troubles) => {
        responses.serverTroubles.entries = []
        responses.serverTroubles.add(troubles)
        return HttpServerResponse.empty()
      }),
      Effect.catch((error) =>
        Effect.succeed(HttpServerResponse.jsonUnsafe(badRequest(error.message).body, { status: 400 }))
      )
    )
  )
]

/** The routes for responses in the official SDK, under the paths of OpenAI and of Azure. */
export const routes = (responses: Responses, apiKey: Redacted.Redacted | undefined) => {
  const at = (
    method: "GET" | "POST" | "DELETE",
    path: HttpRouter.PathInput,
    operation: Parameters<typeof endpoint>[2],
    handler: Parameters<typeof endpoint>[3]
  ) => HttpRouter.route(method, path, endpoint(responses, apiKey, operation, handler))
  const under = (prefix: `/${string}`) => [
    at("POST", `${prefix}/responses`, "create", create),
    HttpRouter.route(
      "GET",
      `${prefix}/responses/:id`,
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        isYes(new URL(request.url, "http://127.0.0.1").searchParams.get("stream") ?? undefined)
          ? endpoint(responses, apiKey, "resume", resume)
          : endpoint(responses, apiKey, "retrieve", retrieve)
      )
    ),
    at("POST", `${prefix}/responses/:id/cancel`, "cancel", cancel),
    at("DELETE", `${prefix}/responses/:id`, "delete", remove),
    at("GET", `${prefix}/responses/:id/input_items`, "input_items", inputItems),
    at("GET", `${prefix}/models`, "models", models)
  ]
  const unknown = HttpRouter.route(
    "*",
    "*",
    Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
      HttpServerResponse.jsonUnsafe(
        notFound(`Invalid URL (${request.method} ${new URL(request.url, "http://127.0.0.1").pathname})`).body,
        { status: 404, headers: { "x-request-id": `req_${crypto.randomUUID().replaceAll("-", "")}` } }
      )
    )
  )
  return HttpRouter.addAll([
    ...under("/v1"),
    ...under("/openai/v1"),
    ...under("/openai"),
    ...under("/openai/deployments/:deployment"),
    ...control(responses),
    unknown
  ])
}
