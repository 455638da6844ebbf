import * as Cause from "effect/Cause"
import type * as PlatformError from "effect/PlatformError"
import * as Predicate from "effect/Predicate"
import { TokenStoreError } from "../../TokenStoreError.ts"

type Kind = TokenStoreError["kind"]

const kinds: Readonly<Record<string, Kind>> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EFBIG: "full",
  EROFS: "denied",
  EACCES: "denied",
  EPERM: "denied"
}

const advice: Readonly<Record<Kind, string>> = {
  unavailable: "The file system failed. Try again, and check the disk if it fails again",
  full: "There is no room left. Free some, and try again",
  denied: "This process lacks permission. Give it permission to read and write, or use another directory",
  locked: "",
  corrupt: "",
  newer: "",
  closed: ""
}

const kindOf = (error: PlatformError.PlatformError): Kind => {
  const { reason } = error
  const code =
    Predicate.hasProperty(reason.cause, "code") && Predicate.isString(reason.cause.code) ? reason.cause.code : undefined
  const known = code === undefined ? undefined : kinds[code]
  if (known !== undefined) return known
  switch (reason._tag) {
    case "PermissionDenied":
      return "denied"
    case "WriteZero":
      return "full"
    default:
      return "unavailable"
  }
}

/** Turns an error of the file system into one of the store, with its kind and advice. */
export const fromPlatform =
  (operation: string, path: string) =>
  (error: PlatformError.PlatformError): TokenStoreError => {
    const kind = kindOf(error)
    return new TokenStoreError({
      operation,
      kind,
      description: `'${path}': ${error.message}. ${advice[kind]}.`,
      cause: error
    })
  }

/**
 * The error after a defect of the file system: as a typed error, it reaches every operation that waits for the write.
 */
export const unforeseen = (place: string, cause: Cause.Cause<unknown>): TokenStoreError =>
  new TokenStoreError({
    operation: "write",
    kind: "unavailable",
    description: `'${place}' could not be written: the file system died, which is a bug in the file system. Try again.`,
    cause: Cause.squash(cause)
  })

/** The error after a defect of a store. It is retryable, like that of a store that cannot be reached. */
export const died = (operation: string, cause: Cause.Cause<unknown>): TokenStoreError => {
  const defect = Cause.squash(cause)
  return new TokenStoreError({
    operation,
    kind: "unavailable",
    description: `the store died, which is a bug in the store: ${Predicate.isError(defect) ? defect.message : String(defect)}`,
    cause: defect
  })
}

/** The same error under the name of another operation. */
export const renamed =
  (operation: string) =>
  (error: TokenStoreError): TokenStoreError =>
    new TokenStoreError({
      operation,
      kind: error.kind,
      description: error.description,
      ...("cause" in error ? { cause: error.cause } : {})
    })
