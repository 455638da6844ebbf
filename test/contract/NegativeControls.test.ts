import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { unatomic, undurable, unfenced } from "../support/faultyStores.ts"

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
      "who takes a held run over holds it, and the old holder has lost it": "a commit by the old holder",
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
