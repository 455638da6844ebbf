import { type TokenStore, type UpdateLog } from "@effect-baton/core"
import { Effect } from "effect"
import type { Faults } from "./chaos.ts"

type Log = UpdateLog.UpdateLog["Service"]
type Store = TokenStore.TokenStore["Service"]

// Logs and stores that break a rule of logged runs, each in one way.

/** A log that does not check epochs. */
export const unfenced = (inner: Log): Log => ({
  ...inner,
  open: (runId, epoch) =>
    Effect.catchTag(inner.open(runId, epoch), "LogFenced", (fenced) => inner.open(runId, fenced.epoch)),
  append: (runId, chunk) =>
    Effect.catchTag(inner.append(runId, chunk), "LogFenced", ({ epoch }) => inner.append(runId, { ...chunk, epoch }))
})

const later = (effect: Effect.Effect<unknown, unknown>) =>
  Effect.forkDetach(Effect.ignore(Effect.delay(effect, "300 millis")), { startImmediately: true })

/** A log that says that a chunk is stored before it is. */
const early = (inner: Log, isEarly: (chunk: UpdateLog.Chunk) => boolean): Log => ({
  ...inner,
  append: (runId, chunk) =>
    isEarly(chunk)
      ? Effect.as(later(inner.append(runId, chunk)), { length: chunk.from + chunk.count, bytes: 0 })
      : inner.append(runId, chunk)
})

export const deliversFirst: Faults = { log: (inner) => early(inner, ({ from }) => from === 0) }

/** A log that says that its end is stored before it is. */
export const endsFirst: Faults = { log: (inner) => early(inner, ({ ended }) => ended) }

/** A log that does not store that it has ended. */
export const endless: Faults = {
  log: (inner) => ({ ...inner, append: (runId, chunk) => inner.append(runId, { ...chunk, ended: false }) })
}

/** A store that writes a later position than the one that was acknowledged. */
export const acknowledgesMore = (more: number): Faults => ({
  store: (inner) => ({
    ...inner,
    commit: (lease, { position, ...rest }) =>
      inner.commit(lease, {
        ...rest,
        ...(position === undefined
          ? {}
          : { position: { ...position, token: { ...position.token, offset: position.token.offset + more } } })
      })
  })
})

/** A store that says that facts are written before they are. */
export const updatesFirst: Faults = {
  store: (inner: Store) => ({
    ...inner,
    commit: (lease, commit) =>
      commit.facts?.some(({ _tag }) => _tag === "ResponseEnded") === true
        ? Effect.as(later(inner.commit(lease, commit)), {
            outcome: "written" as const,
            facts: commit.facts.map((fact) => ({ ...fact, at: 0 }))
          })
        : inner.commit(lease, commit)
  })
}

/** A log whose readers do not get the chunk with the third update. */
export const skips: Faults = {
  log: (inner) => ({
    ...inner,
    read: (runId, options) =>
      Effect.map(inner.read(runId, options), (page) => ({
        ...page,
        chunks: page.chunks.filter(({ count, from }) => from > 6 || from + count <= 6)
      }))
  })
}

/** A log in which readers find other texts in a chunk, each time. */
export const forges = (): Faults => {
  let times = 0
  return {
    log: (inner) => ({
      ...inner,
      read: (runId, options) =>
        Effect.map(inner.read(runId, options), (page) => ({
          ...page,
          chunks: page.chunks.map((chunk) => ({ ...chunk, body: chunk.body.replace("a1 ", `a${++times % 7} `) }))
        }))
    })
  }
}
