import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type { RunId } from "../../Run.ts"
import { TokenStoreError } from "../../TokenStoreError.ts"
import * as AppendLog from "../file/appendLog.ts"
import * as LogFormat from "../file/logFormat.ts"
import { fromPlatform } from "../store/storeFailure.ts"
import { type FiledRun, replayed } from "./filedRun.ts"
import * as Forgetting from "./forgetting.ts"
import { decode } from "./logLine.ts"

/**
 * Reads the file of a directory. Returns its logs in the order in which they were last used, the length of its sound part,
 * and whether it contains lines of removed logs. Changes nothing.
 */
export const recover = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, path: string) {
  const runs = new Map<RunId, FiledRun>()
  let length = LogFormat.header.length
  let hasRemains = false
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
    else if (step.after !== undefined) Forgetting.put(runs, runId, step.after)
    else {
      runs.delete(runId)
      hasRemains = true
    }
  }).pipe(Effect.mapError(fromPlatform("open", path)))

  const refused = (kind: "corrupt" | "newer", description: string) =>
    new TokenStoreError({ operation: "open", kind, description })
  const unchanged = "Nothing was changed. Restore it from a backup, or move it away to start again."
  switch (verdict?._tag) {
    case "Newer":
      return yield* refused(
        "newer",
        `'${path}' has format ${verdict.version} of a later version of Baton. Nothing was changed. ` +
          "Update @effect-baton/core."
      )
    case "Foreign":
      return yield* refused("corrupt", `'${path}' does not begin (byte 0) like a log of Baton. ${unchanged}`)
    case "Damaged":
      return yield* refused(
        "corrupt",
        `'${path}' is damaged at byte ${verdict.offset}, with sound lines after it. Nothing was changed. ` +
          `Restore it from a backup, or cut it there to keep the lines before (truncate -s ${verdict.offset}), ` +
          "or move it away to start again."
      )
  }
  switch (wrong?.how) {
    case "newer":
      return yield* refused(
        "newer",
        `'${path}' contains a line (byte ${wrong.at}) that a later version of Baton wrote. Nothing was changed. ` +
          "Update @effect-baton/core."
      )
    case "foreign":
      return yield* refused(
        "corrupt",
        `'${path}' contains a line (byte ${wrong.at}) that Baton did not write. ${unchanged}`
      )
    case "misplaced":
      return yield* refused(
        "corrupt",
        `'${path}' contains a line (byte ${wrong.at}) that does not fit the lines of the same run before it. ${unchanged}`
      )
  }
  return { runs, length: verdict?.length ?? 0, hasRemains }
})
