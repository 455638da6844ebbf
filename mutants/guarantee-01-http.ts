import type { Mutant } from "./Mutant.ts"

const file = "packages/http/src/internal/"
const updates = "test/http/Updates.test.ts"

export default [
  {
    id: "http-place-ignored",
    guarantee: 1,
    breaks: "a viewer goes on after the update whose id it names",
    file: `${file}updates.ts`,
    find: "after: place,",
    replace: "after: undefined,",
    test: updates,
    title: "the first k"
  },
  {
    id: "http-query-before-header",
    guarantee: 1,
    breaks: "an EventSource that comes back goes on after its last id, whatever its URL says",
    file: `${file}position.ts`,
    find: 'lastEventId !== undefined && lastEventId !== ""',
    replace: 'lastEventId !== undefined && lastEventId !== "" && after === undefined',
    test: updates,
    title: "the first k"
  },
  {
    id: "http-no-reset",
    guarantee: 1,
    breaks: "a viewer of a log that was lost and written again is told to begin again",
    file: `${file}viewer.ts`,
    find: 'error.reason.kind === "rewritten"',
    replace: 'error.reason.kind === "empty"',
    test: updates,
    title: "a log that is lost"
  },
  {
    id: "http-reset-keeps-place",
    guarantee: 1,
    breaks: "after a reset all updates come again",
    edits: [
      { file: `${file}viewer.ts`, find: "this.release() this.after = undefined", replace: "this.release()" },
      {
        file: `${file}viewer.ts`,
        find: "this.after = options.reset ? undefined : options.after",
        replace: "this.after = options.after === undefined ? undefined : { offset: options.after.offset }"
      }
    ],
    test: updates,
    title: "an id that the log does not have"
  },
  {
    id: "http-reset-keeps-id",
    guarantee: 1,
    breaks: "after a reset no client comes back with an id from before",
    file: `${file}frames.ts`,
    find: 'named("reset", {}, "")',
    replace: 'named("reset", {})',
    test: updates,
    title: "an id that the log does not have"
  },
  {
    id: "http-retry-later-elsewhere",
    guarantee: 1,
    breaks: "a viewer that is sent away is told the id of the last update that it got",
    file: `${file}viewer.ts`,
    find: "this.lastId = piece.lastId ?? this.lastId",
    replace: "this.lastId ??= piece.lastId",
    test: "test/http/Viewer.test.ts",
    title: "is sent away with the id"
  },
  {
    id: "http-updates-left-out",
    guarantee: 1,
    breaks: "what does not fit into one piece comes with the next",
    file: `${file}viewer.ts`,
    find: "if (this.taken === page.length) this.page = undefined",
    replace: "this.page = undefined",
    test: "test/http/Viewer.test.ts",
    title: "small pieces of a large run"
  }
] as const satisfies ReadonlyArray<Mutant>
