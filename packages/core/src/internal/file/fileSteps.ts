import * as Failpoint from "../../Failpoint.ts"

/** What the file store does to the disk, and would leave half done if the process died there. */
export const { places, take } = Failpoint.steps("file", [
  "lock",
  "truncate",
  "write",
  "sync",
  "write the new log",
  "sync the new log",
  "rename",
  "sync directory",
  "unlock"
])
