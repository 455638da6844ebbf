import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "other-agents-token",
    guarantee: 11,
    breaks: "a token is bound to its agent",
    file: "packages/core/src/internal/run/openRun.ts",
    find: "token.agent === agent.name",
    replace: 'token.agent !== ""',
    test: "test/core/Token.test.ts",
    title: "is bound to its agent, its run, its incarnation and its store"
  },
  {
    id: "token-grows",
    guarantee: 11,
    breaks: "a token has at most a kilobyte, whatever the run's length",
    edits: [
      {
        file: "packages/core/src/internal/token/tokenRows.ts",
        find: "row.map((n) => n.toString(36))",
        replace: "row.map((n) => n.toString(2))"
      },
      {
        file: "packages/core/src/internal/token/tokenRows.ts",
        find: "/^[0-9a-z]{1,11}$/",
        replace: "/^[0-9a-z]{1,64}$/"
      },
      {
        file: "packages/core/src/internal/token/tokenRows.ts",
        find: "Number.parseInt(n, 36)",
        replace: "Number.parseInt(n, 2)"
      },
      { file: "packages/core/src/internal/token/tokenRows.ts", find: "next.toString(36)", replace: "next.toString(2)" }
    ],
    test: "test/core/Token.test.ts",
    title: "encodes in at most a kilobyte, and reads back the same from text, bytes and JSON"
  },
  {
    id: "damaged-token-accepted",
    guarantee: 11,
    breaks: "a text that is no token is TokenInvalid",
    file: "packages/core/src/ContinuationToken.ts",
    find: "/^b\\d+\\./.test(payload)",
    replace: "/^b1\\./.test(payload)",
    test: "test/core/Token.test.ts",
    title: "refuses what is no token, with a reason each"
  },
  {
    id: "forged-name-opens",
    guarantee: 11,
    breaks: "a token that names another agent does not open the run",
    file: "packages/core/src/internal/run/openRun.ts",
    find: "if (record.agent !== agent.name) {",
    replace: 'if (record.agent === "") {',
    test: "test/core/Troubles.test.ts",
    title: "token of another agent, run or tenant"
  },
  {
    id: "E16",
    guarantee: 11,
    breaks: "with signed tokens in force, a token that is given as an object was made by this process",
    file: "packages/core/src/internal/run/openRun.ts",
    find: "return (yield* TokenCodec) === plainCodec || isMinted(given) ? given",
    replace: "return (yield* TokenCodec) !== undefined ? given",
    test: "test/core/SignedTokens.test.ts",
    title: "E16: watch refuses"
  },
  {
    id: "rows-not-merged",
    guarantee: 11,
    breaks: "finished items that are neighbours become one row, in whatever order they finish",
    file: "packages/core/src/internal/follow/rows.ts",
    find: ".toSorted((a, b) => a[0] - b[0]) .reduce<Array<Range>>",
    replace: ".reduce<Array<Range>>",
    test: "test/openai/PositionRules.test.ts",
    title: "is one row for neighbours"
  },
  {
    id: "overflow-not-noticed",
    guarantee: 11,
    breaks: "what has no room in a token is dropped",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "TokenRows.lengthOf(delivered) <= this.room",
    replace: "TokenRows.lengthOf(delivered) > 0",
    test: "test/core/Updates.test.ts",
    title: "is bounded"
  },
  {
    id: "longer-token",
    guarantee: 11,
    breaks: "a token has at most a kilobyte",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "const longestToken = 940",
    replace: "const longestToken = 1940",
    test: "test/core/Updates.test.ts",
    title: "is bounded"
  },
  {
    id: "response-not-named",
    guarantee: 11,
    breaks: "a token names its response",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "if (sizeOf(responseId) > longestResponseId || this.position.head.responseId === responseId) return",
    replace: 'if (responseId !== "") return',
    test: "test/openai/PositionRules.test.ts",
    title: "its response's id, if that is not too long"
  },
  {
    id: "long-response-id",
    guarantee: 11,
    breaks: "a response's id that is too long is left out of the token",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "if (sizeOf(responseId) > longestResponseId || this.position.head.responseId === responseId) return",
    replace: "if (this.position.head.responseId === responseId) return",
    test: "test/openai/PositionRules.test.ts",
    title: "its response's id, if that is not too long"
  }
] satisfies ReadonlyArray<Mutant>
