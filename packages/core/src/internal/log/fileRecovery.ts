import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import { TokenStoreError } from "../../TokenStoreError.ts"
import * as AppendLog from "../file/appendLog.ts"
import * as LogFormat from "../file/logFormat.ts"
import { fromPlatform } from "../store/storeFailure.ts"
import { type FiledRun, replayed } from "./filedRun.ts"
import { decode } from "./logLine.ts"

/** Reads the file of a directory, and tells how much of it is sound; changes nothing. */
export const recover = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, path: string) {
  const runs = new Map<RunId, FiledRun>()
  let length = LogFormat.header.length
  let wrong: { readonly at: number; readonly how: "foreign" | "newer" | "misplaced" } | undefined

  const verdict = yield* AppendLog.read(fs, path, (payload, size) => {
    const at = length
    length += size
    if (wrong !== undefined) return
    const line = decode(payload)
    if (Result.isFailure(line)) {
      wrong = { at, how: line.failure }
      return
    }
    const { runId } = line.success
    const step = replayed(runs.get(runId), line.success, { at, size })
    if (step === undefined) wrong = { at, how: "misplaced" }
    else if (step.after === undefined) runs.delete(runId)
    else runs.set(runId, step.after)
  }).pipe(Effect.mapError(fromPlatform("open", path)))

  const refused = (kind: "corrupt" | "newer", description: string) =>
    new TokenStoreError({ operation: "open", kind, description })
  const other = "Nothing was changed. Restore it from a backup, or move it away to start again."
  switch (verdict?._tag) {
    case "Newer":
      return yield* refused(
        "newer",
        `'${path}' is of format ${verdict.version}, later than this version of Baton reads, and is left alone. Update @effect-baton/core.`
      )
    case "Foreign":
      return yield* refused("corrupt", `'${path}' does not begin (byte 0) as a log of Baton does. ${other}`)
    case "Damaged":
      return yield* refused(
        "corrupt",
        `'${path}' is damaged at byte ${verdict.offset}, with sound lines after it. Nothing was changed. Restore it from a backup, ` +
          `or cut it there to keep what came before (truncate -s ${verdict.offset}), or move it away to start again.`
      )
  }
  switch (wrong?.how) {
    case "newer":
      return yield* refused(
        "newer",
        `'${path}' holds a line (byte ${wrong.at}) that a later version of Baton wrote, and is left alone. Update @effect-baton/core.`
      )
    case "foreign":
      return yield* refused("corrupt", `'${path}' holds a line (byte ${wrong.at}) that Baton did not write. ${other}`)
    case "misplaced":
      return yield* refused(
        "corrupt",
        `'${path}' holds a chunk (byte ${wrong.at}) that does not follow those of its run before it. ${other}`
      )
  }
  return { runs, length: verdict?.length ?? 0 }
})
