import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { RunId } from "../../Run.ts"
import * as Schema from "effect/Schema"
import type { Chunk } from "../../UpdateChunk.ts"

// A line of the file is `[version, run id, what, …]`. Every later version must keep these three.
//
//   [1, id, "open", at, epoch]                                an epoch opened the log
//   [1, id, "add", at, from, count, epoch, ended, body]       a chunk was appended
//   [1, id, "cut", before]                                    the chunks before an offset were removed
//   [1, id, "gone"]                                           the log of the run was removed
//
// `at` is in milliseconds since the epoch: the retention of a log counts from its last one.

const version = 1

/** The content of a line. */
export type Line = { readonly runId: RunId } & (
  | { readonly what: "open"; readonly at: number; readonly epoch: number }
  | { readonly what: "add"; readonly at: number; readonly chunk: Chunk }
  | { readonly what: "cut"; readonly before: number }
  | { readonly what: "gone" }
)

export const encode = (line: Line): string => {
  switch (line.what) {
    case "open":
      return JSON.stringify([version, line.runId, line.what, line.at, line.epoch])
    case "add": {
      const { body, count, ended, epoch, from } = line.chunk
      return JSON.stringify([version, line.runId, line.what, line.at, from, count, epoch, ended, body])
    }
    case "cut":
      return JSON.stringify([version, line.runId, line.what, line.before])
    case "gone":
      return JSON.stringify([version, line.runId, line.what])
  }
}

const isRunId = Schema.is(RunId)

/** Decodes a line. `newer`: a later version of Baton may have written it. `foreign`: no version has written it. */
export const decode = (payload: string): Result.Result<Line, "foreign" | "newer"> =>
  Result.flatMap(
    Result.mapError(
      Result.try((): unknown => JSON.parse(payload)),
      () => "foreign" as const
    ),
    (parts) => {
      if (!Array.isArray(parts)) return Result.fail("foreign")
      const [of, runId, what, ...rest]: ReadonlyArray<unknown> = parts
      if (!Predicate.isNumber(of) || !Predicate.isString(runId)) return Result.fail("foreign")
      const line = of === version && isRunId(runId) ? lineOf(runId, what, rest) : undefined
      return line === undefined ? Result.fail("newer") : Result.succeed(line)
    }
  )

const lineOf = (runId: RunId, what: unknown, rest: ReadonlyArray<unknown>): Line | undefined => {
  const [first, second, count, epoch, ended, body] = rest
  if (what === "gone") return { runId, what }
  if (!Predicate.isNumber(first)) return undefined
  if (what === "cut") return { runId, what, before: first }
  if (!Predicate.isNumber(second)) return undefined
  if (what === "open") return { runId, what, at: first, epoch: second }
  return what === "add" &&
    Predicate.isNumber(count) &&
    Predicate.isNumber(epoch) &&
    Predicate.isBoolean(ended) &&
    Predicate.isString(body)
    ? { runId, what, at: first, chunk: { from: second, count, epoch, ended, body } }
    : undefined
}
