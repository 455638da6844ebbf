import { NodeServices } from "@effect/platform-node"
import { AgentError, TokenStore } from "@effect-baton/core"
import { Duration, Effect, FileSystem, Layer, Option } from "effect"
import { changing } from "./stores.ts"

const ttl = Duration.minutes(1)

/** A store that takes the commits of any lease: by whoever holds the run, or by nobody. */
export const unfenced = changing(TokenStore.layerMemory, (inner) => ({
  commit: (lease, commit) =>
    Effect.gen(function* () {
      const { runId } = lease
      const held = Option.flatMapNullishOr(yield* inner.read(runId), (record) => record.lease)
      if (Option.isSome(held)) return yield* inner.commit({ runId, ...held.value }, commit)
      const { lease: own } = yield* inner.acquire(runId, { owner: "nobody", ttl })
      return yield* Effect.ensuring(inner.commit(own, commit), Effect.ignore(inner.release(own)))
    }).pipe(
      Effect.catchTags({
        RunNotFound: () => Effect.fail(new AgentError.LeaseLost({ runId: lease.runId })),
        RunLeased: () => Effect.fail(new AgentError.LeaseLost({ runId: lease.runId }))
      })
    )
}))

/** A store that looks and writes in two steps, between which others have their turn. */
export const unatomic = changing(TokenStore.layerMemory, (inner) => ({
  create: (run) =>
    Effect.gen(function* () {
      if (Option.isSome(yield* inner.read(run.runId))) return yield* inner.create(run)
      yield* Effect.yieldNow
      yield* inner.remove(run.runId)
      return yield* inner.create(run)
    }),
  acquire: (id, options) =>
    Effect.gen(function* () {
      const record = Option.getOrUndefined(yield* inner.read(id))
      if (record !== undefined && record.lease !== null) return yield* inner.acquire(id, options)
      yield* Effect.yieldNow
      return yield* inner.acquire(id, { ...options, takeOver: true })
    })
}))

// Reports each write as done when it has it, and makes it when the next one comes.
const forgetful = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(FileSystem.FileSystem, (fs) => ({
    ...fs,
    open: (path, options) =>
      Effect.map(fs.open(path, options), (file) => {
        let last: ReturnType<typeof file.writeAll> = Effect.void
        return {
          [FileSystem.FileTypeId]: FileSystem.FileTypeId,
          stat: file.stat,
          sync: file.sync,
          seek: (offset, from) => file.seek(offset, from),
          read: (buffer, options) => file.read(buffer, options),
          readAlloc: (size, options) => file.readAlloc(size, options),
          truncate: (length) => file.truncate(length),
          write: (buffer) => file.write(buffer),
          writeAll: (bytes) =>
            Effect.suspend(() => {
              const before = last
              last = file.writeAll(bytes)
              return before
            })
        } satisfies FileSystem.File
      })
  }))
).pipe(Layer.provideMerge(NodeServices.layer))

/** A file store on a disk that loses the last write. */
export const undurable = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
  return Layer.provide(TokenStore.layerFile({ directory }), forgetful)
}).pipe(Effect.provide(NodeServices.layer))
