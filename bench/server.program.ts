/**
 * What the subjects read from: a server that sends what a background stream of the Responses API looks like, and does
 * little else. It runs in a process of its own, so that its work is not counted as theirs.
 *
 * The input of a request says what comes: `flat:N` are N deltas as fast as they are read, `each:N` are N deltas each of
 * which is written alone, `paced:N` are N deltas a second until the reader leaves, each of which tells when it was sent.
 * The id of a response says it too, so that a stream can be asked for again though nothing is kept here.
 *
 * With `:held:KEY` after that, deltas come only after a request to `/release/KEY`. `prose:N` is a text, N deltas a second.
 * `tight:N` are N deltas each of which is a write of the socket, without a turn of the event loop between two of them.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { once } from "node:events"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { text } from "node:stream/consumers"
import { setImmediate, setTimeout } from "node:timers/promises"
import { now } from "./clock.ts"
import { deltaOf, headLength, headOf, tailOf } from "./wire.ts"
import { prose } from "./prose.ts"
import { wordOf } from "./words.ts"

interface Deltas {
  readonly chunks: ReadonlyArray<Buffer>
  readonly words: string
}

// Written once and sent many times: nobody waits for the making of events.
const written = new Map<string, Deltas>()

/** The deltas from number `from` on, and the words of all. */
const deltasOf = (count: number, from: number, chunkLength: number): Deltas => {
  const key = `${count} ${from} ${chunkLength}`
  const known = written.get(key)
  if (known !== undefined) return known
  const chunks: Array<Buffer> = []
  let words = ""
  let chunk = ""
  for (let i = 0; i < count; i++) {
    const word = wordOf(i)
    words += word
    if (i < from) continue
    chunk += deltaOf(headLength + i, word)
    if (chunk.length >= chunkLength || i === count - 1) {
      chunks.push(Buffer.from(chunk))
      chunk = ""
    }
  }
  const deltas = { chunks, words }
  written.set(key, deltas)
  return deltas
}

/** What streams wait for, by their keys. */
const held = new Map<string, PromiseWithResolvers<void>>()

const heldBy = (key: string): PromiseWithResolvers<void> => {
  const gate = held.get(key) ?? Promise.withResolvers<void>()
  held.set(key, gate)
  return gate
}

const sendFlat = async (
  id: string,
  count: number,
  from: number,
  response: ServerResponse,
  released?: Promise<void>
) => {
  const { chunks, words } = deltasOf(count, from, 65_536)
  if (from === 0) response.write(headOf(id))
  await released
  // A reader that has enough leaves in the middle.
  const rest = Readable.from([...chunks, tailOf(id, headLength + count, words)])
  await pipeline(rest, response).catch(() => undefined)
}

const sendEach = async (id: string, count: number, response: ServerResponse, released?: Promise<void>) => {
  const { chunks, words } = deltasOf(count, 0, 1)
  response.write(headOf(id))
  await released
  for (const chunk of chunks) {
    // One that was left is never drained.
    if (response.destroyed) return
    if (!response.write(chunk)) await Promise.race([once(response, "drain"), once(response, "close")])
    await setImmediate()
  }
  response.end(tailOf(id, headLength + count, words))
}

const sendPaced = (id: string, perSecond: number, response: ServerResponse) => {
  let sequence = headLength
  const send = () => response.write(deltaOf(sequence++, now().toFixed(3)))
  response.write(headOf(id))
  send()
  const timer = setInterval(send, 1000 / perSecond)
  response.once("close", () => clearInterval(timer))
}

/** Each delta in a write of the socket, one right after the other. The response itself would put many into one write. */
const sendTight = async (id: string, count: number, response: ServerResponse, released?: Promise<void>) => {
  const { chunks, words } = deltasOf(count, 0, 1)
  const frames = chunks.map((chunk) => Buffer.from(`${chunk.length.toString(16)}\r\n${chunk.toString()}\r\n`))
  response.write(headOf(id))
  await released
  const { socket } = response
  // The head was written in an earlier turn, and nothing is left of it.
  await setImmediate()
  for (const frame of frames) {
    if (socket === null || socket.destroyed) return
    // What the system does not take at once would go out together with what follows.
    if (!socket.write(frame) || socket.writableLength > 0) await new Promise((resolve) => socket.write("", resolve))
  }
  response.end(tailOf(id, headLength + count, words))
}

/** A text, so many deltas a second. */
const sendProse = async (id: string, perSecond: number, response: ServerResponse) => {
  response.write(headOf(id))
  const start = now()
  for (const [i, word] of prose.entries()) {
    const wait = start + (i * 1000) / perSecond - now()
    // Not to wait for something: this is the pace.
    if (wait > 0) await setTimeout(wait)
    response.write(deltaOf(headLength + i, word))
  }
  response.end(tailOf(id, headLength + prose.length, prose.join("")))
}

let responses = 0

const begin = (response: ServerResponse) =>
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "x-request-id": `req_${++responses}` })

const answer = async (request: IncomingMessage, response: ServerResponse) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://localhost")
  const body = await text(request).catch(() => "")
  const wanted = /(flat|each|tight|paced|prose):(\d+)(?::held:([\w-]+))?/.exec(body)
  const [, key = ""] = /^\/v1\/release\/([\w-]+)$/.exec(pathname) ?? []
  const known = /^\/v1\/responses\/(resp_flat(\d+)x\d+)$/.exec(pathname)
  const after = Number(searchParams.get("starting_after") ?? Number.NaN)
  if (request.method === "POST" && pathname === "/v1/responses" && wanted !== null) {
    const [, kind = "", count = "", gate] = wanted
    const released = gate === undefined ? undefined : heldBy(gate).promise
    const id = `resp_${kind}${count}x${String(responses).padStart(40, "0")}`
    begin(response)
    if (kind === "flat") await sendFlat(id, Number(count), 0, response, released)
    else if (kind === "each") await sendEach(id, Number(count), response, released)
    else if (kind === "tight") await sendTight(id, Number(count), response, released)
    else if (kind === "prose") await sendProse(id, Number(count), response)
    else sendPaced(id, Number(count), response)
  } else if (request.method === "GET" && known !== null && after >= headLength) {
    const [, id = "", count = ""] = known
    begin(response)
    await sendFlat(id, Number(count), after - headLength + 1, response)
  } else if (key !== "") {
    heldBy(key).resolve()
    response.end()
  } else {
    // A subject that asks for anything else says so by failing.
    response.writeHead(404, { "content-type": "application/json" })
    response.end(JSON.stringify({ error: { message: "Not found", type: "invalid_request_error", code: null } }))
  }
}

// No timeouts: on a busy machine a connection would be closed just as a subject takes it for its next request.
const server = createServer(
  { noDelay: true, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 },
  (request, response) => void answer(request, response)
)

// Thousands of readers connect at once.
server.listen({ host: "127.0.0.1", port: 0, backlog: 8192 }, () => {
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/v1` }))
})

// The bench holds the other end, however it ends.
process.stdin.resume().once("end", () => process.exit(0))
