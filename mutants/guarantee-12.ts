import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "looks-pile-up",
    guarantee: 12,
    breaks: "memory is flat, however long a run is polled",
    file: "packages/core/src/internal/follow/follower.ts",
    find: "return Effect.flatMap(this.poll.next(), (looked) => this.seen(looked))",
    replace:
      "return guarded(this.following, Effect.flatMap(this.poll.next(), (looked) => Effect.flatMap(this.seen(looked), (batch) => batch.length === 0 ? this.step() : Effect.succeed(batch))))",
    test: "test/core/Flat.test.ts",
    title: "holds no more fibers after thousands of looks than after one"
  },
  {
    id: "updates-kept",
    guarantee: 12,
    breaks: "memory is flat, however long a run is streamed",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "return { updates, progressed, doubted: false }",
    replace:
      ";((globalThis as { kept?: Array<unknown> }).kept ??= []).push(...updates); return { updates, progressed, doubted: false }",
    test: "test/openai/Flat.test.ts"
  },
  {
    id: "E17-manual",
    guarantee: 12,
    breaks: "acknowledgements after the end that come together take one lease",
    file: "packages/core/src/internal/hold/acknowledge.ts",
    find: "if (update === undefined || update === written) return Effect.void",
    replace: "if (update === undefined) return Effect.void",
    test: "test/core/Manual.test.ts",
    title: "E17: acknowledgements after the end that come together take one lease"
  },
  {
    id: "E17-journal",
    guarantee: 12,
    breaks: "a journal does not grow for ever with refused requests",
    file: "packages/core/src/RunEngine.ts",
    find: "if (refusal?.final === true || tries >= maxTries) {",
    replace: "if (refusal?.final === true) {",
    test: "test/core/JournalLength.test.ts",
    title: "E17: does not grow for ever with requests that are refused for now"
  },
  {
    id: "E17-log",
    guarantee: 12,
    breaks: "a store that is away costs a line for each run, and not one for each failure",
    file: "packages/core/src/internal/telemetry/trouble.ts",
    find: "if (this.current !== undefined) return Effect.void",
    replace: "",
    test: "test/core/StoreRefusals.test.ts",
    title: "E17: for 3 s log a line each"
  },
  {
    id: "S4-bounded",
    guarantee: 12,
    breaks: "what is read ahead has a bound",
    file: "packages/openai/src/internal/readAhead.ts",
    find: "over || bytes >= most) return",
    replace: "over || bytes >= most * 4) return",
    test: "test/openai/SlowConsumer.test.ts"
  },
  {
    id: "E17-frames",
    guarantee: 12,
    breaks: "a reconnect that brought nothing leaves nothing behind",
    file: "packages/core/src/internal/follow/follower.ts",
    find: "if (batch.length === 0) return this.next",
    replace: "if (batch.length === 0) return Effect.map(this.next, (next) => next)",
    test: "test/core/Replays.test.ts",
    title: "E17: or nothing at all, ten thousand times over"
  },
  {
    id: "P4-pace",
    guarantee: 12,
    breaks: "a run that may take hours is polled at a pace that fits them",
    file: "packages/core/src/internal/follow/poll.ts",
    find: "window === undefined ? Duration.zero : Backoff.paceOf(window)",
    replace: "Duration.zero",
    test: "test/core/Deadlines.test.ts",
    title: "P4: stream opens it unstreamed"
  },
  {
    id: "P4-result",
    guarantee: 12,
    breaks: "who waits for the result of a run that may take hours looks at a pace that fits them",
    file: "packages/core/src/internal/watch/lookAtRun.ts",
    find: "const slowest = window === undefined ? Duration.zero : Backoff.paceOf(window)",
    replace: "const slowest = Duration.zero",
    test: "test/core/Deadlines.test.ts",
    title: "P4: start, then result"
  },
  {
    id: "deadline-stays",
    guarantee: 12,
    breaks: "what is left leaves no deadline behind",
    file: "packages/core/src/internal/primitives/deadlines.ts",
    find: "if (this.heap.length === 0) this.disarm()",
    replace: "",
    test: "test/openai/Waiting.test.ts",
    title: "leaves no timer behind"
  },
  {
    id: "left-fiber",
    guarantee: 12,
    breaks: "a run that is left between two reads leaves no fiber behind",
    file: "packages/core/src/internal/follow/attachment.ts",
    find: "this.fiber?.interruptUnsafe()",
    replace: "",
    test: "test/core/Flat.test.ts",
    title: "leaves no fiber behind when it is left"
  }
] satisfies ReadonlyArray<Mutant>
