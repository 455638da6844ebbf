import * as Predicate from "effect/Predicate"
import type { Exchange, Transcript } from "../../Transcript.ts"
import { isFinal } from "./responseObject.ts"
import type { Timeline } from "./timeline.ts"

type Json = { readonly [key: string]: unknown }

/** One create request of a recording, and the requests about its response. */
export interface Recording {
  readonly create: Exchange
  readonly gets: ReadonlyArray<Exchange>
}

const answersTools = (body: Json | null): boolean =>
  Array.isArray(body?.["input"]) &&
  body["input"].some((item: unknown) => Predicate.isObject(item) && (item as Json)["type"] === "function_call_output")

/**
 * The part of a recording that answers a create request. If a recording has
 * several, a request with tool results gets the part that was recorded with
 * tool results.
 */
export const findRecording = (transcript: Transcript, body: Json): Recording | undefined => {
  const creates = transcript.exchanges.flatMap(({ request }, index) => (request.method === "POST" ? [index] : []))
  const at =
    creates.find((index) => answersTools(transcript.exchanges[index]?.request.body ?? null) === answersTools(body)) ??
    creates[0]
  const create = at === undefined ? undefined : transcript.exchanges[at]
  if (at === undefined || create === undefined) return undefined
  const next = creates.find((index) => index > at) ?? transcript.exchanges.length
  return { create, gets: transcript.exchanges.slice(at + 1, next).filter(({ request }) => request.method === "GET") }
}

const responseOf = (event: Json | undefined): Json | undefined => {
  const response = event?.["response"]
  return Predicate.isObject(response) ? (response as Json) : undefined
}

export const recordedId = (recording: Recording): string | undefined => {
  const { events, json } = recording.create.response
  const id = (json ?? events?.map(responseOf).find((response) => response !== undefined))?.["id"]
  return Predicate.isString(id) ? id : undefined
}

const numberOf = (event: Json): number => Number(event["sequence_number"] ?? -1)

const isDelta = (event: Json | undefined): boolean => String(event?.["type"]).endsWith(".delta")

/** The timeline of a recording, with unchanged payloads. */
export const recordedTimeline = (recording: Recording): Timeline => {
  const events = recording.create.response.events ?? []
  const polls = recording.gets.flatMap(({ response }) => (response.json === undefined ? [] : [response.json]))
  let polled = 0
  const latest = (produced: number): Json =>
    responseOf(events.slice(0, produced).findLast((event) => responseOf(event) !== undefined)) ??
    // For a background stream, the first event holds the response that was accepted.
    events.map(responseOf).find((response) => response !== undefined) ??
    recording.create.response.json ??
    {}
  const status = (produced: number): string =>
    String((events.length > 0 ? latest(produced) : (polls[polled - 1] ?? latest(0)))["status"])
  const firstInProgress = events.findIndex((event) => responseOf(event)?.["status"] === "in_progress")
  return {
    length: events.length,
    queued: Math.max(firstInProgress, 0),
    at: (index) => {
      const event = events[index] ?? {}
      return {
        type: String(event["type"]),
        sequence: numberOf(event),
        json: JSON.stringify(event),
        ephemeral: false
      }
    },
    paced: (index) => isDelta(events[index]),
    after: (sequence) => {
      const index = events.findIndex((event) => numberOf(event) > sequence)
      return index < 0 ? events.length : index
    },
    status,
    snapshot: (produced) =>
      produced >= events.length && isFinal(status(produced)) ? (polls.at(-1) ?? latest(produced)) : latest(produced),
    ...(events.length > 0
      ? {}
      : {
          poll: () => {
            const answer = polls[Math.min(polled, polls.length - 1)] ?? latest(0)
            polled++
            return answer
          }
        }),
    outputText: (produced) =>
      events.length > 0
        ? events
            .slice(0, produced)
            .filter((event) => event["type"] === "response.output_text.delta")
            .map((event) => String(event["delta"]))
            .join("")
        : ""
  }
}
