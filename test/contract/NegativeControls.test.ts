import { TokenStore } from "@effect-baton/core"
import { TokenStoreContract } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import * as Claims from "../support/faultyClaims.ts"
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
    const named = TokenStoreContract.laws(options).filter(({ name }) => name in expected)
    const verdict = ({ check, name }: TokenStoreContract.Law) =>
      // Each has a clock of its own, as they are checked at once.
      Effect.provide(check, [Layer.orDie(store), TestClock.layer()], { local: true }).pipe(
        Effect.as(kept),
        Effect.catchTag("ContractViolation", ({ message }) => Effect.succeed(message)),
        Effect.map((found) => [name, found] as const)
      )
    const found = yield* Effect.forEach(named, verdict, { concurrency: "unbounded" })
    assert.deepStrictEqual(Object.fromEntries(found), expected)
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
      "a claim counts one attempt for its lease, and promises the run to its consumer": kept
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

  const claims: ReadonlyArray<readonly [string, Store, Verdicts]> = [
    [
      "has no parts",
      Claims.partless,
      { "the parts of a store are there, and stay the same": "how many parts there are" }
    ],
    [
      "does not give all that is due",
      Claims.losesSome,
      {
        "claims in all parts find all that is work, each run once, with a lease that holds": "the runs that were taken",
        "ten thousand runs are kept, listed in order once each, and found by what they are":
          "each run that is work is claimed once",
        "only runs of the agents that are asked for are claimed": kept
      }
    ],
    ["gives the last first", Claims.lastFirst, { "those that were due first are claimed first": "the order" }],
    [
      "gives runs of any agent",
      Claims.ofAnyAgent,
      {
        "only runs of the agents that are asked for are claimed": "of no agent",
        "those that were due first are claimed first": kept
      }
    ],
    ["gives more than is wanted", Claims.oneMore, { "no more are claimed than wanted, and none if none is": "with 0" }],
    [
      "does not know who asks again",
      Claims.forgetsOwners,
      {
        "a claim that is repeated answers what its owner holds, with new ends, and counts nothing twice":
          "the same runs, before others",
        "a claim may be repeated after a timeout": "the runs",
        "of many who claim at once each run goes to one": kept
      }
    ],
    [
      "does not say when the next run is due",
      Claims.withoutNext,
      { "a claim tells when the next run is due, or the next lease ends": "when one is due later" }
    ],
    [
      "gives no run that was held or tried before",
      Claims.shunsUsed,
      {
        "a run whose lease ended is claimed, and who held it has lost it": "a claim of a must take one run",
        "a retry that is under way is taken up by a claim": "a claim of worker must take one run"
      }
    ],
    [
      "looks for work and takes it in two steps",
      Claims.looksFirst,
      {
        "what is held, parked, over, waiting or due later is not claimed": "none is taken",
        "of many who claim at once each run goes to one": "each run is taken by one of them",
        "a claim and a decision at once do not both have the run": "and has an attempt",
        "a claim counts one attempt for its lease, and promises the run to its consumer":
          "the answer to the first claim"
      }
    ],
    [
      "promises nothing to a consumer",
      Claims.promisesNothing,
      { "a run may be promised to a consumer from its creation on": "the answer" }
    ],
    [
      "keeps no input",
      Claims.withoutInputs,
      {
        "an input comes back as it was, to whoever takes the run or claims it": "the record says that there is one",
        "nobody else is shown an input": "though it is kept"
      }
    ],
    ["keeps the beginning of an input", Claims.cutsInputs, { "an input may be megabytes": "it comes back as it was" }],
    ["shows inputs", Claims.showsInputs, { "nobody else is shown an input": "its text is in no other answer" }],
    [
      "never forgets an input",
      Claims.keepsInputs,
      {
        "an input that is kept to the end goes when the run ended well, and stays when it failed":
          "the input of completed after Ended",
        "an input that is kept until a response is accepted goes with the first one":
          "the input of accepted after Accepted",
        "an input goes by whatever way its end comes": "with a commit",
        "an input is gone with its run": "a new run of its name has none"
      }
    ],
    ["relies on hints", Claims.relyingOnHints, { "work is found without hints": "what a claim finds" }],
    [
      "does not know which runs wait",
      Claims.neverWaiting,
      {
        "a listing by status has the runs whose records stand there, through all that happens to them":
          "the runs of waiting, when only a fact makes it work",
        "counts runs by where they stand, as a listing has them": "how many are queued of {}"
      }
    ],
    [
      "does not filter",
      Claims.unfiltered,
      {
        "filters by being parked, status and agent": 'the runs of {"parked":true}',
        "all filters together hold, page by page": "the runs that fulfil all of it",
        "labels come back as they were, up to eight of them": "the runs of the label l-0"
      }
    ],
    [
      "keeps no labels",
      Claims.withoutLabels,
      { "labels come back as they were, up to eight of them": "in the answer" }
    ],
    [
      "counts the runs of all agents together",
      Claims.countsAll,
      { "counts runs by where they stand, as a listing has them": 'how many are queued of {"agent":"analyst"}' }
    ]
  ]
  // Each of them is listened to for some seconds of real time.
  const hints: ReadonlyArray<readonly [Store, Verdicts]> = [
    [
      Claims.silent,
      {
        "a run that becomes work gives a hint, and a claim there finds it": "no hint of a run that is created came",
        "who records a fact without the lease gives a hint of the run, with the writer's name":
          "no hint of a run whose holder is to know of a fact came",
        "the end of a run gives a hint of it": "no hint of a run that ended came",
        "who wakes a run gives a hint of it, and changes nothing": "no hint of a run that is woken came",
        "hints begin with each part of the store, whoever else listens": kept
      }
    ],
    [
      Claims.beginsSilent,
      {
        "hints begin with each part of the store, whoever else listens": "no hint for each part, to begin with, came"
      }
    ],
    [
      Claims.vague,
      {
        "a run that becomes work later gives a hint that says when": "no hint of a run that is created for later came",
        "who records a fact without the lease gives a hint of the run, with the writer's name": "who wrote the fact",
        "the end of a run gives a hint of it": "who wrote it"
      }
    ]
  ]
  it.effect("notices a store that tells no hints, not those to begin with, or not whose and when", () =>
    Effect.forEach(hints, ([store, expected]) => verdicts(store, expected), { concurrency: "unbounded" })
  )

  it.effect.each(claims)("notices a store that %s", ([, store, expected]) => verdicts(store, expected))

  const times = { retention: "10 minutes", abandonedAfter: "30 minutes" } as const
  const forgetting = (layer: Layer.Layer<TokenStore.TokenStore>) => ({ ...times, layer: Effect.succeed(layer) })

  it.effect("notices a store that forgets nothing", () =>
    verdicts(
      TokenStore.layerMemory,
      {
        "what is over is kept for its time, and then gone from everything": "what is listed after it",
        "what is not over is kept until nothing came for it for long": "what is there long after it",
        "a run that is held is not forgotten, however long": kept,
        "a run that is due later counts from then": "it is gone after its time",
        "a run whose time is over is no more, and its id is free for a new one": "a fact of it"
      },
      { retention: forgetting(TokenStore.layerMemory) }
    )
  )

  it.effect("notices a store that forgets what is not over", () =>
    verdicts(
      TokenStore.layerMemory,
      {
        "what is over is kept for its time, and then gone from everything": kept,
        "what is not over is kept until nothing came for it for long": "what is there when others are gone",
        "a run that is held is not forgotten, however long": "the run 'r-1' is missing"
      },
      { retention: forgetting(TokenStore.memory({ retention: "10 minutes", abandonedAfter: "10 minutes" })) }
    )
  )

  it.effect("notices a store that forgets what is held, or due later", () =>
    verdicts(
      TokenStore.layerMemory,
      {
        "a run that is held is not forgotten, however long": "what is there",
        "a run that is due later counts from then": "it is there when it is due"
      },
      { retention: forgetting(Claims.hidesOld(Duration.minutes(30))) }
    )
  )

  it.effect("notices a store that remembers too much, or too little, when it is opened again", () =>
    Effect.gen(function* () {
      const law = "a run that takes the place of one whose time is over is itself after closing and opening again"
      const reopen = Effect.succeed(TokenStore.layerMemory)
      yield* verdicts(
        TokenStore.layerMemory,
        { [law]: "the run 'r-1' is missing" },
        { reopen, retention: forgetting(TokenStore.memory(times)) }
      )
      yield* verdicts(
        TokenStore.layerMemory,
        { "an input outlives the closing, as long as it is kept": "an input that is kept" },
        { reopen: Claims.losesInputs }
      )
    })
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
      if (Result.isFailure(promised)) assert.include(String(promised.failure), "remove it from `except`")
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
    const names = TokenStoreContract.laws({ reopen: undurable, retention: forgetting(TokenStore.layerMemory) }).map(
      ({ name }) => name
    )
    assert.deepStrictEqual(names, [...new Set(names)])
  })
})
