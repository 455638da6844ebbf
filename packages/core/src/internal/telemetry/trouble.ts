import * as Effect from "effect/Effect"

/** A temporary failure: writes one line to the log when it begins, and one when it has ended. */
export class Trouble {
  private readonly annotations: Readonly<Record<string, string>>
  private current: string | undefined

  constructor(annotations: Readonly<Record<string, string>>) {
    this.annotations = annotations
  }

  /** Called at each failure. Only the first since the last success is logged. */
  began(what: string, why: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.current !== undefined) return Effect.void
      this.current = what
      return this.told(Effect.logWarning(`baton: ${what}`, why))
    })
  }

  /** Called at each success. */
  ended(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.current === undefined) return Effect.void
      const what = this.current
      this.current = undefined
      return this.told(Effect.logInfo(`baton: recovered: ${what}`))
    })
  }

  private told(line: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.annotateLogs(line, this.annotations)
  }
}
