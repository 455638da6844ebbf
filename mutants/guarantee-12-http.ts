import type { Mutant } from "./Mutant.ts"

const viewers = "packages/http/src/RunViewers.ts"

export default [
  {
    id: "http-sealed-by-each",
    guarantee: 12,
    breaks: "what all viewers get is made once",
    file: "packages/http/src/internal/frames.ts",
    find: "if (begun !== undefined) return Deferred.await(begun)",
    replace: "",
    test: "test/http/Viewer.test.ts",
    title: "shares the events"
  },
  {
    id: "http-pieces-grow",
    guarantee: 12,
    breaks: "a viewer is sent small pieces, however much there is",
    file: "packages/http/src/internal/frames.ts",
    find: "const maxChars = 32 * 1024",
    replace: "const maxChars = 32 * 1024 * 1024",
    test: "test/http/Viewer.test.ts",
    title: "small pieces of a large run"
  },
  {
    id: "http-viewers-unlimited",
    guarantee: 12,
    breaks: "a process serves as many viewers as it may, and no more",
    file: viewers,
    find: "viewers.size >= max",
    replace: "viewers.size > max",
    test: "test/http/Viewers.test.ts",
    title: "one more than a process takes"
  },
  {
    id: "http-places-lost",
    guarantee: 12,
    breaks: "a viewer that leaves makes room for another",
    file: viewers,
    find: "viewers.delete(viewer)",
    replace: "void viewer",
    test: "test/http/Viewers.test.ts",
    title: "one more than a process takes"
  },
  {
    id: "http-reads-ahead",
    guarantee: 12,
    breaks: "nothing is read for a viewer that takes nothing",
    edits: [
      {
        file: "packages/http/src/internal/viewer.ts",
        find: "const updates = this.run.watch(this.after)",
        replace: "const updates = Stream.bufferArray(this.run.watch(this.after), { capacity: 'unbounded' })"
      }
    ],
    test: "test/http/Viewers.test.ts",
    title: "hold a page of the log"
  }
] as const satisfies ReadonlyArray<Mutant>
