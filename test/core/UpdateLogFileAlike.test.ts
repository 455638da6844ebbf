import { NodeServices } from "@effect/platform-node"
import { assert, describe } from "@effect/vitest"
import { UpdateLog } from "@effect-baton/core"
import { Duration, Effect, Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { idOf, layerFile, type Service, temporary, using } from "../support/fileLogs.ts"
import { law } from "../support/law.ts"

const runs = ["r-1", "r-2"]
const Run = Schema.Literals(runs)
const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
const Epoch = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))

// Offsets are relative to the end of the log, so that most appends succeed.
const Step = Schema.Union([
  Schema.TaggedStruct("Open", { run: Run, epoch: Epoch }),
  Schema.TaggedStruct("Append", { run: Run, epoch: Epoch, behind: Small, count: Small, ended: Schema.Boolean }),
  Schema.TaggedStruct("Append", {
    run: Run,
    epoch: Epoch,
    behind: Schema.Literal(0),
    count: Small,
    ended: Schema.Boolean
  }),
  Schema.TaggedStruct("Again", { run: Run }),
  Schema.TaggedStruct("Truncate", { run: Run, behind: Small }),
  Schema.TaggedStruct("Remove", { run: Run }),
  // A log is kept for 30 days.
  Schema.TaggedStruct("Wait", { run: Run, days: Schema.Literals([1, 10, 16, 31]) }),
  Schema.TaggedStruct("Reopen", {})
])
type Step = typeof Step.Type

/** The length of each log, and the chunk that was appended last. */
interface Played {
  readonly length: Map<string, number>
  readonly last: Map<string, UpdateLog.Chunk>
}

const play = (log: Service, step: Exclude<Step, { readonly _tag: "Reopen" }>, { last, length }: Played, i: number) =>
  Effect.gen(function* () {
    const id = idOf(step.run)
    const end = length.get(step.run) ?? 0
    switch (step._tag) {
      case "Open":
        return yield* log.open(id, step.epoch)
      case "Append": {
        const { behind, count, ended, epoch } = step
        const chunk = { from: Math.max(0, end - behind), count, epoch, ended, body: `${i}\n${"é".repeat(i % 50)}` }
        last.set(step.run, chunk)
        return yield* log.append(id, chunk)
      }
      case "Again": {
        const chunk = last.get(step.run)
        return chunk === undefined ? undefined : yield* log.append(id, chunk)
      }
      case "Truncate":
        return yield* log.truncate(id, Math.max(0, end - step.behind))
      case "Remove":
        return yield* log.remove(id)
      case "Wait":
        return yield* Effect.void
    }
  }).pipe(Effect.result)

const shown = (result: Result.Result<unknown, { readonly _tag: string }>) =>
  Result.isSuccess(result) ? result.success : JSON.stringify(result.failure)

/** What can be read of both runs from each offset. */
const seen = (log: Service, { length }: Played) =>
  Effect.forEach(runs, (run) =>
    Effect.forEach(
      Array.from({ length: (length.get(run) ?? 0) + 2 }, (_, i) => i),
      (from) => Effect.map(Effect.result(log.read(idOf(run), { from, limit: 3 })), shown)
    )
  )

describe("file log: compared with the log in memory", () => {
  law(
    "both give the same results for all operations, also after closing and opening again",
    { steps: Schema.Array(Step).check(Schema.isMaxLength(40)) },
    ({ steps }) =>
      Effect.gen(function* () {
        const directory = yield* temporary
        const played: Played = { length: new Map(), last: new Map() }
        const memory = yield* Effect.provide(UpdateLog.UpdateLog, yield* Layer.build(UpdateLog.layerMemory))
        // The steps between two closings.
        const parts: Array<Array<readonly [number, Exclude<Step, { readonly _tag: "Reopen" }>]>> = [[]]
        for (const [i, step] of steps.entries()) {
          if (step._tag === "Reopen") parts.push([])
          else parts.at(-1)?.push([i, step])
        }
        for (const part of parts) {
          yield* using(directory, (log) =>
            Effect.gen(function* () {
              for (const [i, step] of part) {
                if (step._tag === "Wait") yield* TestClock.adjust(Duration.days(step.days))
                const other = { length: played.length, last: new Map(played.last) }
                const expected = yield* play(memory, step, played, i)
                assert.deepStrictEqual(shown(yield* play(log, step, other, i)), shown(expected), `step ${i}`)
                const page = yield* Effect.result(memory.read(idOf(step.run), { from: 1_000, limit: 0 }))
                played.length.set(step.run, Result.isSuccess(page) ? page.success.length : 0)
              }
              assert.deepStrictEqual(yield* seen(log, played), yield* seen(memory, played))
            })
          )
        }
        yield* Effect.scoped(
          Effect.gen(function* () {
            const log = yield* Effect.provide(UpdateLog.UpdateLog, yield* Layer.build(layerFile(directory)))
            assert.deepStrictEqual(yield* seen(log, played), yield* seen(memory, played))
          })
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
