import { type TokenStoreError, UpdateLogError } from "@effect-baton/core"

/** The values of the keys of a log are not a log. */
export const corrupt = (operation: string, keys: readonly [string, string]): UpdateLogError.UpdateLogError =>
  new UpdateLogError.UpdateLogError({
    operation,
    kind: "corrupt",
    description:
      `the value of '${keys[0]}' or '${keys[1]}' in Redis is not what Baton wrote, or a part is missing. ` +
      "Nothing was changed. Restore both keys from a backup, or delete both to remove the log."
  })

/** Turns the failure of a script into one of the log. */
export const fromStore = (
  keys: readonly [string, string],
  { description, kind, operation }: TokenStoreError.TokenStoreError
): UpdateLogError.UpdateLogError =>
  kind === "corrupt" ? corrupt(operation, keys) : new UpdateLogError.UpdateLogError({ operation, kind, description })

/** The namespace has another number of shards. */
export const otherLayout = (prefix: string, count: number, known: string): UpdateLogError.UpdateLogError =>
  new UpdateLogError.UpdateLogError({
    operation: "open",
    kind: "denied",
    description:
      `the runs of '${prefix}' are in ${known} shards, but this log is set to ${count}. ` +
      `Set shards: ${known}, or another prefix.`
  })

/** The layer of the log was closed. */
export const closed = (operation: string): UpdateLogError.UpdateLogError =>
  new UpdateLogError.UpdateLogError({
    operation,
    kind: "closed",
    description: "the scope of the layer of this log is closed. Build the layer again."
  })
