// Every trouble, as it is typed after `--trouble`: for a whole server and for a request, with the same effect.
import { ResponsesServer } from "@effect-baton/sandbox/ResponsesServer"
import { parse, type Trouble } from "@effect-baton/sandbox/SandboxTrouble"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { call } from "./sdk.ts"

/** What each kind of trouble is typed as. Clients do not see `Webhook`: see `WebhooksSent.test.ts`. */
const typed: {
  readonly [Tag in Exclude<Trouble["_tag"], "Webhook">]: ReadonlyArray<readonly [what: string, words: string]>
} = {
  EndEarly: [
    ["the body ends without a terminal event", "EndEarly after=2"],
    ["a resume finds nothing, as at the last number", "EndEarly after=0 on=resume"]
  ],
  HalfEvent: [["the body ends in the middle of an event", "HalfEvent after=2"]],
  Reset: [["the socket is reset in the middle of an event", "Reset after=2"]],
  Stall: [["nothing comes any more", "Stall after=2"]],
  Keepalives: [["keepalives before created and between events", "Keepalives before=2 every=2"]],
  UnknownEvents: [["types of events that nobody knows", "UnknownEvents every=2"]],
  SplitBytes: [["a character of several bytes comes in pieces", "SplitBytes every=1"]],
  Crlf: [["lines end in CR LF", "Crlf"]],
  NoFinalBlankLine: [["the last event lacks its blank line", "NoFinalBlankLine"]],
  ErrorEvent: [
    ["a nested error event", "ErrorEvent form=nested after=2"],
    ["a flat error event", "ErrorEvent form=flat after=2"]
  ],
  End: [
    ["it fails", "End status=failed after=5"],
    ["it is incomplete", "End status=incomplete after=5"],
    ["it is cancelled", "End status=cancelled after=5"]
  ],
  HttpError: [
    ["429 with a short Retry-After", "HttpError status=429 code=rate_limit_exceeded retryAfter=1"],
    ["429 with a Retry-After above 60 s", "HttpError status=429 code=rate_limit_exceeded retryAfter=90"],
    ["429 that no retry helps", "HttpError status=429 code=insufficient_quota"],
    ["5xx", "HttpError status=503 code=server_is_overloaded"],
    ["401", "HttpError status=401 code=invalid_api_key"]
  ],
  DropBeforeHeaders: [["the connection breaks before the first header", "DropBeforeHeaders"]],
  RefuseReplay: [["the replay is refused after a while", "RefuseReplay afterMillis=1000"]],
  StuckQueued: [["it stays queued", "StuckQueued"]],
  QueueTime: [["it stays queued for a while", "QueueTime millis=2000"]],
  IgnoreCancel: [["a cancel is ignored", "IgnoreCancel"]],
  CancelEvent: [["a cancel ends the stream with an event", "CancelEvent"]],
  RefuseCancelFinished: [["a cancel after the end is refused", "RefuseCancelFinished"]],
  Expired: [["it is forgotten after a while", "Expired afterMillis=1000"]],
  PollAfter: [["a hint when to poll", "PollAfter millis=250"]],
  Pace: [
    ["slow", "Pace millis=2000"],
    ["fast", "Pace millis=1"]
  ],
  LongRun: [["200,000 deltas", "LongRun deltas=200000"]],
  DuplicateReplay: [["a replay repeats", "DuplicateReplay back=2"]],
  OutOfOrderReplay: [["a replay is out of order", "OutOfOrderReplay"]]
}

const cases = Object.entries(typed).flatMap(([tag, forms]) => forms.map(([what, words]) => ({ tag, what, words })))

/** A body to its end, or to as many events as are wanted of it. */
const read = async (answer: Response, events: number) => {
  let text = ""
  let torn = false
  const decoder = new TextDecoder()
  for await (const chunk of answer.body ?? []) {
    torn ||= new TextDecoder().decode(chunk).includes("\uFFFD")
    text += decoder.decode(chunk, { stream: true })
    const whole = [...text.matchAll(/\n\r?\n/g)][events - 1]
    if (whole !== undefined) return { torn, text: text.slice(0, whole.index) }
  }
  return { torn, text }
}

/**
 * What a response's life looks like from outside: created, left, looked at, cancelled, looked at, read, cancelled again
 * and deleted. Ids are made equal. Of what is resumed, `resumed` events are read, or all.
 */
const life = Effect.fnUntraced(function* (headers: Record<string, string> = {}, resumed?: number) {
  yield* TestClock.setTime(0)
  const server = yield* ResponsesServer
  const seen: Array<unknown> = []
  const idNow = Effect.map(server.ledger, ({ responses }) => responses[0]?.id ?? "none")
  const ask = Effect.fnUntraced(function* (method: string, path: string, events = Number.POSITIVE_INFINITY) {
    const answer = yield* Effect.option(
      call(async (signal) => {
        const response = await fetch(server.url + path, {
          method,
          signal,
          headers: { "content-type": "application/json", ...headers },
          ...(path === "/responses" ? { body: JSON.stringify(request) } : {})
        })
        const hints = ["retry-after", "openai-poll-after-ms"].map((name) => response.headers.get(name))
        return { status: response.status, hints, ...(await read(response, events)) }
      })
    )
    seen.push(JSON.parse(JSON.stringify({ path, answer }).replaceAll(/(?<=_)[0-9a-f]{8,}/g, "ID")))
  })
  yield* ask("POST", "/responses", 1)
  const path = `/responses/${yield* idNow}`
  yield* TestClock.adjust("3 seconds")
  yield* ask("GET", path)
  yield* ask("POST", `${path}/cancel`)
  yield* TestClock.adjust("1 minute")
  yield* ask("GET", path)
  yield* ask("GET", `${path}?stream=true&starting_after=2`, resumed)
  yield* ask("POST", `${path}/cancel`)
  yield* ask("DELETE", path)
  return { seen, struck: (yield* server.ledger).troubles }
})

const request = { model: "echo", input: "Naïve — 日本語 🙂🚀 🙂🚀 and more of it", background: true, stream: true }

const sandbox = (troubles: ReadonlyArray<Trouble>) =>
  Effect.provide(ResponsesServer.layer({ troubles, pace: "1 second" }))

describe("each trouble can be switched on", () => {
  it.effect.each(cases)("for a server as for a request: $what ($words)", ({ tag, words }) =>
    Effect.gen(function* () {
      const resumed = tag === "Stall" ? 2 : undefined
      const plain = yield* life().pipe(sandbox([]))
      const ofRequest = yield* life({ "x-sandbox-trouble": words }, resumed).pipe(sandbox([]))
      const ofServer = yield* life({}, resumed).pipe(sandbox(yield* parse(words)))
      assert.deepStrictEqual(plain.struck, {})
      assert.isAbove(ofRequest.struck[tag] ?? 0, 0)
      assert.deepEqual(ofServer, ofRequest)
      assert.notDeepEqual(ofServer.seen, plain.seen)
    })
  )
})
