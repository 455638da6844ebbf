import type { Mutant } from "./Mutant.ts"

// A directory that is open to read only.
export default [
  {
    id: "read-only-writes",
    guarantee: 15,
    breaks: "who reads a directory beside its owner changes nothing",
    file: "packages/core/src/internal/file/fileReader.ts",
    find: "modify: (operation) => denied(operation),",
    replace:
      "modify: (_, __, change) => Effect.flatMap(now, (at) => Effect.fromResult(Result.map(change(undefined, at), ({ value }) => value))),",
    test: "test/core/TokenStoreFileReadOnly.test.ts",
    title: "refuses"
  },
  {
    id: "read-only-stale",
    guarantee: 15,
    breaks: "who reads a directory beside its owner sees a rewritten log",
    file: "packages/core/src/internal/file/fileReader.ts",
    find: "if (!reading.goesOnIn(info))",
    replace: "if (reading.info === undefined)",
    test: "test/core/TokenStoreFileReadOnly.test.ts",
    title: "rewrite"
  }
] satisfies ReadonlyArray<Mutant>
