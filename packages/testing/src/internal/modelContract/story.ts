import type { BackgroundModel } from "@effect-baton/core"
import * as Equal from "effect/Equal"
import * as Output from "../output.ts"
import type { Event } from "./bench.ts"

type Items = ReadonlyArray<BackgroundModel.SnapshotItem>

/** The output of a response, built from its events. */
export const storyOf = (events: ReadonlyArray<Event>): Output.Output => {
  const output = Output.empty()
  for (const { statements } of events) for (const statement of statements) Output.add(output, statement)
  return output
}

/** A lane at its place. */
export interface Placed {
  readonly item: number
  readonly lane: BackgroundModel.Lane
}

// A text without characters and a list without sources count as empty.
const isEmpty = (lane: BackgroundModel.Lane): boolean => {
  switch (lane.kind) {
    case "text":
    case "reasoning":
    case "params":
      return lane.text === ""
    case "sources":
      return lane.sources.length === 0
    case "single":
      return false
    case "unread":
      return true
  }
}

/** The lanes that hold something, in the order of the output. */
export const lanesOf = (items: Items): ReadonlyArray<Placed> =>
  items.flatMap(({ lanes }, item) => lanes.flatMap((lane) => (isEmpty(lane) ? [] : [{ item, lane }])))

/** The texts, each with its kind, in the order of the output. */
export const textsOf = (items: Items): ReadonlyArray<string> =>
  lanesOf(items).flatMap(({ lane }) => ("text" in lane ? [`${lane.kind}: ${lane.text}`] : []))

/** The calls, approvals and files, without the fields that providers give only in some places. */
export const singlesOf = (items: Items): ReadonlyArray<unknown> =>
  lanesOf(items).flatMap(({ lane }): ReadonlyArray<unknown> => {
    if (lane.kind !== "single") return []
    const { part } = lane
    switch (part.type) {
      case "tool-call":
        return [{ type: part.type, id: part.id, name: part.name, params: part.params }]
      case "file":
        return [{ type: part.type, mediaType: part.mediaType, data: part.data }]
      case "tool-approval-request":
        return [{ type: part.type, approvalId: part.approvalId, toolCallId: part.toolCallId }]
      case "tool-result":
        return [{ type: part.type, id: part.id, name: part.name, isFailure: part.isFailure }]
    }
  })

/** The sources, in the order of the output. */
export const sourcesOf = (items: Items): ReadonlyArray<unknown> =>
  lanesOf(items).flatMap(({ lane }) =>
    lane.kind === "sources"
      ? lane.sources.map((source) =>
          source === undefined
            ? "unread"
            : source.sourceType === "url"
              ? { url: source.url }
              : { fileName: source.fileName, mediaType: source.mediaType }
        )
      : []
  )

/** Where each piece of output is, `item:lane kind`, with the beginning of its text. */
export const placesOf = (items: Items): ReadonlyArray<string> =>
  lanesOf(items).map(({ item, lane }) => {
    const begins = "text" in lane ? ` ${Output.quoted(lane.text)}` : ""
    return `${item}:${lane.lane} ${lane.kind}${begins}`
  })

/** The faults in the lane numbers of a snapshot. */
export const misnumbered = (items: Items): ReadonlyArray<string> =>
  items.flatMap(({ lanes }, item) => {
    const numbers = lanes.map(({ lane }) => lane)
    return [
      ...numbers.filter((lane) => !isNumber(lane)).map((lane) => `lane ${lane} of item ${item} is no whole number`),
      ...(new Set(numbers).size < numbers.length ? [`item ${item} has two lanes of one number: ${numbers.join()}`] : [])
    ]
  })

/** The faults in the item and lane numbers of statements. */
export const misplaced = (events: ReadonlyArray<Event>): ReadonlyArray<string> =>
  events
    .flatMap(({ statements }) => statements)
    .flatMap((statement) => {
      const { _tag, index } = statement
      const lanes =
        statement._tag === "ItemAdded" || statement._tag === "ItemDone"
          ? (statement.lanes ?? []).map(({ lane }) => lane)
          : statement._tag === "Preliminary"
            ? []
            : [typeof statement.lane === "number" ? statement.lane : statement.lane.lane]
      return [
        ...(index === undefined || isNumber(index) ? [] : [`${_tag} is about item ${index}`]),
        ...lanes.filter((lane) => !isNumber(lane)).map((lane) => `${_tag} is about lane ${lane}`)
      ]
    })

const isNumber = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** An event without the fields that a provider may change in a replay. */
export const plain = ({ error, sequenceNumber, statements, status, terminal, responseId }: Event): unknown => ({
  sequenceNumber,
  statements,
  status,
  responseId,
  error: error?.reason._tag,
  terminal: terminal === undefined ? undefined : { status: terminal.status, items: terminal.items }
})

/** The first difference between two lists of events, if there is one. */
export const difference = (
  heard: ReadonlyArray<Event>,
  expected: ReadonlyArray<Event>
): { readonly message: string; readonly expected: unknown; readonly actual: unknown } | undefined => {
  for (let i = 0; i < Math.max(heard.length, expected.length); i++) {
    const [one, other] = [heard[i], expected[i]]
    if (one !== undefined && other !== undefined && Equal.equals(plain(one), plain(other))) continue
    const message =
      one === undefined
        ? `event ${other?.sequenceNumber} is missing`
        : other === undefined
          ? `event ${one.sequenceNumber} is one too many`
          : `event ${one.sequenceNumber} comes instead of ${other.sequenceNumber}`
    return { message, expected: other && plain(other), actual: one && plain(one) }
  }
  return undefined
}
