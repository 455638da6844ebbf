import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "other-agents-token",
    guarantee: 11,
    breaks: "a token is bound to its agent",
    file: "packages/core/src/internal/openRun.ts",
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
      { file: "packages/core/src/ContinuationToken.ts", find: "n.toString(36)", replace: "n.toString(2)" },
      {
        file: "packages/core/src/ContinuationToken.ts",
        find: "Number.parseInt(n, 36)",
        replace: "Number.parseInt(n, 2)"
      }
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
    file: "packages/core/src/internal/openRun.ts",
    find: "if (record.agent !== agent.name) {",
    replace: 'if (record.agent === "") {',
    test: "test/core/Troubles.test.ts",
    title: "token of another agent, run or tenant"
  },
  {
    id: "E16",
    guarantee: 11,
    breaks: "with signed tokens in force, a token that is given as an object was made by this process",
    file: "packages/core/src/internal/openRun.ts",
    find: "return (yield* TokenCodec) === plainCodec || isMinted(given) ? given",
    replace: "return (yield* TokenCodec) !== undefined ? given",
    test: "test/core/SignedTokens.test.ts",
    title: "E16: watch refuses"
  }
] satisfies ReadonlyArray<Mutant>
