import type { TokenStoreError } from "../../TokenStoreError.ts"
import { UpdateLogError } from "../../UpdateLogError.ts"

/** Turns an error of a file, or of the lock of its directory, into one of the log. */
export const fromStore =
  (operation: string) =>
  (error: TokenStoreError): UpdateLogError =>
    new UpdateLogError({
      operation,
      kind: error.kind,
      description: error.description,
      ...("cause" in error ? { cause: error.cause } : {})
    })
