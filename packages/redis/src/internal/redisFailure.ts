import { type Run, TokenStoreError } from "@effect-baton/core"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { RedisError } from "effect/persistence/Redis"

type Kind = TokenStoreError.TokenStoreError["kind"]

// By the code that an answer begins with; before Redis 7 it stands further on if a script failed.
const codes: Readonly<Record<string, readonly [Kind, string]>> = {
  OOM: ["full", "Redis has no memory left: raise maxmemory or remove runs, and try again"],
  NOAUTH: ["denied", "Redis wants a password: give the client one"],
  WRONGPASS: ["denied", "Redis refuses the user name or the password: correct them"],
  NOPERM: ["denied", "the user may not do this: grant it the commands, keys and channel that the documentation names"],
  CORRUPT: ["corrupt", ""],
  WRONGTYPE: ["corrupt", ""],
  READONLY: [
    "unavailable",
    "this is a replica, which takes no writes: connect to the primary, or wait for the failover"
  ],
  LOADING: ["unavailable", "Redis is reading its data after a start: try again"],
  CLUSTERDOWN: ["unavailable", "the cluster does not serve this slot now: try again, and look at its nodes"],
  MASTERDOWN: ["unavailable", "the replica has lost its primary: try again, and look at both"],
  NOREPLICAS: ["unavailable", "too few replicas are in touch with Redis for a write: look at them, and try again"],
  TRYAGAIN: ["unavailable", "the slot is being moved: try again"],
  MISCONF: ["unavailable", "Redis cannot write to its disk, and takes no writes until it can: look at its log"],
  BUSY: ["unavailable", "a script of somebody keeps Redis busy: try again"],
  MOVED: ["unavailable", "this is one node of a cluster: use a client that knows clusters"],
  ASK: ["unavailable", "this is one node of a cluster: use a client that knows clusters"],
  CROSSSLOT: ["denied", "these keys may not be used together: report this as an error of Baton"]
}
const code = new RegExp(String.raw`\b(${Object.keys(codes).join("|")})\b`)

/** What a client's failure says, without what must not be logged: its cause may hold the commands, and passwords. */
const textOf = (error: RedisError): string => {
  const { cause } = error
  const message = Predicate.hasProperty(cause, "message") && Predicate.isString(cause.message) ? cause.message : ""
  const name = Predicate.hasProperty(cause, "name") && Predicate.isString(cause.name) ? cause.name : "failure"
  const reason = Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? cause.code : name
  return (message === "" ? reason : message).replaceAll(/\/\/[^/@\s]*@/g, "//").slice(0, 300)
}

/** Whether the server does not know the script by its digest. */
export const isNoScript = (error: RedisError): boolean => /\bNOSCRIPT\b/.test(textOf(error))

/** What is stored under a key and is no run. */
export const corrupt = (operation: string, key: string): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation,
    kind: "corrupt",
    description: `what Redis has at '${key}' is not what Baton wrote, or not all of it, and is left as it is. Restore it from a backup, or delete its keys (run, journal, keys and input) to forget the run.`
  })

/** What a run is to be told, and cannot be stored. */
export const unwritable = (
  operation: string,
  id: Run.RunId,
  cause: Schema.SchemaError
): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation,
    kind: "corrupt",
    description: `run '${id}' cannot be written: ${cause.message}. Nothing was changed.`,
    cause
  })

/** A run that this version leaves alone. */
export const newer = (operation: string, key: string): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation,
    kind: "newer",
    description: `'${key}' was written by a later version of Baton, and is left alone. Update @effect-baton/redis to go on with it.`
  })

/** The namespace has another number of shards. */
export const otherLayout = (prefix: string, count: number, known: string): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation: "create",
    kind: "denied",
    description: `the runs of '${prefix}' are in ${known} shards, and this store looks for them in ${count}. Give shards: ${known}, or another prefix.`
  })

/** No answer in time: it is not known whether the operation was done. */
export const late = (operation: string, millis: number): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation,
    kind: "unavailable",
    description: `Redis did not answer within ${millis} ms. Try again, and look at the server and the way there.`
  })

/** A client's failure as the store's: which kind it is, and what to do about it. */
export const fromRedis = (operation: string, key: string, error: RedisError): TokenStoreError.TokenStoreError => {
  const text = textOf(error)
  // What a script may not do is told without a code.
  const found = code.exec(text)?.[1] ?? (/user executing the script can't/.test(text) ? "NOPERM" : undefined)
  const [kind, advice] =
    (found === undefined ? undefined : codes[found]) ??
    (["unavailable", "Redis could not be reached, or refused: try again, and look at the server"] as const)
  return kind === "corrupt"
    ? corrupt(operation, key)
    : new TokenStoreError.TokenStoreError({ operation, kind, description: `${advice} (${text}).` })
}
