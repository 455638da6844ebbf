import type { Mutant } from "./Mutant.ts"

const writer = "packages/core/src/internal/logged/chunkWriter.ts"
const pull = "packages/core/src/internal/logged/logPull.ts"
const tail = "packages/core/src/internal/watch/tail.ts"
const pump = "packages/core/src/internal/advance/pump.ts"
const advancing = "packages/core/src/internal/advance/advancing.ts"

const schedules = { test: "test/logged/Schedules.test.ts", title: "one story" }

// The engine of logged runs.
export default [
  {
    id: "logged-delivers-first",
    guarantee: 16,
    breaks: "nobody sees an update that is not in the log",
    file: writer,
    find: "const grown = yield* persistently(",
    replace:
      "feed.push({ from, epoch, updates, length: body.length }, ended, true)\nconst grown = yield* persistently(",
    ...schedules
  },
  {
    id: "logged-ends-first",
    guarantee: 16,
    breaks: "the log says that the run has ended before the record does",
    file: "packages/core/src/internal/hold/heldRun.ts",
    find: "if (this.record.logged === true && !this.isLogEnded) return undefined",
    replace: "",
    ...schedules
  },
  {
    id: "logged-update-before-fact",
    guarantee: 16,
    breaks: "the last update of a response is appended after its end is recorded",
    file: advancing,
    find: "return Effect.map(this.flushed, (): Meaning => {",
    replace: "return Effect.map(Effect.void, (): Meaning => {",
    ...schedules
  },
  {
    id: "logged-position-stands-still",
    guarantee: 16,
    breaks: "the next worker goes on after the last update of the log",
    file: writer,
    find: "const position = last === undefined ? this.position : tokenOf(last)",
    replace: "const position = last === undefined ? tokenOf(this.position) : this.position",
    ...schedules
  },
  {
    id: "logged-consumer-skips",
    guarantee: 16,
    breaks: "a consumer begins after the last update that was acknowledged",
    file: pump,
    find: "const place = yield* survives(logged, opened, acknowledged)",
    replace: "yield* survives(logged, opened, acknowledged)\nconst place = { offset: opened.length, epoch: undefined }",
    ...schedules
  },
  {
    id: "logged-delivered-early",
    guarantee: 16,
    breaks: "a run is delivered once its last update was acknowledged",
    file: pump,
    find: "held.position().offset >= feed.length",
    replace: "held.position().offset >= 0",
    test: "test/logged/Ends.test.ts",
    title: "by hand"
  },
  {
    id: "logged-repeats-in-chunk",
    guarantee: 16,
    breaks: "who resumes within a chunk does not get its first updates again",
    file: pull,
    find: "from === this.offset ? updates : updates.slice(this.offset - from)",
    replace: "updates",
    ...schedules
  },
  {
    id: "logged-viewer-not-told",
    guarantee: 16,
    breaks: "a viewer is told if the updates that it saw were written again",
    file: "packages/core/src/internal/logged/reading.ts",
    find: "if (!isSame) return yield* errorOf(rewritten(offset))",
    replace: "",
    test: "test/core/Logged.test.ts",
    title: "tells a viewer that saw the lost ones"
  },
  {
    id: "logged-end-not-verified",
    guarantee: 16,
    breaks: "a viewer is told of the end only if its updates are those before it",
    file: pull,
    find: "const isSame = !feed.ended ||",
    replace: "const isSame = true ||",
    test: "test/logged/Lost.test.ts",
    title: "is told of the end"
  },
  {
    id: "logged-feed-keeps",
    guarantee: 16,
    breaks: "updates that were written again replace those that this process read",
    file: "packages/core/src/internal/logged/feed.ts",
    find: "if (entry.from !== this.length || !follows) this.forget()",
    replace: "",
    test: "test/logged/Lost.test.ts",
    title: "are forgotten"
  },
  {
    id: "logged-tail-trusts",
    guarantee: 16,
    breaks: "viewers are told if another worker's updates do not follow what they saw",
    file: tail,
    find: "onFailure: () => feed.push(entry, ends, false)",
    replace: "onFailure: () => feed.push(entry, ends, true)",
    test: "test/logged/Lost.test.ts",
    title: "are told if it lost"
  },
  {
    id: "logged-stream-skips",
    guarantee: 16,
    breaks: "a stream that takes its run again has no gap",
    file: "packages/core/src/internal/verbs/stream.ts",
    find: "return isBehind ? overtaken : Effect.void",
    replace: "return Effect.void",
    test: "test/logged/Lost.test.ts",
    title: "that went on"
  },
  {
    id: "logged-stream-skips-the-end",
    guarantee: 16,
    breaks: "a stream that takes its run again does not end before the run's last update",
    file: "packages/core/src/internal/verbs/stream.ts",
    find: "if (isAgain && RunState.fold(known.record).delivered) return yield* overtaken",
    replace: "",
    test: "test/logged/Lost.test.ts",
    title: "that ended"
  },
  {
    id: "tail-looks-once",
    guarantee: 16,
    breaks: "a viewer sees what came to the log while it read the record",
    file: tail,
    find: "if (isMore || feed.ended || feed.length !== length) return Effect.as(this.grown.open, false)",
    replace: "",
    test: "test/logged/Ends.test.ts",
    title: "while it read the record"
  },
  {
    id: "tail-ends-well",
    guarantee: 16,
    breaks: "a viewer does not end well if the log lost its end",
    file: tail,
    find: "return Effect.fail(logged.errorOf(reason ?? this.lost()))",
    replace: "return reason === undefined ? Effect.succeed(true) : Effect.fail(logged.errorOf(reason))",
    test: "test/logged/Ends.test.ts",
    title: "lost its end"
  },
  {
    id: "tail-ends-before-the-log",
    guarantee: 16,
    breaks: "a viewer waits for the end of the log",
    file: tail,
    find: "if (!feed.ended && record.lease !== null) return Effect.succeed(false)\nif (!feed.ended && RunState.fold(record).ended === undefined) return Effect.succeed(false)",
    replace: "",
    ...schedules
  },
  {
    id: "logged-chunk-of-two-responses",
    guarantee: 16,
    breaks: "an update belongs to its response",
    file: writer,
    find: "if (update.origin !== origin || update.responseId !== responseId) break",
    replace: "",
    ...schedules
  },
  {
    id: "logged-forgets-what-waits",
    guarantee: 16,
    breaks: "what came before an append was answered is appended next",
    file: writer,
    find: "this.waiting.splice(0, count)",
    replace: "this.waiting = []",
    ...schedules
  },
  {
    id: "tool-log-ends-waiting",
    guarantee: 16,
    breaks: "the log of a run that waits for its caller has not ended",
    file: "packages/core/src/internal/advance/advancing.ts",
    find: "!log.ended() && !this.isWaiting",
    replace: "!log.ended()",
    test: "test/core/ToolsFacts.test.ts",
    title: "has not ended for its viewers"
  },
  {
    id: "tool-preliminary-logged",
    guarantee: 16,
    breaks: "the log has no preliminary results",
    file: "packages/core/src/internal/advance/advancing.ts",
    find: "...(log === undefined ? acting.preliminary(position) : [])",
    replace: "...acting.preliminary(position)",
    test: "test/core/ToolsFacts.test.ts",
    title: "is told by no preliminary result where a run has a log"
  }
] satisfies ReadonlyArray<Mutant>
