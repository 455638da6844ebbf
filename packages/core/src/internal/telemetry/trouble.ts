import * as Effect from "effect/Effect"

/** Trouble that comes and goes: one line in the log when it starts, and one when it is over. */
export class Trouble {
  private readonly annotations: Readonly<Record<string, string>>
  private current: string | undefined

  constructor(annotations: Readonly<Record<string, string>>) {
    this.annotations = annotations
  }

  /** Something failed. Only the first time since the last success is told. */
  began(what: string, why: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.current !== undefined) return Effect.void
      this.current = what
      return this.told(Effect.logWarning(`baton: ${what}`, why))
    })
  }

  /** It works again. */
  ended(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.current === undefined) return Effect.void
      const what = this.current
      this.current = undefined
      return this.told(Effect.logInfo(`baton: over: ${what}`))
    })
  }

  private told(line: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.annotateLogs(line, this.annotations)
  }
}
