import { NodeServices } from "@effect/platform-node"
import { AgentError, RunRecord, TokenStore } from "@effect-baton/core"
import { ByteSize, Duration, Effect, FileSystem, Layer, Option } from "effect"
import { changing } from "./stores.ts"

const ttl = Duration.minutes(1)
const leave: TokenStore.ReleaseOptions = { seen: Number.MAX_SAFE_INTEGER, due: Duration.zero, attempt: "keep" }

/** A store that takes the commits of any lease: by whoever holds the run, or by nobody. */
export const unfenced = changing(TokenStore.layerMemory, (inner) => ({
  commit: (lease, commit) =>
    Effect.gen(function* () {
      const { runId } = lease
      const held = Option.flatMapNullishOr(yield* inner.read(runId), (record) => record.lease)
      if (Option.isSome(held)) return yield* inner.commit({ runId, ...held.value }, commit)
      const { lease: own } = yield* inner.acquire(runId, { owner: "nobody", ttl })
      return yield* Effect.ensuring(inner.commit(own, commit), Effect.ignore(inner.release(own, leave)))
    }).pipe(
      Effect.catchTags({
        RunNotFound: () => Effect.fail(new AgentError.LeaseLost({ runId: lease.runId })),
        RunLeased: () => Effect.fail(new AgentError.LeaseLost({ runId: lease.runId }))
      })
    )
}))

/** A store that looks and writes in two steps, between which others have their turn. */
export const unatomic = changing(TokenStore.layerMemory, (inner) => ({
  create: (run, options) =>
    Effect.gen(function* () {
      if (Option.isSome(yield* inner.read(run.runId))) return yield* inner.create(run, options)
      yield* Effect.yieldNow
      yield* inner.acquire(run.runId, { owner: "nobody", ttl, steal: true }).pipe(
        Effect.flatMap(({ lease }) => inner.remove(lease, { force: true })),
        Effect.catchTags({ RunNotFound: () => Effect.void, RunLeased: Effect.die, LeaseLost: Effect.die })
      )
      return yield* inner.create(run, options)
    }),
  acquire: (id, options) =>
    Effect.gen(function* () {
      const record = Option.getOrUndefined(yield* inner.read(id))
      if (record !== undefined && record.lease !== null) return yield* inner.acquire(id, options)
      yield* Effect.yieldNow
      return yield* inner.acquire(id, { ...options, steal: true })
    })
}))

/** A store that writes decisions, whatever facts came meanwhile. */
export const unguarded = changing(TokenStore.layerMemory, (inner) => ({
  commit: (lease, commit) => inner.commit(lease, { ...commit, guard: false }),
  conclude: (id, options) => inner.conclude(id, { ...options, seen: Number.MAX_SAFE_INTEGER })
}))

/** A store in which the last fact of a key takes the place of the first. */
export const lastWins = changing(TokenStore.layerMemory, (inner) => {
  const last = new Map<string, RunRecord.NewFact>()
  const note = (id: string, facts: ReadonlyArray<RunRecord.NewFact> = []) => {
    for (const fact of facts) last.set(`${id} ${RunRecord.keyOf(fact)}`, fact)
  }
  const shown = (id: string, facts: ReadonlyArray<RunRecord.Fact>) =>
    facts.map((fact): RunRecord.Fact => ({ ...(last.get(`${id} ${RunRecord.keyOf(fact)}`) ?? fact), at: fact.at }))
  return {
    read: (id) =>
      Effect.map(
        inner.read(id),
        Option.map((record) => ({ ...record, journal: shown(record.runId, record.journal) }))
      ),
    commit: (lease, commit) =>
      Effect.map(inner.commit(lease, commit), (answer) => {
        if (answer.outcome === "written") note(lease.runId, commit.facts)
        return { ...answer, facts: shown(lease.runId, answer.facts) }
      }),
    record: (id, fact, seen) =>
      Effect.map(inner.record(id, fact, seen), (facts) => {
        note(id, [fact])
        return shown(id, facts)
      })
  }
})

/** A store that records every fact as one of the run that is there now. */
export const unincarnated = changing(TokenStore.layerMemory, (inner) => {
  const current = (id: Parameters<typeof inner.record>[0]) =>
    Effect.map(
      inner.read(id),
      Option.map(({ incarnation }) => incarnation)
    )
  return {
    record: (id, fact, seen) =>
      Effect.flatMap(current(id), (found) =>
        inner.record(id, Option.isSome(found) ? { ...fact, incarnation: found.value } : fact, seen)
      ),
    conclude: (id, options) =>
      Effect.flatMap(current(id), (found) =>
        inner.conclude(id, {
          ...options,
          facts: options.facts.map((fact) => (Option.isSome(found) ? { ...fact, incarnation: found.value } : fact))
        })
      )
  }
})

/** A store that takes who leaves a run at its word, though facts came that it has not seen. */
export const forgetsToWake = changing(TokenStore.layerMemory, (inner) => ({
  release: (lease, options) => inner.release(lease, { ...options, seen: Number.MAX_SAFE_INTEGER })
}))

/** A store that takes no attempt back. */
export const keepsAttempts = changing(TokenStore.layerMemory, (inner) => ({
  release: (lease, options) => inner.release(lease, { ...options, attempt: "keep" })
}))

/** A store that forgets what was bought. */
export const removesAll = changing(TokenStore.layerMemory, (inner) => ({
  remove: (lease) => inner.remove(lease, { force: true })
}))

// Reports each write as done when it has it, also to who asks how long the file is, and makes it when the next one comes.
const forgetful = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(FileSystem.FileSystem, (fs) => {
    const owed = new Map<string, number>()
    const claiming = (path: string, info: FileSystem.File.Info): FileSystem.File.Info => ({
      ...info,
      size: ByteSize.bytes(info.size + BigInt(owed.get(path) ?? 0))
    })
    return {
      ...fs,
      stat: (path) => Effect.map(fs.stat(path), (info) => claiming(path, info)),
      open: (path, flags) =>
        Effect.map(fs.open(path, flags), (file) => {
          let last: ReturnType<typeof file.writeAll> = Effect.void
          owed.delete(path)
          return {
            [FileSystem.FileTypeId]: FileSystem.FileTypeId,
            stat: Effect.map(file.stat, (info) => claiming(path, info)),
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
                owed.set(path, bytes.length)
                return before
              })
          } satisfies FileSystem.File
        })
    }
  })
).pipe(Layer.provideMerge(NodeServices.layer))

/** A file store on a disk that loses the last write. */
export const undurable = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
  return Layer.provide(TokenStore.layerFile({ directory }), forgetful)
}).pipe(Effect.provide(NodeServices.layer))
