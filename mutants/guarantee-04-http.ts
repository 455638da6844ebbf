import type { Mutant } from "./Mutant.ts"

const file = "packages/http/src/internal/"
const updates = "test/http/Updates.test.ts"

export default [
  {
    id: "http-no-204",
    guarantee: 4,
    breaks: "a viewer that has all of a run that ended is told that nothing comes any more",
    file: `${file}position.ts`,
    find: "return hasEnded && page.ended && page.length === offset",
    replace: "return page.length < 0",
    test: updates,
    title: "come with ids and headers"
  },
  {
    id: "http-204-early",
    guarantee: 4,
    breaks: "a viewer that has not all of a run gets the rest",
    file: `${file}position.ts`,
    find: "return hasEnded && page.ended && page.length === offset",
    replace: "return hasEnded",
    test: updates,
    title: "the first k"
  },
  {
    id: "http-failure-without-problem",
    guarantee: 4,
    breaks: "the end of a failed run does not look like that of a good one",
    file: `${file}viewer.ts`,
    find: "error === undefined ? {} : { problem: plain(ofReason(error.reason)) }",
    replace: "{}",
    test: updates,
    title: "a failed run ends with a problem"
  },
  {
    id: "http-trouble-ends",
    guarantee: 4,
    breaks: "trouble of the log is no end of a run",
    file: `${file}viewer.ts`,
    find: "return error.isRetryable ?",
    replace: "return !error.isRetryable ?",
    test: "test/http/Viewer.test.ts",
    title: "if the log cannot be read"
  },
  {
    id: "http-no-heartbeat",
    guarantee: 4,
    breaks: "a connection over which nothing is said is kept",
    file: `${file}viewer.ts`,
    find: "now - this.since >= this.viewers.heartbeat",
    replace: "now - this.since >= this.viewers.heartbeat * 1e6",
    test: "test/http/Viewer.test.ts",
    title: "gets comments"
  },
  {
    id: "http-slow-for-ever",
    guarantee: 4,
    breaks: "a viewer that takes nothing is sent away",
    file: `${file}viewer.ts`,
    find: "quiet >= this.viewers.timeout && this.mode",
    replace: "quiet >= this.viewers.timeout * 1e6 && this.mode",
    test: "test/http/Viewer.test.ts",
    title: "is sent away with the id"
  },
  {
    id: "http-never-cut-off",
    guarantee: 4,
    breaks: "a viewer that takes not even its last event leaves its place",
    file: `${file}viewer.ts`,
    find: "this.reader?.interruptUnsafe()",
    replace: "void this.reader",
    test: "test/http/Viewer.test.ts",
    title: "is cut off"
  },
  {
    id: "http-stops-without-word",
    guarantee: 4,
    breaks: "a server that stops tells its viewers to come again",
    file: "packages/http/src/RunViewers.ts",
    find: "for (const viewer of viewers) viewer.dismiss()",
    replace: "",
    test: "test/http/Definition.test.ts",
    title: "a handler of requests"
  },
  {
    id: "http-stops-late",
    guarantee: 4,
    breaks: "viewers are sent away before a server waits for its connections",
    file: "packages/http/src/RunViewers.ts",
    find: "Layer.effectDiscard(Effect.flatMap(RunViewers, ({ close }) => Effect.addFinalizer(() => close)))",
    replace: "Layer.empty",
    test: "test/http/Viewers.test.ts",
    title: "a server that stops"
  },
  {
    id: "http-retry-for-all",
    guarantee: 4,
    breaks: "clients that take `retry:` for an error do not get it",
    file: `${file}updates.ts`,
    find: 'readsRetry: request.headers["accept"]?.includes("text/event-stream") === true',
    replace: "readsRetry: request.url !== undefined",
    test: "test/http/Viewers.test.ts",
    title: "a server that stops"
  },
  {
    id: "http-unlogged-served",
    guarantee: 4,
    breaks: "updates without ids are not served",
    file: `${file}position.ts`,
    find: "if (record.logged !== true) return yield* new RunNotLogged()",
    replace: "",
    test: updates,
    title: "refused before the first byte"
  },
  {
    id: "http-truncated-served",
    guarantee: 4,
    breaks: "a viewer whose updates were removed is told so before the first byte",
    file: `${file}position.ts`,
    find: "if (first > offset) return yield* new RunTruncated({ first })",
    replace: "",
    test: updates,
    title: "refused before the first byte"
  },
  {
    id: "http-webhook-not-repeated",
    guarantee: 4,
    breaks: "an event of a webhook that could not be handled is sent again",
    file: "packages/http/src/RunWebhook.ts",
    find: "return error.isRetryable ?",
    replace: "return !error.isRetryable ?",
    test: "test/http/Webhook.test.ts"
  }
] as const satisfies ReadonlyArray<Mutant>
