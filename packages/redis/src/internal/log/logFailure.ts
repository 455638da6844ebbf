import { type TokenStoreError, UpdateLogError } from "@effect-baton/core"

/** What is stored under the keys of a log and is no log. */
export const corrupt = (operation: string, keys: readonly [string, string]): UpdateLogError.UpdateLogError =>
  new UpdateLogError.UpdateLogError({
    operation,
    kind: "corrupt",
    description: `what Redis has at '${keys[0]}' or '${keys[1]}' is not what Baton wrote, or not all of it, and is left as it is. Restore both keys from a backup, or delete both to forget the log.`
  })

/** A failure of a script as one of the log. */
export const fromStore = (
  keys: readonly [string, string],
  { description, kind, operation }: TokenStoreError.TokenStoreError
): UpdateLogError.UpdateLogError =>
  kind === "corrupt"
    ? corrupt(operation, keys)
    : new UpdateLogError.UpdateLogError({ operation, kind, description: description })

/** The layer of the log was closed. */
export const closed = (operation: string): UpdateLogError.UpdateLogError =>
  new UpdateLogError.UpdateLogError({
    operation,
    kind: "closed",
    description: "the scope of this log is closed, and nothing is heard any more. Build its layer again."
  })
