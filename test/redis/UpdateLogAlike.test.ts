import { UpdateLog } from "@effect-baton/core"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Option, Result, Schema } from "effect"
import { law } from "../support/law.ts"
import { describeShared } from "../support/redisServer.ts"
import { chunkOf, idOf, type Log, logOn } from "./logs.ts"

const Id = Schema.Literals(["r-1", "é👍"])
const small = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

// Small ranges, so that steps meet.
const Step = Schema.TaggedUnion({
  Open: { id: Id, epoch: small(1, 4) },
  // The chunk begins this far before the end of the log.
  Append: { id: Id, behind: small(-2, 6), count: small(0, 3), epoch: small(1, 4), ended: Schema.Boolean },
  // Repeats one of the last appends.
  Again: { id: Id, nth: small(0, 4) },
  Read: { id: Id, from: small(-1, 20), limit: small(0, 4) },
  Truncate: { id: Id, before: small(-1, 20) },
  Remove: { id: Id }
})
type Step = typeof Step.Type
// Most steps are appends.
const Steps = Schema.Array(Schema.Union([Step, Step.cases.Append, Step.cases.Append, Step.cases.Append])).check(
  Schema.isMaxLength(60)
)

const lengthOf = (log: Log, id: string) =>
  Effect.map(
    Effect.option(log.read(idOf(id), { from: 1000, limit: 1 })),
    Option.match({ onNone: () => 0, onSome: (page) => page.length })
  )

/** Applies a step to a log. */
const apply = (
  log: Log,
  step: Step,
  length: number,
  appended: ReadonlyArray<UpdateLog.Chunk>
): Effect.Effect<unknown, unknown> => {
  const id = idOf(step.id)
  switch (step._tag) {
    case "Open":
      return log.open(id, step.epoch)
    case "Append":
      return log.append(id, appendOf(step, length))
    case "Again":
      return Effect.suspend(() => {
        const chunk = appended.at(-1 - step.nth)
        return chunk === undefined ? Effect.void : log.append(id, chunk)
      })
    case "Read":
      return log.read(id, step)
    case "Truncate":
      return log.truncate(id, step.before)
    case "Remove":
      return log.remove(id)
  }
}

const appendOf = ({ behind, count, ended, epoch }: Extract<Step, { _tag: "Append" }>, length: number) =>
  chunkOf(Math.max(0, length - behind), { count, ended, epoch, body: `é ${length} ${count} ${epoch}` })

// The message of a failure contains all its fields.
const plain = (result: Result.Result<unknown, unknown>): unknown =>
  Result.match(result, {
    onFailure: (failure) => ({ failed: String(failure) }),
    onSuccess: (value) => ({ value: value ?? null })
  })

describeShared("update logs", (server) => {
  law(
    "the logs in memory and in Redis give the same results for all operations",
    [Steps],
    ([steps]) =>
      Effect.gen(function* () {
        const build = (layer: Layer.Layer<UpdateLog.UpdateLog>) =>
          Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, UpdateLog.UpdateLog))
        const memory = yield* build(UpdateLog.layerMemory)
        const redis = yield* build(logOn(server))
        const appended: Record<string, Array<UpdateLog.Chunk>> = {}
        for (const [i, step] of steps.entries()) {
          const length = yield* lengthOf(memory, step.id)
          const known = (appended[step.id] ??= [])
          const [first, second] = yield* Effect.all([
            Effect.result(apply(memory, step, length, known)),
            Effect.result(apply(redis, step, length, known))
          ])
          assert.deepStrictEqual(plain(second), plain(first), `step ${i}: ${JSON.stringify(step)}`)
          if (step._tag === "Append") known.push(appendOf(step, length))
        }
        for (const id of Id.literals) {
          const reading = (log: Log, from: number) => Effect.result(log.read(idOf(id), { from, limit: 100 }))
          for (let from = 0; from < 30; from++) {
            assert.deepStrictEqual(plain(yield* reading(redis, from)), plain(yield* reading(memory, from)))
          }
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 100, maxShrinks: 300 } }
  )
})
