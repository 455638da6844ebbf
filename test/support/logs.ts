import { type Layer, Logger, References } from "effect"

/** Writes down the lines of the log, with their annotations, and when they came, in milliseconds. */
export const logged = (): {
  readonly lines: ReadonlyArray<string>
  readonly times: ReadonlyArray<number>
  readonly layer: Layer.Layer<never>
} => {
  const lines: Array<string> = []
  const times: Array<number> = []
  const logger = Logger.make(({ date, fiber, logLevel, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    times.push(date.getTime())
    lines.push(`${logLevel} ${String(message)} ${JSON.stringify(annotations)}`)
  })
  return { lines, times, layer: Logger.layer([logger]) }
}
