import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "skip-forgotten",
    guarantee: 1,
    breaks: "the position says which parts of an event were delivered",
    file: "packages/core/src/internal/cursor.ts",
    find: "? position.skip : 0",
    replace: "? 0 : 0",
    test: "test/core/Attachment.test.ts",
    title: "in the middle of an event of several parts goes on with the part after"
  },
  {
    id: "duplicates-delivered",
    guarantee: 1,
    breaks: "an event that comes again is not delivered again",
    file: "packages/core/src/internal/cursor.ts",
    find: "if (number < position.sequenceNumber || (number === position.sequenceNumber && from === 0))",
    replace: "if (number < 0)",
    test: "test/core/Attachment.test.ts",
    title: "whose events come twice, and once more, delivers each once"
  },
  {
    id: "half-event-not-asked-for",
    guarantee: 1,
    breaks: "an event that was delivered in part is asked for again",
    file: "packages/core/src/internal/cursor.ts",
    find: "return skip > 0 ? sequenceNumber - 1",
    replace: "return skip > 1e9 ? sequenceNumber - 1",
    test: "test/core/Attachment.test.ts",
    title: "in the middle of an event of several parts goes on with the part after"
  },
  {
    id: "early-token-rewinds",
    guarantee: 1,
    breaks: "an early token is a view, and takes nothing back",
    file: "packages/core/src/internal/hold/checkpointer.ts",
    find: "|| !Delivered.reaches(next, token)",
    replace: "",
    test: "test/core/Prefix.test.ts",
    title: "an early token is a view: it reads again, and never takes the stored position back"
  },
  {
    id: "overtaken-event-dropped",
    guarantee: 1,
    breaks: "an event that comes after a later one is not lost silently",
    file: "packages/core/src/internal/cursor.ts",
    find: "lowest <= number && number <= highest",
    replace: "lowest > number && number > highest",
    test: "test/core/Order.test.ts",
    title: "lose no event at all while neighbours are swapped"
  },
  {
    id: "replay-not-ordered",
    guarantee: 1,
    breaks: "a replay out of order is put in order if it comes in one read",
    file: "packages/core/src/internal/cursor.ts",
    find: 'origin === "replay" ? inOrder(events)',
    replace: 'origin === "live" ? inOrder(events)',
    test: "test/core/Order.test.ts",
    title: "are put in order where they come in one read"
  },
  {
    id: "end-overtakes",
    guarantee: 1,
    breaks: "what the end of a replay overtook is not lost",
    file: "packages/core/src/internal/cursor.ts",
    find: "event.terminal !== undefined && !doubted",
    replace: "event.terminal !== undefined && doubted",
    test: "test/core/Order.test.ts",
    title: "what the end overtook is not lost"
  },
  {
    id: "gap-not-asked-for",
    guarantee: 1,
    breaks: "what was left out right before a cut is asked for again",
    file: "packages/core/src/internal/cursor.ts",
    find: "gap[1] === sequenceNumber - 1",
    replace: "gap[1] === sequenceNumber",
    test: "test/core/Order.test.ts",
    title: "an event that was overtaken and then cut off is asked for again"
  }
] satisfies ReadonlyArray<Mutant>
