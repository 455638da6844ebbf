import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "refused-replay-asked-again",
    guarantee: 5,
    breaks: "a run whose replay is refused is polled to its end",
    file: "packages/core/src/internal/follow.ts",
    find: 'case "ReplayUnavailable": mode = "poll" return next',
    replace: 'case "ReplayUnavailable": return deliver(cursor.expire())',
    test: "test/core/Attachment.test.ts",
    title: "falls back to polling where the replay is refused, and polls on the policy's schedule"
  },
  {
    id: "snapshot-delivered-whole",
    guarantee: 5,
    breaks: "of a snapshot exactly what is missing is delivered",
    file: "packages/core/src/internal/cursor.ts",
    find: "Delivered.rest(snapshot.lanes, position.delivered)",
    replace: "Delivered.rest(snapshot.lanes, { items: [], lanes: [], open: [], overflow: false })",
    test: "test/core/Attachment.test.ts",
    title: "falls back to polling where the replay is refused, and polls on the policy's schedule"
  },
  {
    id: "hash-not-compared",
    guarantee: 5,
    breaks: "a snapshot that does not begin with what was delivered is RunDiverged",
    file: "packages/core/src/internal/delivered.ts",
    find: "|| fold(emptyHash, text.slice(0, count)) !== hash",
    replace: "",
    test: "test/core/Prefix.test.ts",
    title: "a snapshot that contradicts what was delivered is RunDiverged"
  },
  {
    id: "sandbox-off-schema",
    guarantee: 5,
    breaks: "the sandbox answers as the published schema says",
    file: "packages/testing/src/internal/sandbox/responseObject.ts",
    find: 'parallel_tool_calls: body["parallel_tool_calls"] ?? true,',
    replace: "",
    test: "test/testing/OpenApi.test.ts",
    title: "answers as the schemas generated from it say but for what is named here"
  },
  {
    id: "end-of-text-not-compared",
    guarantee: 5,
    breaks: "a text whose end differs from what was delivered is RunDiverged",
    file: "packages/core/src/internal/cursor.ts",
    find: "if (part?.whole !== undefined) divergence = Delivered.contradiction(position.delivered, part)",
    replace: "",
    test: "test/core/Order.test.ts",
    title: "deliver each text as it is, or fail as RunDiverged"
  },
  {
    id: "end-of-item-not-compared",
    guarantee: 5,
    breaks: "an item whose end differs from what was delivered is RunDiverged",
    file: "packages/core/src/internal/cursor.ts",
    find: "const whole = event.lanes ?? (isWhole(status) ? event.terminal?.lanes : undefined)",
    replace: "const whole = isWhole(status) ? event.terminal?.lanes : undefined",
    test: "test/openai/Fallback.test.ts",
    title: "never came: told at its part's end"
  },
  {
    id: "end-of-response-not-compared",
    guarantee: 5,
    breaks: "a response whose end differs from what was delivered is RunDiverged",
    file: "packages/core/src/internal/cursor.ts",
    find: "const whole = event.lanes ?? (isWhole(status) ? event.terminal?.lanes : undefined)",
    replace: "const whole = event.lanes",
    test: "test/openai/Fallback.test.ts",
    title: "never came: told at its part's end"
  },
  {
    id: "N1",
    guarantee: 5,
    breaks: "what is written is delivered in its pieces: Agent.start opens a stream that can be watched live",
    file: "packages/core/src/internal/verbs/start.ts",
    find: "const streamed = model.capabilities.resume",
    replace: "const streamed = false",
    test: "test/core/Start.test.ts",
    title: "N1: is watched live"
  }
] satisfies ReadonlyArray<Mutant>
