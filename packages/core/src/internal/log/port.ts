import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { RunId } from "../../Run.ts"
import type { Chunk } from "../../UpdateChunk.ts"
import type { LogFenced, LogGap, LogNotFound, LogTruncated, UpdateLogError } from "../../UpdateLogError.ts"

interface Size {
  readonly length: number
  readonly bytes: number
}

/** The service of `UpdateLog`, where it is documented. That module imports this folder, so this folder cannot import it. */
export interface Log {
  readonly open: (
    runId: RunId,
    epoch: number
  ) => Effect.Effect<Size & { readonly last?: Chunk }, LogFenced | UpdateLogError>
  readonly append: (runId: RunId, chunk: Chunk) => Effect.Effect<Size, LogFenced | LogGap | UpdateLogError>
  readonly read: (
    runId: RunId,
    options: { readonly from: number; readonly limit: number }
  ) => Effect.Effect<
    {
      readonly chunks: ReadonlyArray<Chunk>
      readonly first: number
      readonly length: number
      readonly ended: boolean
    },
    LogNotFound | LogTruncated | UpdateLogError
  >
  readonly changes: (runId: RunId) => Stream.Stream<void, UpdateLogError>
  readonly truncate: (runId: RunId, before: number) => Effect.Effect<void, UpdateLogError>
  readonly remove: (runId: RunId) => Effect.Effect<void, UpdateLogError>
}
