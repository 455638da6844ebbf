import { type Run, TokenStoreError } from "@effect-baton/core"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { RedisError } from "effect/persistence/Redis"

type Kind = TokenStoreError.TokenStoreError["kind"]

/** What an operation is about, as a word for messages. */
export type Subject = "run" | "log"

const modules: Readonly<Record<Subject, string>> = { run: "RedisTokenStore", log: "RedisUpdateLog" }

// By the code of the error. The code is at the start of the text, but before Redis 7 not if a script failed.
const codesOf = (subject: Subject): Readonly<Record<string, readonly [Kind, string]>> => ({
  OOM: ["full", `Redis has no memory left: raise maxmemory or remove ${subject}s, then try again`],
  NOAUTH: ["denied", "Redis needs a password: set it in the options of the client"],
  WRONGPASS: ["denied", "Redis refused the user name or the password: correct them"],
  NOPERM: [
    "denied",
    `the Redis user lacks a permission: grant it those in the documentation of ${modules[subject]}.layer`
  ],
  CORRUPT: ["corrupt", ""],
  WRONGTYPE: ["corrupt", ""],
  READONLY: [
    "unavailable",
    "this server is a replica and refuses writes: connect to the primary, or wait for the failover"
  ],
  LOADING: ["unavailable", "Redis has started and is loading its data: try again"],
  CLUSTERDOWN: ["unavailable", "the cluster does not serve this slot now: try again, and check its nodes"],
  MASTERDOWN: ["unavailable", "the replica has lost its primary: try again, and check both"],
  NOREPLICAS: ["unavailable", "too few replicas are connected to Redis for a write: check them, and try again"],
  TRYAGAIN: ["unavailable", "the slot is being moved: try again"],
  MISCONF: ["unavailable", "Redis cannot write to its disk and refuses writes until it can: check its log"],
  BUSY: ["unavailable", "another script keeps Redis busy: try again"],
  MOVED: ["unavailable", "this server is a node of a cluster: use a client that supports clusters"],
  ASK: ["unavailable", "this server is a node of a cluster: use a client that supports clusters"],
  CROSSSLOT: ["denied", "these keys cannot be used together: please report this as a bug of Baton"]
})
const codes: Readonly<Record<Subject, ReturnType<typeof codesOf>>> = { run: codesOf("run"), log: codesOf("log") }
const code = new RegExp(String.raw`\b(${Object.keys(codes.run).join("|")})\b`)

/** The text of a client's failure. Only the message is used, because the cause may hold commands and passwords. */
const textOf = (error: RedisError): string => {
  const { cause } = error
  const message = Predicate.hasProperty(cause, "message") && Predicate.isString(cause.message) ? cause.message : ""
  const name = Predicate.hasProperty(cause, "name") && Predicate.isString(cause.name) ? cause.name : "failure"
  const reason = Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? cause.code : name
  return (message === "" ? reason : message).replaceAll(/\/\/[^/@\s]*@/g, "//").slice(0, 300)
}

/** Whether the server does not know the script by its digest. */
export const isNoScript = (error: RedisError): boolean => /\bNOSCRIPT\b/.test(textOf(error))

/** The value of a key is not a run. */
export const corrupt = (operation: string, key: string): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation,
    kind: "corrupt",
    description: `the value of '${key}' in Redis is not what Baton wrote, or a part is missing. Nothing was changed. Restore it from a backup, or delete its keys (run, journal, keys and input) to forget the run.`
  })

/** A fact cannot be encoded. */
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

/** A later version wrote a run or a log, and this version leaves it alone. */
export const newer = (operation: string, key: string, subject: Subject = "run"): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation,
    kind: "newer",
    description: `'${key}' was written by a later version of Baton. Nothing was changed. Update @effect-baton/redis to use this ${subject}.`
  })

/** The namespace has another number of shards. */
export const otherLayout = (prefix: string, count: number, known: string): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation: "create",
    kind: "denied",
    description: `the runs of '${prefix}' are in ${known} shards, but this store is set to ${count}. Set shards: ${known}, or another prefix.`
  })

/** Redis did not answer in time. It is not known whether the operation was done. */
export const late = (operation: string, millis: number): TokenStoreError.TokenStoreError =>
  new TokenStoreError.TokenStoreError({
    operation,
    kind: "unavailable",
    description: `Redis did not answer within ${millis} ms. Try again, and check the server and the network.`
  })

/** Turns a client's failure into the store's: its kind, and what to do about it. */
export const fromRedis = (
  operation: string,
  key: string,
  error: RedisError,
  subject: Subject = "run"
): TokenStoreError.TokenStoreError => {
  const text = textOf(error)
  // If the user lacks a permission inside a script, the text has no code.
  const found = code.exec(text)?.[1] ?? (/user executing the script can't/.test(text) ? "NOPERM" : undefined)
  const [kind, advice] =
    (found === undefined ? undefined : codes[subject][found]) ??
    (["unavailable", "Redis could not be reached, or refused: try again, and check the server"] as const)
  return kind === "corrupt"
    ? corrupt(operation, key)
    : new TokenStoreError.TokenStoreError({ operation, kind, description: `${advice} (${text}).` })
}
