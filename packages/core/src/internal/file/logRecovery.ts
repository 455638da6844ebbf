import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import { TokenStoreError } from "../../TokenStoreError.ts"
import * as AppendLog from "./appendLog.ts"
import * as LogRecord from "./logRecord.ts"
import { fromPlatform } from "../store/storeFailure.ts"

/** Reads the log of a directory, and returns its runs and the length of its sound part. Changes nothing. */
export const recover = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, place: string) {
  const replay = LogRecord.replay()
  const read = (visit: (payload: string, bytes: number) => void) =>
    Effect.mapError(AppendLog.read(fs, place, visit), fromPlatform("open", place))
  const damaged = (description: string) => new TokenStoreError({ operation: "open", kind: "corrupt", description })

  const verdict = yield* read(replay.visit)
  if (verdict?._tag === "Newer") {
    return yield* new TokenStoreError({
      operation: "open",
      kind: "newer",
      description:
        `'${place}' has format ${verdict.version} of a later version of Baton. Nothing was changed. ` +
        "Update @effect-baton/core."
    })
  }
  if (verdict?._tag === "Foreign") {
    return yield* damaged(
      `'${place}' does not begin (byte 0) like a log of Baton. Nothing was changed. ` +
        "Restore it from a backup, or move it away to start again."
    )
  }
  if (verdict?._tag === "Damaged") {
    return yield* damaged(
      `'${place}' is damaged at byte ${verdict.offset}, with sound lines after it. Nothing was changed. ` +
        `Restore it from a backup, or cut it there to keep the lines before (truncate -s ${verdict.offset}), ` +
        "or move it away to start again."
    )
  }
  const { fence, foreign, newer, rows } = replay.finish()
  if (foreign) {
    return yield* damaged(
      `'${place}' contains lines that Baton did not write. Nothing was changed. ` +
        "Restore it from a backup, or move it away to start again."
    )
  }
  // The lines of a run that a later version wrote are kept unchanged.
  const kept = new Map<string, Array<string>>()
  if (newer.size > 0) {
    for (const id of newer) kept.set(id, [])
    yield* read((payload) => kept.get(LogRecord.runOf(payload) ?? "")?.push(payload))
  }
  return { rows, fence, newer: kept, length: verdict?.length ?? 0 }
})
