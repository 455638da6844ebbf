// The four rules of logged runs under random schedules: workers die, stand still and are stolen from, the store and the log
// fail or lose answers, consumers leave, somebody cancels, and the log loses its end. Everything that reads is written down.
import { assert, describe } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { law } from "../support/law.ts"
import { type Event, violations } from "./history.ts"
import * as Playing from "./play.ts"

const Plan = Schema.Struct({
  seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 })),
  turns: Schema.Literals([1, 2]),
  fails: Schema.Boolean,
  cancels: Schema.Boolean,
  thieves: Schema.Literals([0, 1, 4]),
  viewers: Schema.Literals([1, 4])
})

/** Whether the log lost something after it said that the run has ended: nobody writes that again. */
const hasLostEnd = (history: ReadonlyArray<Event>): boolean =>
  history.findLastIndex(({ what }) => what === "lost") >
  history.findIndex((event) => event.what === "append" && event.ended)

const judged = Effect.fnUntraced(function* (plan: Playing.Plan) {
  const { history, record } = yield* Playing.play(plan).pipe(Effect.provide(Playing.services(plan)))
  assert.isDefined(record)
  const { ended } = Playing.stateOf(record)
  const said = ended?.status === "completed" ? Playing.saidIn(plan) : undefined
  assert.strictEqual(violations(history, () => said).join("\n"), "")
  if (ended === undefined) return assert.isNotNull(record.parked, "the run stands still")
  if (ended.reason !== undefined || (plan.losses > 0 && hasLostEnd(history))) return
  const late = history.findLast((event) => event.what === "stops" && event.worker.startsWith("late viewer"))
  assert.strictEqual(late?.what === "stops" ? late.how : "none", "ended", "a late viewer saw the end")
}, Effect.scoped)

const runs = Number(process.env["LOGGED_RUNS"] ?? 100)

describe("logged runs under random schedules", () => {
  law("keep the four rules, and every reader sees one story", [Plan], ([plan]) => judged({ ...plan, losses: 0 }), {
    arbitrary: { runs }
  })

  law("keep them if the log loses its end", [Plan], ([plan]) => judged({ ...plan, losses: 2 }), { arbitrary: { runs } })
})
