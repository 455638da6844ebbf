import type { Mutant } from "./Mutant.ts"

const file = "packages/http/src/internal/"
const tokens = "test/http/Tokens.test.ts"
const runs = "test/http/Runs.test.ts"

export default [
  {
    id: "http-other-runs-token",
    guarantee: 11,
    breaks: "a token of another run is refused",
    file: `${file}position.ts`,
    find: "token.runId !== record.runId || token.agent !== record.agent",
    replace: 'token.agent === ""',
    test: tokens,
    title: "of another run"
  },
  {
    id: "http-outdated-token",
    guarantee: 11,
    breaks: "a token of a removed run with the same id is refused",
    file: `${file}position.ts`,
    find: "token.incarnation !== RunState.fold(record).incarnation",
    replace: "token.incarnation < 0",
    test: tokens,
    title: "of another run"
  },
  {
    id: "http-token-is-key",
    guarantee: 11,
    breaks: "a token is no credential",
    file: `${file}known.ts`,
    find: 'action !== "read" && !(yield* may(action, subjectOf(record)))',
    replace: 'action === "start"',
    test: tokens,
    title: "no credential"
  },
  {
    id: "http-no-key",
    guarantee: 11,
    breaks: "a server does not start without a key for its tokens",
    file: "packages/http/src/RunsServer.ts",
    find: "isPlain && options.unsignedTokens !== true",
    replace: "isPlain && options.unsignedTokens === false",
    test: runs,
    title: "does not start without a key"
  },
  {
    id: "http-anybody-reads",
    guarantee: 11,
    breaks: "a run that a caller may not read is not there",
    file: `${file}known.ts`,
    find: "agent === undefined || !(yield* mayRead(served, record))",
    replace: "agent === undefined",
    test: runs,
    title: "answered as one that is not there"
  },
  {
    id: "http-other-agents-runs",
    guarantee: 11,
    breaks: "only runs of the served agents are there",
    file: `${file}known.ts`,
    find: 'served.agents.has(record.agent) ? may("read", subjectOf(record)) : Effect.succeed(false)',
    replace: 'may("read", subjectOf(record))',
    test: runs,
    title: "names no run of others"
  },
  {
    id: "http-forbidden-cancel",
    guarantee: 11,
    breaks: "a caller does only what it may",
    file: `${file}result.ts`,
    find: 'find(served, runId, "cancel")',
    replace: 'find(served, runId, "read")',
    test: runs,
    title: "is told what else it may not do"
  },
  {
    id: "http-anybody-starts",
    guarantee: 11,
    breaks: "only those start runs that may",
    file: `${file}start.ts`,
    find: 'if (!(yield* may("start", { agent: task.agent, labels, ...named }))) return yield* new Forbidden()',
    replace: "",
    test: runs,
    title: "is told what else it may not do"
  },
  {
    id: "http-labels-forged",
    guarantee: 11,
    breaks: "a client does not replace the labels by which access is decided",
    file: `${file}start.ts`,
    find: "{ ...task.labels, ...access.labels(caller) }",
    replace: "{ ...access.labels(caller), ...task.labels }",
    test: runs,
    title: "labels that a client cannot replace"
  },
  {
    id: "http-key-tells-whose",
    guarantee: 11,
    breaks: "a key that is in use does not lead into the run of another caller",
    edits: [
      { file: `${file}start.ts`, find: 'found._tag === "Some" && !(', replace: 'found._tag === "None" && !(' },
      {
        file: `${file}start.ts`,
        find: "if (!(yield* mayRead(served, record))) return yield* new RunConflict()",
        replace: ""
      }
    ],
    test: runs,
    title: "once for each Idempotency-Key"
  },
  {
    id: "http-list-shows-all",
    guarantee: 11,
    breaks: "a listing shows only what the caller may read",
    file: `${file}list.ts`,
    find: "if (!(yield* mayRead(served, record))) continue",
    replace: "",
    test: runs,
    title: "names no run of others"
  },
  {
    id: "http-cursor-tells",
    guarantee: 11,
    breaks: "a cursor names no run of others",
    file: `${file}list.ts`,
    find: "last = { cursor, size: i + 1 }",
    replace: "last = { cursor, size: i + 2 }",
    test: runs,
    title: "names no run of others"
  },
  {
    id: "http-error-tells",
    guarantee: 11,
    breaks: "a problem tells nothing of the provider",
    file: `${file}problems.ts`,
    find: 'RunFailed: () => new Problem.RunFailed({ detail: "The provider ended the run as failed." })',
    replace: "RunFailed: (reason) => new Problem.RunFailed({ detail: reason.message })",
    test: runs,
    title: "tells nothing of the provider"
  },
  {
    id: "http-metadata-sent",
    guarantee: 11,
    breaks: "what the provider says about itself is not sent",
    file: `${file}frames.ts`,
    find: 'own(part, ["metadata", "response"])',
    replace: "own(part, [])",
    test: "test/http/Killed.test.ts"
  },
  {
    id: "http-body-unlimited",
    guarantee: 11,
    breaks: "a body that is too large is refused before it is read",
    file: `${file}middleware.ts`,
    find: 'Number(headers["content-length"]) > limit',
    replace: 'Number(headers["content-length"]) > limit * 16',
    test: runs,
    title: "refuses what it cannot start"
  },
  {
    id: "http-session-unsealed",
    guarantee: 11,
    breaks: "a session that a client makes is not accepted",
    file: `${file}sealed.ts`,
    find: "const payload = yield* codec.open(text).pipe(Effect.mapError(({ kind }) => new TokenRefused({ kind, detail: what })))",
    replace: "const payload = text.split('.').length > 3 ? text.split('.').slice(3, 5).join('.') : text; void codec",
    test: runs,
    title: "only this service gives and takes"
  },
  {
    id: "http-authentication-late",
    guarantee: 11,
    breaks: "nothing is done for a request without a caller",
    file: `${file}middleware.ts`,
    find: "if (Option.isNone(caller)) {",
    replace: 'if (challenge === "" && Option.isNone(caller)) {',
    test: runs,
    title: "nobody without credentials"
  },
  {
    id: "http-kept-by-caches",
    guarantee: 11,
    breaks: "no cache keeps an answer for another caller",
    file: `${file}middleware.ts`,
    find: 'yield* header("cache-control", "no-store")',
    replace: "",
    test: "test/http/Updates.test.ts",
    title: "come with ids and headers"
  }
] as const satisfies ReadonlyArray<Mutant>
