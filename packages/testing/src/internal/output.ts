import type { BackgroundModel } from "@effect-baton/core"

/** A lane, built from its statements. */
interface LaneSaid {
  readonly lane: number
  readonly kind: BackgroundModel.Lane["kind"]
  /** The text that it started with and its deltas, joined. */
  text: string
  /** The whole text, according to the end of the lane or of its item. */
  whole: string | undefined
  over: boolean
  readonly sources: Array<BackgroundModel.SourceWithoutId | undefined>
  part?: BackgroundModel.SingleLane["part"]
  name?: string
  metadata?: BackgroundModel.Metadata
}

/** An item, built from its statements. */
interface ItemSaid {
  readonly lanes: Map<number, LaneSaid>
  done: boolean
  unread: boolean
}

/** The output of a response, built from its statements. `faults` are contradictions between statements. */
export interface Output {
  readonly items: Map<number, ItemSaid>
  readonly places: Map<number, number>
  readonly ids: Map<string, number>
  readonly faults: Array<string>
  next: number
}

export const empty = (): Output => ({ items: new Map(), places: new Map(), ids: new Map(), faults: [], next: 0 })

/** Adds one statement, by the same rules as Baton. */
export const add = (output: Output, statement: BackgroundModel.Statement): void => {
  const found = placeOf(output, statement)
  const item = output.items.get(found)
  // A late end of a finished item is ignored.
  if (item?.done === true) return
  const { lanes } = item ?? opened(output, found)
  switch (statement._tag) {
    case "ItemAdded":
      for (const lane of statement.lanes) begin(lanes, lane)
      break
    case "LaneStarted":
      begin(lanes, statement.lane)
      break
    case "Delta": {
      const lane = laneOf(lanes, statement)
      if (lane.over) output.faults.push(`lane ${lane.lane} of item ${found} continues after its end`)
      lane.text += statement.delta
      break
    }
    case "PartAdded":
      part(lanes, statement.lane)
      break
    case "LaneEnded": {
      const lane = laneOf(lanes, statement)
      end(output, found, lane, statement.text)
      if (statement.metadata !== undefined) lane.metadata ??= statement.metadata
      break
    }
    case "ItemDone":
      done(output, found, statement.lanes)
  }
}

/** The items that a snapshot of this output shows. A place without statements is an empty item. */
export const snapshotOf = ({ items, next }: Output): ReadonlyArray<BackgroundModel.SnapshotItem> =>
  Array.from({ length: next }, (_, place) => {
    const item = items.get(place)
    if (item === undefined) return { lanes: [], done: true }
    const lanes = [...item.lanes.values()].toSorted((a, b) => a.lane - b.lane).map(shown)
    return { lanes, done: true, ...(item.unread ? { unread: true } : {}) }
  })

const shown = (said: LaneSaid): BackgroundModel.Lane => {
  const { kind, lane, metadata, name, part, sources } = said
  if (part !== undefined) return { lane, kind: "single", part }
  if (kind === "sources") return { lane, kind, sources: [...sources] }
  if (kind === "single" || kind === "unread") return { lane, kind: "unread" }
  return {
    lane,
    kind,
    text: said.whole ?? said.text,
    ...(name === undefined ? {} : { name }),
    ...(metadata === undefined ? {} : { metadata })
  }
}

const opened = (output: Output, place: number): ItemSaid => {
  const item: ItemSaid = { lanes: new Map(), done: false, unread: false }
  output.items.set(place, item)
  output.next = Math.max(output.next, place + 1)
  return item
}

const isEnd = ({ _tag }: BackgroundModel.Statement) => _tag === "LaneEnded" || _tag === "ItemDone"

const placeOf = (output: Output, statement: BackgroundModel.Statement): number => {
  const { index, itemId } = statement
  if (index === undefined) {
    const known = itemId === undefined ? undefined : output.ids.get(itemId)
    const last = [...output.items].findLast(([, item]) => !item.done)?.[0]
    const place = known ?? (statement._tag === "ItemAdded" ? undefined : last) ?? output.next
    if (itemId !== undefined) output.ids.set(itemId, place)
    return place
  }
  const led = output.places.get(index)
  const place = led ?? index
  const item = output.items.get(place)
  const foreign = led === undefined && [...output.places.values()].includes(index)
  if (!foreign && (item === undefined || !isAnother(item, statement))) {
    output.places.set(index, place)
    return place
  }
  output.places.set(index, output.next)
  return output.next
}

// Whether a known index now means another item: the item is finished, is added again, or has a lane of another kind there.
const isAnother = ({ done, lanes }: ItemSaid, statement: BackgroundModel.Statement): boolean => {
  if (done) return !isEnd(statement)
  if (statement._tag === "ItemAdded") return lanes.size > 0
  if (statement._tag !== "Delta" && statement._tag !== "LaneStarted") return false
  const { kind, lane } = statement._tag === "Delta" ? statement : statement.lane
  const known = lanes.get(lane)
  return known !== undefined && !known.over && known.kind !== kind
}

const laneOf = (
  lanes: Map<number, LaneSaid>,
  { kind, lane }: { readonly lane: number; readonly kind: LaneSaid["kind"] }
): LaneSaid => {
  const known = lanes.get(lane)
  if (known !== undefined) return known
  const said: LaneSaid = { lane, kind, text: "", whole: undefined, over: false, sources: [] }
  lanes.set(lane, said)
  return said
}

const begin = (lanes: Map<number, LaneSaid>, lane: BackgroundModel.TextLane): LaneSaid => {
  const known = lanes.has(lane.lane)
  const said = laneOf(lanes, lane)
  if (!known) said.text = lane.text
  if (lane.name !== undefined) said.name = lane.name
  if (lane.metadata !== undefined) said.metadata = lane.metadata
  return said
}

const part = (
  lanes: Map<number, LaneSaid>,
  lane: BackgroundModel.SourcesLane | BackgroundModel.SingleLane
): LaneSaid => {
  const said = laneOf(lanes, lane)
  if (lane.kind === "single") said.part = lane.part
  else for (const [i, source] of lane.sources.entries()) said.sources[(lane.from ?? 0) + i] = source
  return said
}

const end = (output: Output, place: number, lane: LaneSaid, whole: string | undefined): void => {
  lane.over = true
  if (whole === undefined) return
  const before = lane.whole ?? (lane.text === "" ? undefined : lane.text)
  if (before !== undefined && before !== whole) {
    output.faults.push(`lane ${lane.lane} of item ${place} was ${quoted(before)}, and its end says ${quoted(whole)}`)
  }
  lane.whole ??= whole
}

const done = (output: Output, place: number, whole: ReadonlyArray<BackgroundModel.Lane> | undefined): void => {
  const item = output.items.get(place)
  if (item === undefined) return
  item.done = true
  item.unread = whole === undefined
  for (const lane of whole ?? []) {
    const known = item.lanes.get(lane.lane)
    if (known !== undefined && known.kind !== lane.kind) {
      output.faults.push(`lane ${lane.lane} of item ${place} was ${known.kind}, and its item's end says ${lane.kind}`)
    } else if (lane.kind === "unread") laneOf(item.lanes, lane)
    else if (lane.kind === "sources" || lane.kind === "single") part(item.lanes, lane)
    else end(output, place, begin(item.lanes, lane), lane.text)
  }
}

/** A text for a message, shortened. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 40)}…${text.slice(-40)}`)
