import type { TokenStoreError } from "../../TokenStoreError.ts"
import { UpdateLogError } from "../../UpdateLogError.ts"

/** A failure of a file, or of the lock of its directory, as the log's. */
export const fromStore =
  (operation: string) =>
  (error: TokenStoreError): UpdateLogError =>
    new UpdateLogError({
      operation,
      kind: error.kind,
      description: error.description,
      ...("cause" in error ? { cause: error.cause } : {})
    })
