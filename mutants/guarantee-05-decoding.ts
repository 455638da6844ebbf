import type { Mutant } from "./Mutant.ts"

const alike = { test: "test/openai/Alike.test.ts", title: "as if each were parsed" }

export default [
  {
    id: "alike-rest-unread",
    guarantee: 5,
    breaks: "an event is not parsed only if everything else in it was in one that was parsed",
    file: "packages/openai/src/internal/alike.ts",
    find: "if (text.slice(at) !== after) return undefined",
    replace: "",
    ...alike
  },
  {
    id: "alike-escapes-kept",
    guarantee: 5,
    breaks: "a text is what its JSON says",
    file: "packages/openai/src/internal/alike.ts",
    find: "if (code < space || code === backslash) return false",
    replace: "if (code < space) return false",
    ...alike
  },
  {
    id: "alike-control-characters",
    guarantee: 5,
    breaks: "an event that is not JSON is damaged",
    file: "packages/openai/src/internal/alike.ts",
    find: "if (code < space || code === backslash) return false",
    replace: "if (code === backslash) return false",
    ...alike
  },
  {
    id: "alike-numbers",
    guarantee: 5,
    breaks: "an event has the number that its JSON says",
    file: "packages/openai/src/internal/alike.ts",
    find: "&& (text.charCodeAt(from) !== zero || at === from + 1)",
    replace: "",
    ...alike
  },
  {
    id: "alike-nested",
    guarantee: 5,
    breaks: "a text is that of the event, and not that of something in it",
    file: "packages/openai/src/internal/alike.ts",
    find: "if (at === -1 || text.includes(key, at + 1)) return undefined",
    replace: "if (at === -1) return undefined",
    test: "test/openai/Alike.test.ts",
    title: "are not taken for what is in them"
  },
  {
    id: "sse-part-cut",
    guarantee: 5,
    breaks: "a long read is decoded in parts of whole lines",
    file: "packages/openai/src/internal/sse.ts",
    find: "return feed === -1 || feed >= end ? end : feed + 1",
    replace: "return feed === -1 || feed >= end ? end : from + mostBytes",
    test: "test/openai/Alike.test.ts",
    title: "is the same in one read"
  },
  {
    id: "C1-decoded",
    guarantee: 5,
    breaks: "the end of a text says what it was",
    file: "packages/openai/src/internal/events.ts",
    find: 'return textEnded(raw, raw["text"], false)',
    replace: "return withStatements(raw, none)",
    test: "test/openai/EventTypes.test.ts"
  },
  {
    id: "C3-status",
    guarantee: 5,
    breaks: "a response of an unknown status is over if its other fields say so",
    file: "packages/openai/src/internal/snapshot.ts",
    find: "isStatus(status) ? status : evident(response)",
    replace: 'isStatus(status) ? status : "in_progress"',
    test: "test/openai/Snapshot.test.ts"
  },
  {
    id: "C3-count",
    guarantee: 5,
    breaks: "a count that is no whole number is none, and takes nothing else with it",
    file: "packages/openai/src/internal/fields.ts",
    find: "Number.isSafeInteger(value) && value >= 0 ? value",
    replace: "value >= 0 ? value",
    test: "test/openai/Snapshot.test.ts"
  },
  {
    id: "C3-terminal",
    guarantee: 5,
    breaks: "a terminal event ends its response, whatever status that has",
    file: "packages/openai/src/internal/snapshot.ts",
    find: "isStatus(own) && isOver(own) ? own : named",
    replace: "isStatus(own) ? own : named",
    test: "test/openai/EventTypes.test.ts"
  },
  {
    id: "C4",
    guarantee: 5,
    breaks: "an image that is a data URL is read",
    file: "packages/openai/src/internal/providerCalls.ts",
    find: "result.slice(head?.[0].length ?? 0)",
    replace: "result",
    test: "test/openai/Snapshot.test.ts"
  },
  {
    id: "C7-decoded",
    guarantee: 5,
    breaks: "a delta without an index is placed by its item's id",
    file: "packages/openai/src/internal/events.ts",
    find: 'const itemId = index === undefined ? textOf(raw["item_id"]) : undefined',
    replace: "const itemId = undefined",
    test: "test/openai/EventTypes.test.ts"
  },
  {
    id: "C9",
    guarantee: 5,
    breaks: "a response that waits for its caller says so",
    file: "packages/openai/src/internal/waiting.ts",
    find: '"mcp_approval_request",',
    replace: "",
    test: "test/openai/Decode.test.ts"
  },
  {
    id: "C10",
    guarantee: 5,
    breaks: "a call that was cut short is none",
    file: "packages/openai/src/internal/itemEnd.ts",
    find: 'isMissing(status) ? seen === "at its end" || seen === "over" :',
    replace: "isMissing(status) ? true :",
    test: "test/openai/Decode.test.ts"
  },
  {
    id: "C11-sealed",
    guarantee: 5,
    breaks: "sealed reasoning is delivered, for the way back",
    file: "packages/openai/src/internal/items.ts",
    find: "...(isFinished(item, seen) ? seal(item) : [])",
    replace: "",
    test: "test/openai/WayBack.test.ts"
  },
  {
    id: "C11-joined",
    guarantee: 5,
    breaks: "the parts of one reasoning item go back as one",
    file: "packages/openai/src/internal/prompt.ts",
    find: 'other.type === "reasoning" && optionsOf(other)["itemId"] === itemId',
    replace: 'other.type === "reasoning" && other === part',
    test: "test/openai/WayBack.test.ts"
  },
  {
    id: "C12-number",
    guarantee: 5,
    breaks: "a sequence number that is no whole number is none",
    file: "packages/openai/src/internal/events.ts",
    find: "Number.isSafeInteger(sequenceNumber) && sequenceNumber >= 0",
    replace: "true",
    test: "test/openai/EventTypes.test.ts"
  },
  {
    id: "C12-index",
    guarantee: 5,
    breaks: "an index that a position cannot hold is none",
    file: "packages/openai/src/internal/lanes.ts",
    find: "value >= 0 && value < second",
    replace: "value >= 0",
    test: "test/openai/EventTypes.test.ts"
  },
  {
    id: "C1-scripted",
    guarantee: 5,
    breaks: "a text without deltas comes whole by its end",
    file: "packages/testing/src/internal/playback.ts",
    find: "say({ statements: ended(step.item, step.text) })",
    replace: 'say({ statements: ended(step.item, "") })',
    test: "test/testing/ScriptedModel.test.ts"
  },
  {
    id: "C5-scripted",
    guarantee: 5,
    breaks: "a script says what its end shows",
    file: "packages/testing/src/ScriptedModel.ts",
    find: "({ ...end, shown })",
    replace: "end",
    test: "test/testing/ScriptedModel.test.ts"
  },
  {
    id: "C8-scripted",
    guarantee: 5,
    breaks: "a scripted response that was cancelled has a finish",
    file: "packages/testing/src/internal/playback.ts",
    find: 'status: "cancelled", finish: finishOf("other") }',
    replace: 'status: "cancelled" }',
    test: "test/testing/ScriptedModel.test.ts"
  },
  {
    id: "moved-call-twice",
    guarantee: 5,
    breaks: "a call whose item is shown at another place does not come twice",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "&& (isExact || !bringsSingles(delivered, whole))",
    replace: "",
    test: "test/openai/Wholes.test.ts",
    title: "a call whose item moved up"
  },
  {
    id: "end-asked-again",
    guarantee: 5,
    breaks: "what cannot be put together ends alike, wherever its end was cut",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "telling.statement++",
    replace: "",
    test: "test/openai/Wholes.test.ts",
    title: "ends alike, wherever its end was cut"
  }
] satisfies ReadonlyArray<Mutant>
