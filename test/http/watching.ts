// Viewers that read events over sockets, as clients without a library do.
import { Effect } from "effect"

/** What an event says: an update, an end, or when to come again. */
interface Said {
  readonly text: string
  readonly status: string
  readonly part?: { readonly type: string; readonly [name: string]: unknown }
  readonly turn?: number
  readonly waitingFor?: string
  readonly limit?: string
  readonly session?: string
  readonly reason?: string
  readonly after?: string
  readonly problem?: { readonly type: string }
}

/** An event, or a comment, as it came. */
export interface Heard {
  readonly event?: string
  readonly id?: string
  readonly retry?: number
  readonly comment?: string
  readonly data?: Said
}

/** Reads one block of a stream of events. */
const blockOf = (block: string): Heard => {
  const lines = block.split("\n")
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
  const comment = lines.find((line) => line.startsWith(":"))
  const data = field("data")
  const retry = field("retry")
  const id = lines.some((line) => line === "id: ") ? "" : field("id")
  const event = field("event")
  return {
    ...(event === undefined ? {} : { event }),
    ...(id === undefined ? {} : { id }),
    ...(retry === undefined ? {} : { retry: Number(retry) }),
    ...(comment === undefined ? {} : { comment }),
    ...(data === undefined ? {} : { data: JSON.parse(data) })
  }
}

/** Splits a stream of events into its blocks. The last one may not be whole yet. */
export const blocksOf = (text: string): ReadonlyArray<Heard> => text.split("\n\n").slice(0, -1).map(blockOf)

export interface Watching {
  readonly as?: string
  readonly query?: string
  readonly headers?: Record<string, string>
  readonly lastEventId?: string | undefined
  /** Leaves once this holds for what was heard. */
  readonly until?: (heard: ReadonlyArray<Heard>) => boolean
  readonly onHeard?: (heard: ReadonlyArray<Heard>) => void
}

export interface Watched {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly heard: ReadonlyArray<Heard>
}

/** Watches a run, to the end of the response or until it has heard enough. */
export const watch = (url: string, runId: string, options: Watching = {}): Effect.Effect<Watched> =>
  Effect.promise(async (signal) => {
    const left = new AbortController()
    signal.addEventListener("abort", () => left.abort())
    const headers = new Headers({ authorization: `Bearer ${options.as ?? "alice"}`, ...options.headers })
    if (options.lastEventId !== undefined) headers.set("last-event-id", options.lastEventId)
    const query = options.query === undefined ? "" : `?${options.query}`
    const response = await fetch(`${url}/api/runs/${encodeURIComponent(runId)}/updates${query}`, {
      headers,
      signal: left.signal
    })
    const decoder = new TextDecoder()
    let text = ""
    if (response.body !== null) {
      const reader = response.body.getReader()
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        text += decoder.decode(piece.value, { stream: true })
        options.onHeard?.(blocksOf(text))
        if (options.until?.(blocksOf(text)) === true) {
          left.abort()
          break
        }
      }
    }
    return { status: response.status, headers: response.headers, text, heard: blocksOf(text) }
  })

export const updatesOf = (heard: ReadonlyArray<Heard>) => heard.filter(({ event }) => event === "update")
export const textOf = (heard: ReadonlyArray<Heard>): string =>
  updatesOf(heard)
    .map(({ data }) => data?.text)
    .join("")
/** The id that a client would come back with. */
export const lastIdOf = (heard: ReadonlyArray<Heard>): string | undefined => heard.findLast(({ id }) => id)?.id

/** What is heard from an event on. */
export const named = (heard: ReadonlyArray<Heard>, event: string) => heard.filter((block) => block.event === event)
