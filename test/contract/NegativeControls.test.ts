import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import {
  forgetsToWake,
  keepsAttempts,
  lastWins,
  removesAll,
  unatomic,
  undurable,
  unfenced,
  unguarded,
  unincarnated
} from "../support/faultyStores.ts"

type Store = Layer.Layer<TokenStore.TokenStore, unknown>
type Verdicts = Partial<Record<TokenStoreContract.LawName, string>>

const kept = "kept"

/** Checks the laws that are named, each by itself: a broken one must say what is wrong in these words. */
const verdicts = (store: Store, expected: Verdicts, options: TokenStoreContract.Options = {}) =>
  Effect.gen(function* () {
    const found: Verdicts = {}
    for (const { check, name } of TokenStoreContract.laws(options)) {
      if (!(name in expected)) continue
      found[name] = yield* Effect.provide(check, Layer.orDie(store), { local: true }).pipe(
        Effect.as(kept),
        Effect.catchTag("ContractViolation", ({ message }) => Effect.succeed(message))
      )
    }
    assert.deepStrictEqual(found, expected)
  })

/** Registers the suite with a runner that keeps its tests, and runs the one of this title. */
const suiteOf = (store: Store, options: TokenStoreContract.Options) => {
  const tests = new Map<string, Effect.Effect<void, unknown>>()
  const add = (name: string, body: () => Effect.Effect<void, unknown>) => void tests.set(name, Effect.suspend(body))
  const runner = { describe: (_: string, body: () => void) => body(), it: { effect: add, live: add } }
  TokenStoreContract.suite(runner, "tried", store, options)
  return (title: string) => Effect.result(tests.get(title) ?? Effect.die(`There is no test "${title}"`))
}

describe("the contract of token stores", () => {
  it.effect("notices a store without fencing", () =>
    verdicts(unfenced, {
      "who lost a lease writes nothing, though it is the same owner again": "a commit by the lost lease",
      "an old fence commits nothing, however high its ordinal": "commit 1 by the lost lease",
      "who steals a held run holds it, and the old holder has lost it": "a commit by the old holder",
      "a lease ends with its time": "a commit after the lease ended",
      "of many who acquire at once, one does": kept,
      "the same commit again, and an earlier one, succeed and change nothing": kept
    })
  )

  it.effect("notices a store that is not atomic", () =>
    verdicts(unatomic, {
      "of many who create a run at once, one does": "one creates the run",
      "of many who acquire at once, one does": "one acquires the run",
      "a lease ends with its time": kept,
      "commits at once end with the highest": kept
    })
  )

  it.effect("notices a store without guards", () =>
    verdicts(unguarded, {
      "a guarded commit writes nothing if facts came that its writer has not seen": "the outcome",
      "a guard keeps a position by itself away too": "the outcome",
      "of many decisions at once that rest on the same facts, one is written": "one is written",
      "a decision is not written if facts came that its writer has not seen": "the answer",
      "a decision may be repeated after a timeout, whatever came in between": kept,
      "without a guard facts of others keep nothing away": kept
    })
  )

  it.effect("notices a store in which the last fact of a key counts", () =>
    verdicts(lastWins, {
      "the first fact of a key counts, in commits and records alike": "the answer",
      "a commit writes facts and position together": kept,
      "each kind of fact comes back as it was": kept,
      "the same commit again, and an earlier one, succeed and change nothing": kept
    })
  )

  it.effect("notices a store that ignores incarnations", () =>
    verdicts(unincarnated, {
      "a fact of a run that was created again is refused, and the new run keeps its own": "Accepted of the run before",
      "facts of an incarnation before a retry are recorded": "before the retry",
      "a decision for a run that is not there, or was created again, is refused": "the run was created again",
      "a fact of a run that is not there is refused, and its writer told": kept
    })
  )

  it.effect("notices a store that leaves a run alone though facts came", () =>
    verdicts(forgetsToWake, {
      "who leaves a run without having seen all its facts leaves it as work": "the run is work",
      "no fact slips between the look and the leaving": "every run is work",
      "who leaves a run says when it is work again": kept
    })
  )

  it.effect("notices a store that takes no attempt back", () =>
    verdicts(keepsAttempts, {
      "who leaves a run gives its attempt back, keeps it, or has all forgotten": "given back",
      "a lease that was lost gives its attempt back all the same, and nothing else": "one is given back",
      "an attempt is counted once for each lease, and promises the run to its consumer": kept
    })
  )

  it.effect("notices a store that forgets what was bought", () =>
    verdicts(removesAll, {
      "a run stays while the outcome of a request is unknown, unless it is forced": "the answer",
      "a run stays while a response may be running that is no turn's, unless it is forced":
        "a second response of a turn",
      "only who holds a run removes it": kept
    })
  )

  it.effect("notices a store that is not durable", () =>
    verdicts(
      Layer.unwrap(undurable),
      {
        "what was reported done is there after closing and opening again": "the runs",
        "the very last answer before the closing counts too": "what operation 1 did",
        "a lease ends with its time": kept,
        "of two who open the place at once, one gets a run": kept
      },
      { reopen: undurable }
    )
  )

  it.effect("says what was expected, and what came", () =>
    Effect.gen(function* () {
      const result = yield* suiteOf(unatomic, {})("of many who acquire at once, one does")
      assert.isTrue(Result.isFailure(result))
      if (Result.isFailure(result)) {
        assert.instanceOf(result.failure, TokenStoreContract.ContractViolation)
        assert.deepInclude(result.failure, { message: "one acquires the run", expected: 1, actual: 64 })
      }
    })
  )

  it.effect("holds exceptions true: what a store does not promise, it breaks", () =>
    Effect.gen(function* () {
      const run = suiteOf(unatomic, { except: ["of many who acquire at once, one does", "a lease ends with its time"] })
      assert.isTrue(Result.isSuccess(yield* run("not promised: of many who acquire at once, one does")))
      const promised = yield* run("not promised: a lease ends with its time")
      assert.isTrue(Result.isFailure(promised))
      if (Result.isFailure(promised)) assert.include(String(promised.failure), "take it out of `except`")
    })
  )

  it.effect("tries no law of durability without a way to reopen, and takes no exception from one", () =>
    Effect.gen(function* () {
      const law = "the very last answer before the closing counts too"
      assert.isFalse(TokenStoreContract.laws().some(({ name }) => name === law))
      const result = yield* suiteOf(TokenStore.layerMemory, { except: [law] })(`not promised: ${law}`)
      assert.isTrue(Result.isFailure(result))
    })
  )

  it("names each law once", () => {
    const names = TokenStoreContract.laws({ reopen: undurable }).map(({ name }) => name)
    assert.deepStrictEqual(names, [...new Set(names)])
  })
})
