import { ContinuationToken, Run } from "@effect-baton/core"

const start = ContinuationToken.start("analyst", Run.RunId.make("r-1"), 1)
const { delivered: nothing } = start
const hash = 0xfedcba98

/** Positions of every kind. What stands in the fixtures is what they were once written as. */
export const positions: ReadonlyArray<ContinuationToken.ContinuationToken> = [
  start,
  // In the middle of an event, in a text whose last character is half there.
  {
    ...start,
    incarnation: 1_795_802_177_312,
    responseId: "resp_68a1f0c2e4b08197a3d5c9f1",
    offset: 41,
    sequenceNumber: 37,
    skip: 2,
    status: "in_progress",
    delivered: {
      ...nothing,
      items: [[0, 2, 0x89abcdef, 2, 0x12345678, 1, 0x0fedcba9]],
      open: [[3, 0, 0, 1234, hash, 0xd83d]],
      ids: [[3, 0]],
      next: 4
    }
  },
  // Several lanes of several items; items without an index, and indices that lead elsewhere.
  {
    ...start,
    responseId: "resp_1",
    offset: 900,
    sequenceNumber: 1024,
    status: "in_progress",
    delivered: {
      items: [
        [0, 0, 1, 1, 2, 0, 0],
        [2, 5, 0xffffffff, 4, 0xffffffff, 2, 0xffffffff]
      ],
      lanes: [
        [6, 0, 1, 7, 1, 8, 1, 9],
        [6, 3, 3, 7, 1, 8, 0, 0]
      ],
      open: [
        [6, 2, 1, 5, hash, 0],
        [7, 0, 2, 70, hash, 0],
        [8, 1, 3, 4, 0x811c9dc5, 0]
      ],
      ids: [
        [6, 0],
        [7, 0xcafebabe],
        [8, 0]
      ],
      at: [[1, 8]],
      next: 9,
      calls: true,
      overflow: false
    }
  },
  // From a look.
  {
    ...start,
    responseId: "resp_1",
    offset: 12,
    sequenceNumber: 9,
    status: "in_progress",
    origin: "snapshot",
    delivered: { ...nothing, lanes: [[0, 0, 0, 5, 1, 6, 0, 0]], open: [[0, 2, 0, 1, hash, 0]], next: 1 }
  },
  // In the third turn of a run with a log, before its response has a name.
  { ...start, incarnation: 2, turn: 2, offset: 77, epoch: 1_795_802_177_999, status: "in_progress" },
  // Before the fourth turn of a run, after two results and an approval of calls of the third.
  { ...start, turn: 3, offset: 91, results: 3, status: "in_progress" },
  // More was delivered than a token can hold.
  {
    ...start,
    responseId: "resp_1",
    offset: 5000,
    sequenceNumber: 6000,
    status: "in_progress",
    delivered: { ...nothing, calls: true, overflow: true }
  },
  // The longest names and numbers, and as many rows as there is room for then.
  {
    ...start,
    agent: "\u00e9".repeat(32),
    runId: Run.RunId.make("\u00e9".repeat(64)),
    incarnation: 9_999_999_999_999,
    turn: 999,
    responseId: "r".repeat(64),
    offset: 999_999_999,
    epoch: 9_999_999_999_999,
    sequenceNumber: 999_999_999,
    skip: 99,
    status: "in_progress",
    delivered: {
      items: Array.from({ length: 3 }, (_, i) => [i * 3 + 100, i * 3 + 101, hash, 99, hash, 99, hash] as const),
      lanes: [[200, 0, 99, hash, 9, hash, 9, hash]],
      open: Array.from({ length: 7 }, (_, i) => [i + 300, 0, 0, 1_000_000 + i, hash, 0xd800] as const),
      ids: [[300, hash]],
      at: [[9, 300]],
      next: 400,
      calls: true,
      overflow: false
    }
  }
]
