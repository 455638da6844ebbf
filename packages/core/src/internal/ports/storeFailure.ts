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
  unavailable: "The file system failed; try again, and look at the disk if it goes on",
  full: "There is no room left: free some, and try again",
  denied: "This process may not use it: grant it read and write permission, or give another directory",
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

/** A file system's failure as the store's: which kind it is, and what to do about it. */
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

/** What a file system that does not keep to its types comes to: nobody is left waiting. */
export const unforeseen = (place: string, cause: Cause.Cause<unknown>): TokenStoreError =>
  new TokenStoreError({
    operation: "write",
    kind: "unavailable",
    description: `'${place}' could not be written`,
    cause: Cause.squash(cause)
  })

/** What an operation of a store comes to that died: like one that is away, it may work again. */
export const died = (operation: string, cause: Cause.Cause<unknown>): TokenStoreError => {
  const defect = Cause.squash(cause)
  return new TokenStoreError({
    operation,
    kind: "unavailable",
    description: `the store died, which is a defect of it: ${Predicate.isError(defect) ? defect.message : String(defect)}`,
    cause: defect
  })
}

/** The same failure, for who asked for another operation. */
export const renamed =
  (operation: string) =>
  (error: TokenStoreError): TokenStoreError =>
    new TokenStoreError({
      operation,
      kind: error.kind,
      description: error.description,
      ...("cause" in error ? { cause: error.cause } : {})
    })
