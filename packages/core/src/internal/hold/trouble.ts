import * as Effect from "effect/Effect"

/** Trouble that comes and goes: one line in the log when it starts, and one when it is over. */
export interface Trouble {
  /** Something failed. Only the first time since the last success is told. */
  readonly began: (what: string, why: string) => Effect.Effect<void>
  /** It works again. */
  readonly ended: Effect.Effect<void>
}

export const make = (annotations: Readonly<Record<string, string>>): Trouble => {
  let current: string | undefined
  return {
    began: (what, why) =>
      Effect.suspend(() => {
        if (current !== undefined) return Effect.void
        current = what
        return Effect.annotateLogs(Effect.logWarning(`baton: ${what}`, why), annotations)
      }),
    ended: Effect.suspend(() => {
      if (current === undefined) return Effect.void
      const what = current
      current = undefined
      return Effect.annotateLogs(Effect.logInfo(`baton: over: ${what}`), annotations)
    })
  }
}
