import { Option, Result } from "effect"
import { AiError, type Response } from "effect/ai"
import type { AgentUpdate } from "../AgentUpdate.ts"
import type { ModelEvent, ModelSnapshot } from "../BackgroundModel.ts"
import type { ContinuationToken } from "../ContinuationToken.ts"
import { isOver, type RunStatus } from "../Run.ts"
import * as Delivered from "./delivered.ts"
import { minted } from "./minted.ts"
import { decodePart } from "./streamPart.ts"

/** How a response ended: `error` where it failed. */
export interface Ending {
  readonly status: RunStatus
  readonly error?: AiError.AiError
  readonly snapshot?: ModelSnapshot
}

/** A position that moves through one response, turning what the provider says into updates. */
export interface Cursor {
  readonly position: () => ContinuationToken
  /** The number after which events are still to come: -1 for all. */
  readonly after: () => number
  /** The response's id, once something named it. */
  readonly responseId: () => string | undefined
  /** How the response ended, once it did. */
  readonly ending: () => Ending | undefined
  /** Why nothing can follow what was delivered, once something contradicted it. */
  readonly divergence: () => string | undefined
  /** The updates that these events add; `progressed` when one of them is further on than any before. */
  readonly read: (
    events: ReadonlyArray<ModelEvent>,
    origin: "live" | "replay"
  ) => { readonly updates: ReadonlyArray<AgentUpdate>; readonly progressed: boolean }
  /** The updates that a snapshot adds, or why that cannot be told. */
  readonly fill: (snapshot: ModelSnapshot) => Result.Result<ReadonlyArray<AgentUpdate>, string>
  /** The update that says that the provider no longer has the response. */
  readonly expire: () => ReadonlyArray<AgentUpdate>
}

export const make = (options: {
  readonly from: ContinuationToken
  readonly responseId?: string | undefined
  readonly background: boolean
  /** Whether tokens are accepted as objects only if this process made them. */
  readonly sealed: boolean
}): Cursor => {
  let position = options.from
  let responseId = options.responseId
  let ending: Ending | undefined
  let divergence: string | undefined
  let doubted = false
  // Numbers that a replay left out. Most are keepalives', which are not replayed.
  const gaps: Array<readonly [from: number, to: number]> = []

  const update = (
    part: Response.StreamPartEncoded | undefined,
    origin: AgentUpdate["origin"],
    last: boolean,
    raw: unknown
  ): AgentUpdate => {
    const decoded = part === undefined ? undefined : decodePart(part)
    return {
      ...(decoded === undefined ? undefined : { part: decoded }),
      text: decoded !== undefined && decoded.type === "text-delta" ? decoded.delta : "",
      status: position.status,
      runId: position.runId,
      responseId: responseId ?? "",
      ...(origin === "snapshot" || position.sequenceNumber < 0
        ? undefined
        : { sequenceNumber: position.sequenceNumber }),
      continuationToken:
        last || !options.background ? Option.none() : Option.some(options.sealed ? minted(position) : position),
      origin,
      ...(raw === undefined ? undefined : { raw })
    }
  }

  const end = (status: RunStatus, snapshot?: ModelSnapshot) => {
    ending = {
      status,
      ...(status === "failed" ? { error: snapshot?.error ?? unexplained } : undefined),
      ...(snapshot === undefined ? undefined : { snapshot })
    }
  }

  const read: Cursor["read"] = (events, origin) => {
    const updates: Array<AgentUpdate> = []
    let progressed = false
    for (const event of origin === "replay" ? inOrder(events) : events) {
      responseId ??= event.responseId
      if (event.keepalive === true || ending !== undefined || divergence !== undefined) continue
      const number = event.sequenceNumber ?? position.sequenceNumber + 1
      // Of the event at the position only what `skip` says was delivered; everything before it was.
      const from = number === position.sequenceNumber ? position.skip : 0
      if (number < position.sequenceNumber || (number === position.sequenceNumber && from === 0)) {
        if (gaps.some(([lowest, highest]) => lowest <= number && number <= highest))
          divergence = `event ${number} was overtaken`
        continue
      }
      progressed = true
      if (origin === "replay" && number > position.sequenceNumber + 1) {
        // What the end overtook may still come: the end is heard once more, as after a connection that broke.
        if (event.terminal !== undefined && !doubted) {
          doubted = true
          break
        }
        if (gaps.push([position.sequenceNumber + 1, number - 1]) > maxGaps) gaps.shift()
      }
      const last = Math.max(event.parts.length, 1) - 1
      const status = event.status ?? position.status
      const whole = event.lanes ?? (isWhole(status) ? event.terminal?.lanes : undefined)
      if (whole !== undefined) divergence = Delivered.contradictionIn(position.delivered, whole)
      if (divergence !== undefined) continue
      if (event.terminal !== undefined) end(status, event.terminal)
      for (let i = from; i <= last; i++) {
        const part = event.parts[i]
        if (part?.whole !== undefined) divergence = Delivered.contradiction(position.delivered, part)
        if (divergence !== undefined) break
        const delivered = part === undefined ? position.delivered : Delivered.advance(position.delivered, part)
        position = {
          version: 2,
          agent: position.agent,
          runId: position.runId,
          incarnation: position.incarnation,
          turn: position.turn,
          sequenceNumber: number,
          skip: i === last ? 0 : i + 1,
          status,
          origin: "stream",
          delivered: i === last && event.closes !== undefined ? Delivered.close(delivered, event.closes) : delivered
        }
        updates.push(update(part?.part, origin, i === last && ending !== undefined, event.raw))
      }
    }
    return { updates, progressed }
  }

  const move = (status: RunStatus, delivered: ContinuationToken["delivered"]) => {
    position = { ...position, skip: 0, status, origin: "snapshot", delivered }
  }

  const fill: Cursor["fill"] = (snapshot) => {
    if (!isOver(snapshot.status)) {
      const first = position.sequenceNumber < 0 && position.origin === "stream"
      if (snapshot.status === position.status && !first) return Result.succeed([])
      move(snapshot.status, position.delivered)
      return Result.succeed([update(undefined, "snapshot", false, snapshot.raw)])
    }
    const rest = Delivered.rest(snapshot.lanes, position.delivered)
    // A response that failed or was cancelled may be shown without the output that it had: its end is still its end.
    return Result.map(isWhole(snapshot.status) ? rest : Result.orElse(rest, () => Result.succeed([])), (missing) => {
      const updates = missing.map((part) => {
        const delivered = Delivered.advance(position.delivered, part)
        move("in_progress", part.closes === undefined ? delivered : Delivered.close(delivered, part.closes))
        return update(part.part, "snapshot", false, undefined)
      })
      move(snapshot.status, position.delivered)
      end(snapshot.status, snapshot)
      return [...updates, update(snapshot.finish, "snapshot", true, snapshot.raw)]
    })
  }

  const expire = () => {
    position = { ...position, status: "expired" }
    end("expired")
    return [update(undefined, "snapshot", true, undefined)]
  }

  const after = () => {
    const { sequenceNumber, skip } = position
    const gap = gaps.at(-1)
    // What was left out right before the last event may have been overtaken by it.
    if (gap !== undefined && gap[1] === sequenceNumber - 1) return gap[0] - 1
    return skip > 0 ? sequenceNumber - 1 : sequenceNumber
  }

  return {
    position: () => position,
    after,
    responseId: () => responseId,
    ending: () => ending,
    divergence: () => divergence,
    read,
    fill,
    expire
  }
}

const maxGaps = 16

const isWhole = (status: RunStatus): boolean => status === "completed" || status === "incomplete"

// Some replays come with neighbours swapped.
const inOrder = (events: ReadonlyArray<ModelEvent>): ReadonlyArray<ModelEvent> => {
  const numberOf = (event: ModelEvent | undefined) => event?.sequenceNumber ?? -1
  return events.some((event, i) => numberOf(event) < numberOf(events[i - 1]))
    ? events.toSorted((a, b) => numberOf(a) - numberOf(b))
    : events
}

const unexplained = AiError.make({
  module: "BackgroundModel",
  method: "retrieve",
  reason: new AiError.UnknownError({ description: "The provider gave no reason" })
})
