import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "C1-text-end",
    guarantee: 5,
    breaks: "what only the end of a text says is delivered then",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "if (text !== undefined) return this.rest(place, { lane, kind, text, ...defined(metadata) }, true)",
    replace: "",
    test: "test/openai/Wholes.test.ts",
    title: "of a text that no delta told"
  },
  {
    id: "C1-item-end",
    guarantee: 5,
    breaks: "what only the end of an item says is delivered then",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "return this.finish(place, statement.lanes)",
    replace: "return this.finish(place, undefined)",
    test: "test/openai/Wholes.test.ts",
    title: "of a text whose tail no delta told"
  },
  {
    id: "C1-response-end",
    guarantee: 5,
    breaks: "what only the end of a response says is delivered then",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "for (const assigned of lanes) telling.rest(assigned.place, assigned.lane, true)",
    replace: "void lanes",
    test: "test/openai/Wholes.test.ts",
    title: "of an item that no event told"
  },
  {
    id: "C1-sources",
    guarantee: 5,
    breaks: "sources that only an end says are delivered then, each once",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "(isWhole ? 0 : (Rows.find(this.delivered, place, lane)?.[3] ?? 0))",
    replace: "(isWhole ? 0 : 0)",
    test: "test/openai/Wholes.test.ts"
  },
  {
    id: "C2-place-believed",
    guarantee: 5,
    breaks: "a place is believed only if what it holds agrees with what was delivered",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "=> agreesByPlace(delivered, whole, isExact) && (isExact || !bringsSingles(delivered, whole)) ?",
    replace: "=> delivered !== undefined ?",
    test: "test/openai/Wholes.test.ts",
    title: "if it keeps an earlier item to itself"
  },
  {
    id: "C2-never-by-order",
    guarantee: 5,
    breaks: "a response that keeps an item to itself is matched by the order of what it shows",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "(byPlace(delivered, items, true) ?? byOrder(delivered, items) ?? byPlace(delivered, items, false))",
    replace: "(byPlace(delivered, items, true) ?? byPlace(delivered, items, false))",
    test: "test/openai/Wholes.test.ts",
    title: "if it keeps an earlier item to itself"
  },
  {
    id: "C2-text-twice",
    guarantee: 5,
    breaks: "what was finished is not told again by a response that is matched by order",
    edits: [
      { file: "packages/core/src/internal/follow/whole.ts", find: "if (old.has(lane)) return []", replace: "" },
      { file: "packages/core/src/internal/follow/whole.ts", find: "if (collides) return undefined", replace: "" },
      {
        file: "packages/core/src/internal/follow/telling.ts",
        find: 'if (lane.kind === "unread" || Rows.isLaneFinished(this.delivered, place, lane.lane)) return',
        replace: 'if (lane.kind === "unread") return'
      }
    ],
    test: "test/openai/Wholes.test.ts",
    title: "what is finished is not told again"
  },
  {
    id: "C2-sum",
    guarantee: 5,
    breaks: "of what is finished, a response matched by order shows the same",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "return sumOf(false) === textSum && (!withReasoning || sumOf(true) === reasoningSum) ? count : undefined",
    replace: "return count",
    test: "test/openai/Wholes.test.ts",
    title: "if a finished text is another"
  },
  {
    id: "C2-unread",
    guarantee: 5,
    breaks: "an item that cannot be read contradicts nothing",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "if (own.some(isUnread)) return true",
    replace: "",
    test: "test/openai/Wholes.test.ts",
    title: "an item that cannot be read contradicts nothing"
  },
  {
    id: "C2-shows-less",
    guarantee: 5,
    breaks: "a poll that shows nothing of what was delivered is RunDiverged",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "const isMissing = isUnknown ? !seen : shows || !seen",
    replace: "const isMissing = isUnknown ? !seen : shows",
    test: "test/openai/Wholes.test.ts",
    title: "a look may not"
  },
  {
    id: "C2-seen",
    guarantee: 5,
    breaks: "a stream that was read whole may end without output",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "const isMissing = isUnknown ? !seen : shows || !seen",
    replace: "const isMissing = true",
    test: "test/openai/Wholes.test.ts",
    title: "a look may not"
  },
  {
    id: "C5",
    guarantee: 5,
    breaks: "Agent.run answers with what was delivered if the end shows nothing",
    file: "packages/core/src/internal/verbs/complete.ts",
    find: "const shown = ended.shows ? snapshot :",
    replace: "const shown = ended.shows || isFromStart ? snapshot :",
    test: "test/openai/Wholes.test.ts",
    title: "Agent.run answers with what was delivered"
  },
  {
    id: "C5-look",
    guarantee: 5,
    breaks: "who did not deliver all of a response looks at it if its end shows nothing",
    file: "packages/core/src/internal/follow/follower.ts",
    find: "ending.shows || reader.isFromStart ? Effect.succeed(ending.snapshot) : this.lookAgain()",
    replace: "Effect.succeed(ending.snapshot)",
    test: "test/openai/Wholes.test.ts",
    title: "are shown by a look to who did not deliver them"
  },
  {
    id: "C6-start",
    guarantee: 5,
    breaks: "a text that nothing began begins with its first delta",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "this.tell(startOf(this.idOf(place, lane), kind, begun), opened)",
    replace: "this.set(opened)",
    test: "test/openai/PositionRules.test.ts",
    title: "though no event told either"
  },
  {
    id: "C6-end",
    guarantee: 5,
    breaks: "what is open when its response ends, ends with it",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "for (const place of Rows.unfinished(telling.delivered)) telling.close(place)",
    replace: "",
    test: "test/openai/PositionRules.test.ts",
    title: "and what is open ends with its response"
  },
  {
    id: "C6-item-end",
    guarantee: 5,
    breaks: "what an item's end does not show ends with it",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "for (const [of, lane] of this.delivered.open) if (of === place) this.end(place, lane)",
    replace: "",
    test: "test/openai/PositionRules.test.ts",
    title: "and what an item's end does not show ends with it"
  },
  {
    id: "C7-finished",
    guarantee: 5,
    breaks: "an index leads to another item once its own is finished",
    file: "packages/core/src/internal/follow/place.ts",
    find: "if (Rows.isFinished(delivered, place)) return true",
    replace: "",
    test: "test/openai/PositionRules.test.ts",
    title: "an index goes on with another item"
  },
  {
    id: "C7-taken",
    guarantee: 5,
    breaks: "the place that an index took over is not another index's",
    file: "packages/core/src/internal/follow/place.ts",
    find: "if (delivered.at.some(([from, to]) => to === place && from !== index)) return true",
    replace: "",
    test: "test/openai/PositionRules.test.ts",
    title: "and the place that it took is not another index's"
  },
  {
    id: "C7-added-twice",
    guarantee: 5,
    breaks: "an item that is added under the index of another is a new one",
    file: "packages/core/src/internal/follow/place.ts",
    find: 'if (statement._tag === "ItemAdded") return Rows.hasLanes(delivered, place)',
    replace: 'if (statement._tag === "ItemAdded") return false',
    test: "test/openai/PositionRules.test.ts",
    title: "an item is added once"
  },
  {
    id: "C7-other-kind",
    guarantee: 5,
    breaks: "a text of another kind is another item's",
    file: "packages/core/src/internal/follow/place.ts",
    find: "return known !== undefined && text !== undefined && known[2] !== text.kind",
    replace: "return false",
    test: "test/openai/PositionRules.test.ts",
    title: "a text of another kind is another item's"
  },
  {
    id: "C7-late-end",
    guarantee: 5,
    breaks: "a late end of a finished item says nothing",
    file: "packages/core/src/internal/follow/place.ts",
    find: "if (isEnd(statement) && Rows.isFinished(delivered, place)) return undefined",
    replace: "",
    test: "test/openai/PositionRules.test.ts",
    title: "a late end of a finished item says nothing"
  },
  {
    id: "C7-id",
    guarantee: 5,
    breaks: "without an index the id leads to its item",
    file: "packages/core/src/internal/follow/place.ts",
    find: "if (known !== undefined) return { place: known[0], delivered }",
    replace: "",
    test: "test/openai/PositionRules.test.ts",
    title: "without an index the id leads to it"
  },
  {
    id: "C7-last",
    guarantee: 5,
    breaks: "without an index, an id that nobody knows is the last unfinished item's",
    file: "packages/core/src/internal/follow/place.ts",
    find: "if (last !== undefined) return { place: last, delivered }",
    replace: "",
    test: "test/openai/PositionRules.test.ts",
    title: "an id that nobody knows"
  },
  {
    id: "C8",
    guarantee: 5,
    breaks: "a response that failed or was cancelled has a finish, by a stream as by a poll",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "if (finish !== undefined) telling.tell(finish, telling.delivered)",
    replace: 'if (finish !== undefined && snapshot.status === "completed") telling.tell(finish, telling.delivered)',
    test: "test/openai/Wholes.test.ts",
    title: "C8: an end is told the same by a stream and by a look"
  },
  {
    id: "C8-calls",
    guarantee: 5,
    breaks: "a response with calls finishes for them",
    file: "packages/core/src/internal/follow/reader.ts",
    find: 'if (!calls || finish?.reason !== "stop") return finish',
    replace: "if (!calls || finish !== undefined) return finish",
    test: "test/openai/Wholes.test.ts",
    title: "a call that was delivered makes the finish say so"
  },
  {
    id: "C13",
    guarantee: 5,
    breaks: "half of a character waits for its other half",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "return isHigh(last) ? [text.slice(0, -1), last] : [text, 0]",
    replace: "return last < 0 ? [text.slice(0, -1), last] : [text, 0]",
    test: "test/openai/PositionRules.test.ts",
    title: "its first half waits for the second"
  },
  {
    id: "C13-open",
    guarantee: 5,
    breaks: "half of a character waits for its other half, also if its text is open",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "if (delta.length === 0 || !delta.isWellFormed()) return false",
    replace: "if (delta.length === 0) return false",
    test: "test/openai/PositionRules.test.ts",
    title: "also if the text is open already"
  },
  {
    id: "C13-forgotten",
    guarantee: 5,
    breaks: "half of a character whose other half does not come is replaced",
    file: "packages/core/src/internal/follow/position.ts",
    find: "if (growing === undefined || growing[5] !== 0) return undefined",
    replace: "if (growing === undefined) return undefined",
    test: "test/openai/PositionRules.test.ts",
    title: "a first half without a second is replaced"
  },
  {
    id: "C13-end",
    guarantee: 5,
    breaks: "half of a character at the end of a text is replaced",
    file: "packages/core/src/internal/follow/telling.ts",
    find: 'if (known[5] !== 0) this.more(place, lane, known[2], "\\ufffd", 0)',
    replace: "",
    test: "test/openai/PositionRules.test.ts",
    title: "no second half comes"
  },
  {
    id: "C13-look",
    guarantee: 5,
    breaks: "a look at a text that goes on keeps half of a character back",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "const [whole, half] = isOver ? [lane.text, 0] : withoutHalf(lane.text)",
    replace: "const [whole, half] = [lane.text, 0]",
    test: "test/openai/Wholes.test.ts",
    title: "keeps half a character back"
  }
] satisfies ReadonlyArray<Mutant>
