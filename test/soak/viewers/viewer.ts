import { type ClientRequest, request } from "node:http"
import { monotonic } from "../../logged/recording.ts"

/** What went wrong for a viewer. */
export interface Trouble {
  readonly kind: "gap" | "repeated" | "reset" | "refused"
  readonly why: string
}

// One process hears for all viewers. It first takes what has come for any of them, and reads it when nothing else waits, a
// little at a time: else the time at which a piece came would be that at which the pieces before it were read.
const unread: Array<() => void> = []
let first = 0

const readSome = () => {
  const until = monotonic() + 1
  while (first < unread.length && monotonic() < until) unread[first++]!()
  if (first < unread.length) return void setImmediate(readSome)
  unread.length = 0
  first = 0
}

const later = (read: () => void) => {
  unread.push(read)
  if (unread.length === 1) setImmediate(readSome)
}

/** Somebody who watches a run over HTTP, as `EventSource` does: it comes again with its last id, at any of the servers. */
export class Viewer {
  readonly troubles: Array<Trouble> = []
  /** For each update: when it came, and since when the connection that brought it was open. */
  readonly cameAt: Array<number> = []
  readonly openSince: Array<number> = []
  readonly done: Promise<void>
  text = ""
  status = ""
  connections = 0
  private readonly path: string
  private readonly server: () => string
  private lastId: string | undefined
  private finish: () => void = () => {}
  private current: ClientRequest | undefined
  private isOver = false

  constructor(runId: string, server: () => string) {
    this.path = `/api/runs/${runId}/updates`
    this.server = server
    this.done = new Promise((resolve) => (this.finish = resolve))
  }

  connect(): void {
    if (this.isOver) return
    let opened = 0
    let isClosed = false
    const again = () => {
      if (isClosed) return
      isClosed = true
      if (!this.isOver) setTimeout(() => this.connect(), 50 + Math.random() * 200)
    }
    this.connections++
    const headers = this.lastId === undefined ? {} : { "last-event-id": this.lastId }
    this.current = request(new URL(this.path, this.server()), { headers, agent: false }, (response) => {
      opened = monotonic()
      if (response.statusCode !== 200) {
        // The run may not have been opened yet, or its server is on its way out.
        const { statusCode = 0 } = response
        const expected = [429, 503].includes(statusCode)
        let body = ""
        response.setEncoding("utf8")
        response.on("data", (piece: string) => (body += piece))
        response.on("end", () => expected || this.trouble("refused", `${statusCode} ${body} after ${this.lastId}`))
        response.on("close", again)
        return
      }
      let rest = ""
      response.setEncoding("utf8")
      response.on("data", (piece: string) => {
        const at = monotonic()
        later(() => {
          const blocks = (rest + piece).split("\n\n")
          rest = blocks.pop() ?? ""
          for (const block of blocks) this.hear(block, at, opened)
        })
      })
      response.on("close", () => later(again))
      response.on("error", again)
    })
    this.current.on("error", again)
    this.current.end()
  }

  leave(): void {
    this.isOver = true
    this.current?.destroy()
    this.finish()
  }

  private trouble(kind: Trouble["kind"], why: string): void {
    this.troubles.push({ kind, why })
  }

  private hear(block: string, at: number, opened: number): void {
    let event = ""
    let id: string | undefined
    let data = ""
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) event = line.slice(7)
      else if (line.startsWith("id: ")) id = line.slice(4)
      else if (line.startsWith("data: ")) data = line.slice(6)
    }
    if (event === "update" && id !== undefined) {
      const offset = Number.parseInt(id, 10)
      const expected = this.cameAt.length + 1
      if (offset > expected) this.trouble("gap", `${id} after ${this.lastId}`)
      if (offset < expected) return this.trouble("repeated", `${id} after ${this.lastId}`)
      this.lastId = id
      this.cameAt[offset - 1] = at
      this.openSince[offset - 1] = opened
      this.text += (JSON.parse(data) as { readonly text: string }).text
    } else if (event === "reset") {
      this.trouble("reset", `after ${this.lastId}`)
    } else if (event === "end") {
      this.status = (JSON.parse(data) as { readonly status: string }).status
      this.leave()
    }
  }
}
