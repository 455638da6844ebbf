import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "skip-forgotten",
    guarantee: 1,
    breaks: "the position says which statements of an event were delivered",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "move: (told) => this.move(number, told.skip, underWay, how, told.delivered)",
    replace: "move: (told) => this.move(number, 0, underWay, how, told.delivered)",
    test: "test/core/Attachment.test.ts",
    title: "in the middle of an event of several parts goes on with the part after"
  },
  {
    id: "duplicates-delivered",
    guarantee: 1,
    breaks: "an event that comes again is not delivered again",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "if (number < sequenceNumber || (number === sequenceNumber && skip === 0))",
    replace: "if (number < 0)",
    test: "test/core/Attachment.test.ts",
    title: "whose events come twice, and once more, delivers each once"
  },
  {
    id: "half-event-not-asked-for",
    guarantee: 1,
    breaks: "an event that was delivered in part is asked for again",
    file: "packages/core/src/internal/follow/reader.ts",
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
    find: "|| !reaches(next, this.last)",
    replace: "",
    test: "test/core/Prefix.test.ts",
    title: "an early token is a view: it reads again, and never takes the stored position back"
  },
  {
    id: "overtaken-event-dropped",
    guarantee: 1,
    breaks: "an event that comes after a later one is not lost silently",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "lowest <= number && number <= highest",
    replace: "lowest > number && number > highest",
    test: "test/core/Order.test.ts",
    title: "lose no event at all while neighbours are swapped"
  },
  {
    id: "replay-not-ordered",
    guarantee: 1,
    breaks: "a replay out of order is put in order if it comes in one read",
    file: "packages/core/src/internal/follow/reader.ts",
    find: 'origin === "replay" ? inOrder(events)',
    replace: 'origin === "live" ? inOrder(events)',
    test: "test/core/Order.test.ts",
    title: "are put in order where they come in one read"
  },
  {
    id: "end-overtakes",
    guarantee: 1,
    breaks: "what the end of a replay overtook is not lost",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "event.terminal !== undefined && !this.doubted",
    replace: "event.terminal !== undefined && this.doubted",
    test: "test/core/Order.test.ts",
    title: "what the end overtook is not lost"
  },
  {
    id: "gap-not-asked-for",
    guarantee: 1,
    breaks: "what was left out right before a cut is asked for again",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "gap[1] === sequenceNumber - 1",
    replace: "gap[1] === sequenceNumber",
    test: "test/core/Order.test.ts",
    title: "an event that was overtaken and then cut off is asked for again"
  },
  {
    id: "contract-resume",
    guarantee: 1,
    breaks: "the model contract asks for what comes after a number, without it",
    file: "packages/testing/src/internal/modelContract/resuming.ts",
    find: "|| sequenceNumber > after)",
    replace: "|| sequenceNumber >= after)",
    test: "test/contract/BackgroundModelContract.test.ts"
  },
  {
    id: "statement-lost",
    guarantee: 1,
    breaks: "a statement that was cut is said again, and what is left of it is delivered",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "skip: done ? this.statement + 1 : this.statement",
    replace: "skip: this.statement + 1",
    test: "test/openai/PositionRules.test.ts",
    title: "goes on with the statement that it was cut in"
  },
  {
    id: "delta-told-twice",
    guarantee: 1,
    breaks: "a delta is not told again",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "skip: done ? this.statement + 1 : this.statement",
    replace: "skip: this.statement",
    test: "test/openai/PositionRules.test.ts",
    title: "goes on with the statement that it was cut in"
  },
  {
    id: "statements-told-again",
    guarantee: 1,
    breaks: "an event that comes again is gone on with at its statement",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "const first = number === sequenceNumber ? Math.max(1, skip) : 1",
    replace: "const first = 1",
    test: "test/openai/PositionRules.test.ts",
    title: "goes on with the statement that it was cut in"
  },
  {
    id: "half-said-elsewhere",
    guarantee: 1,
    breaks: "a statement that was half done before has its place",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "telling.say(statements[k - 1]!, k === first && skip > 0 && number === sequenceNumber)",
    replace: "telling.say(statements[k - 1]!, false)",
    test: "test/openai/PositionRules.test.ts"
  },
  {
    id: "part-ids-of-a-turn",
    guarantee: 1,
    breaks: "the id of a part names its turn",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "return `${this.turn}:${place}:${lane}`",
    replace: "return `0:${place}:${lane}`",
    test: "test/openai/PositionRules.test.ts",
    title: "are unique in the run: turn, place and lane"
  },
  {
    id: "part-ids-of-a-place",
    guarantee: 1,
    breaks: "the id of a part is that of its place, at its start as at its deltas",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "this.lastId = { place, lane, id: `${this.position.turn}:${place}:${lane}` }",
    replace: "this.lastId = { place, lane, id: `${this.position.turn}:${lane}` }",
    test: "test/openai/PositionRules.test.ts",
    title: "are unique in the run: turn, place and lane"
  },
  {
    id: "part-ids-of-sources",
    guarantee: 1,
    breaks: "each source has an id of its own",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "this.tell({ ...source, id: `${this.idOf(place, lane)}:${count}` } as Part, grown)",
    replace: "this.tell({ ...source, id: this.idOf(place, lane) } as Part, grown)",
    test: "test/openai/PositionRules.test.ts",
    title: "are unique in the run: turn, place and lane"
  },
  {
    id: "offset-of-a-turn",
    guarantee: 1,
    breaks: "the offset of a position goes on over turns",
    file: "packages/core/src/internal/run/turnEnd.ts",
    find: "start(agent, runId, incarnation, { turn: turn + 1, offset })",
    replace: "start(agent, runId, incarnation, { turn: turn + 1 })",
    test: "test/openai/PositionRules.test.ts",
    title: "how many updates came before, over all turns"
  },
  {
    id: "offset-of-a-retry",
    guarantee: 1,
    breaks: "the offset of a position goes on over a retry",
    file: "packages/core/src/internal/hold/heldRun.ts",
    find: "state: this.state(), turn }, offset)",
    replace: "state: this.state(), turn }, 0)",
    test: "test/openai/PositionRules.test.ts",
    title: "and before a retry"
  },
  {
    id: "tool-results-in-order-of-calls",
    guarantee: 1,
    breaks: "results of calls come in the order of the journal",
    file: "packages/core/src/internal/tools/told.ts",
    find: ".toSorted((a, b) => a.at - b.at)",
    replace: "",
    test: "test/core/ToolsLaw.test.ts",
    title: "cut at every update"
  },
  {
    id: "tool-results-again-after-retry",
    guarantee: 1,
    breaks: "a retry does not deliver the results of the turn before again",
    file: "packages/core/src/internal/tools/told.ts",
    find: "results: turn === 0 ? 0 : partsOfTurn(runId, state, journal, turn - 1).length",
    replace: "results: 0",
    test: "test/core/Turns.test.ts",
    title: "is retried from the turn that failed"
  },
  {
    id: "tool-results-without-offset",
    guarantee: 1,
    breaks: "results of calls have positions of their own",
    file: "packages/core/src/internal/tools/told.ts",
    find: "offset: offset + results - known",
    replace: "offset",
    test: "test/core/ToolsMore.test.ts",
    title: "send preliminary results to the stream alone"
  }
] satisfies ReadonlyArray<Mutant>
