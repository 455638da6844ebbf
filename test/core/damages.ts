import { Run, type TokenStore, type TokenStoreError } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { Duration, Effect } from "effect"
import * as NFS from "node:fs"
import { open, type Service, temporary } from "../support/directories.ts"

// What somebody else does to the directory of a file store that is in use.

const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make
const ttl = Duration.hours(1)

/** Opens the store of a directory as a process does that lives: of this number, or on this host. */
export const openAs = (directory: string, pid: number, host = "here") =>
  open(directory, { probe: { pid, host, isAlive: () => true } })

const lease = { runId: idOf("r-1"), owner: "a", fence: 1 }
const cancel = { _tag: "CancelRequested", incarnation: 1, by: "a" } as const
/** One of each operation. */
export const operations = (
  store: Service
): Readonly<Record<string, Effect.Effect<unknown, { readonly _tag: string }>>> => ({
  create: store.create(newRun("r-other")),
  read: store.read(lease.runId),
  acquire: store.acquire(lease.runId, { owner: "a", ttl }),
  renew: store.renew(lease, ttl, 0),
  release: store.release(lease, { seen: 0, due: Duration.zero, attempt: "keep" }),
  commit: store.commit(lease, commitOf("r-1", 1)),
  record: store.record(lease.runId, cancel, 0),
  conclude: store.conclude(lease.runId, { seen: 0, facts: [cancel], due: Duration.zero }),
  remove: store.remove(lease),
  list: store.list({ limit: 1 })
})

const restoreInPlace = (directory: string) => {
  for (const name of NFS.readdirSync(`${directory}.backup`)) {
    NFS.writeFileSync(`${directory}/${name}`, NFS.readFileSync(`${directory}.backup/${name}`))
  }
}
export const strangerIn = (directory: string) =>
  NFS.readFileSync(`${directory}/lock.1`, "utf8")
    .replace(/"pid":\d+/, `"pid":1`)
    .replace(/"nonce":"[^"]+"/, `"nonce":"another"`)

/** What happens to a directory under a process that uses it, and what its operations then fail with. */
export const damages: ReadonlyArray<
  readonly [name: string, kind: TokenStoreError.TokenStoreError["kind"], damage: (directory: string) => void]
> = [
  [
    "the directory is renamed, and another made in its place",
    "locked",
    (directory) => {
      NFS.renameSync(directory, `${directory}.away`)
      NFS.mkdirSync(directory)
    }
  ],
  ["the directory is deleted", "locked", (directory) => NFS.rmSync(directory, { recursive: true })],
  ["the log is deleted", "locked", (directory) => NFS.rmSync(`${directory}/runs.log`)],
  [
    "the log is replaced by a copy",
    "locked",
    (directory) => {
      NFS.copyFileSync(`${directory}/runs.log`, `${directory}/copy`)
      NFS.renameSync(`${directory}/copy`, `${directory}/runs.log`)
    }
  ],
  ["the log is cut to nothing", "corrupt", (directory) => NFS.truncateSync(`${directory}/runs.log`, 0)],
  [
    "the log is cut to half",
    "corrupt",
    (directory) => NFS.truncateSync(`${directory}/runs.log`, NFS.statSync(`${directory}/runs.log`).size >> 1)
  ],
  ["somebody appends to the log", "corrupt", (directory) => NFS.appendFileSync(`${directory}/runs.log`, "hello\n")],
  ["the lock is deleted", "locked", (directory) => NFS.rmSync(`${directory}/lock.1`)],
  [
    "the lock is replaced by another's of the same number",
    "locked",
    (directory) => {
      NFS.writeFileSync(`${directory}/another`, strangerIn(directory))
      NFS.renameSync(`${directory}/another`, `${directory}/lock.1`)
    }
  ],
  [
    "another's lock is written over the lock",
    "locked",
    (directory) => NFS.writeFileSync(`${directory}/lock.1`, strangerIn(directory))
  ],
  [
    "a backup is put in its place",
    "locked",
    (directory) => {
      NFS.rmSync(directory, { recursive: true })
      NFS.cpSync(`${directory}.backup`, directory, { recursive: true })
    }
  ],
  ["a backup is written over it", "corrupt", restoreInPlace]
]

/** A change of the disk right before which it happens: without one, nothing is written. */
export const moments: ReadonlyArray<
  readonly [name: string, at: undefined | { readonly method: string; readonly file: RegExp }]
> = [
  ["between two writes", undefined],
  ["before a write", { method: "write", file: /runs\.log$/ }],
  ["during a write", { method: "sync", file: /runs\.log$/ }],
  ["while a log is written again", { method: "write", file: /\.new$/ }],
  ["before a new log is synced", { method: "sync", file: /\.new$/ }],
  ["before a new log takes its place", { method: "rename", file: /\.new$/ }]
]

/** A log that a few more commits bring over the length from which it is written again. */
export const nearlyFull = Effect.gen(function* () {
  const directory = `${yield* temporary}/runs`
  const { close, store } = yield* openAs(directory, 8_000_000)
  yield* store.create(newRun("r-1"))
  const held = yield* store.acquire(idOf("r-1"), { owner: "a", ttl })
  let ordinal = 0
  while (NFS.statSync(`${directory}/runs.log`).size < (1 << 20) - 20_000) {
    yield* fill(store, held.lease, ordinal, 200)
    ordinal += 200
  }
  yield* close
  return { log: NFS.readFileSync(`${directory}/runs.log`), ordinal }
})
/** Commits so many positions. */
export const fill = (store: Service, held: TokenStore.Lease, from: number, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => from + i + 1),
    (ordinal) => store.commit(held, { ...commitOf("r-1", ordinal), seen: 1000 }),
    { concurrency: "unbounded", discard: true }
  )
