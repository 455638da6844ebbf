// The checker of logged runs is not blind: over a log or a store that breaks a rule, it names the rule.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Faults } from "./chaos.ts"
import * as Faulty from "./faults.ts"
import { violations } from "./history.ts"
import * as Playing from "./play.ts"

const plan = (seed: number): Playing.Plan => ({
  seed,
  turns: 1,
  fails: false,
  cancels: false,
  thieves: 4,
  viewers: 4,
  losses: 0
})

/** Plays schedules until the checker names this. */
const named = (why: RegExp, faults?: Faults, place?: Playing.Place) =>
  Effect.gen(function* () {
    const all: Array<string> = []
    for (let seed = 0; seed < 40; seed++) {
      const played = Playing.play(plan(seed), faults, place).pipe(Effect.provide(Playing.services(plan(seed))))
      const { history } = yield* Effect.scoped(played)
      const found = violations(history, () => Playing.saidIn(plan(seed)))
      if (found.some((what) => why.test(what))) return
      all.push(...found)
    }
    assert.fail(`it named only: ${all.join("\n") || "nothing"}`)
  })

describe("the checker of logged runs", () => {
  it.effect("names a log that does not check epochs", () =>
    named(/fence: an append under \d+ succeeded after/, undefined, Faulty.unfenced)
  )

  it.effect("names updates that are delivered before they are in the log", () =>
    named(/rule 2: .* saw \d+\.\d+ before it was appended/, Faulty.deliversFirst)
  )

  it.effect("names an end that is recorded before the log has it", () =>
    named(/rule 4: Ended was written before the log had ended/, Faulty.endsFirst)
  )

  it.effect("names an end that the log never has", () =>
    named(/rule 4: Ended was written before the log had ended/, Faulty.endless)
  )

  it.effect("names an acknowledgement above the length of the log", () =>
    named(/rule 3: \d+ was acknowledged, and the log had \d+/, Faulty.acknowledgesMore(40))
  )

  it.effect("names an acknowledgement of what was not delivered", () =>
    named(/rule 3: .* acknowledged \d+, and had delivered \d+/, Faulty.acknowledgesMore(1))
  )

  it.effect("names updates in the log before the fact that causes them", () =>
    named(/rule 1: update .* was appended before the end of resp_1 was written/, Faulty.updatesFirst)
  )

  it.effect("names a reader that missed updates", () => named(/readers: .* saw \d+ after \d+/, Faulty.skips))

  it.effect("names readers that saw different updates", () => named(/readers: .* saw another update/, Faulty.forges()))
})
