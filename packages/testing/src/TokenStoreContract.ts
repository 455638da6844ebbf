/**
 * The contract of token stores, as tests: one call checks a store, including one that you wrote.
 *
 * @since 0.1.0
 */
import { type RunRecord, TokenStore } from "@effect-baton/core"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import * as TestClock from "effect/testing/TestClock"
import { attempts } from "./internal/contract/attempts.ts"
import * as Bench from "./internal/contract/bench.ts"
import { claiming } from "./internal/contract/claiming.ts"
import { commits } from "./internal/contract/commits.ts"
import { concluding } from "./internal/contract/concluding.ts"
import { creation } from "./internal/contract/creation.ts"
import { durability } from "./internal/contract/durability.ts"
import { guards } from "./internal/contract/guards.ts"
import { hints } from "./internal/contract/hints.ts"
import { inputs } from "./internal/contract/inputs.ts"
import { leases } from "./internal/contract/leases.ts"
import { leaving } from "./internal/contract/leaving.ts"
import { listing } from "./internal/contract/listing.ts"
import { recording } from "./internal/contract/recording.ts"
import { removal } from "./internal/contract/removal.ts"
import { repetition } from "./internal/contract/repetition.ts"
import { type Forgetting, retention, retentionOfPlaces } from "./internal/contract/retention.ts"
import { scale } from "./internal/contract/scale.ts"
import { stealing } from "./internal/contract/stealing.ts"
import type { Runner } from "./ContractRunner.ts"
import type { ContractViolation } from "./ContractViolation.ts"
import * as Suite from "./internal/contract/suite.ts"

const themed = <Name extends string, Subject>(
  about: string,
  laws: Readonly<Record<Name, (subject: Subject) => Effect.Effect<unknown, unknown, Scope.Scope>>>
) => Struct.keys(laws).map((name) => ({ about, name, law: laws[name] }))

const ofStore = [
  ...themed("create and read", creation),
  ...themed("leases", leases),
  ...themed("stealing", stealing),
  ...themed("commits", commits),
  ...themed("guards", guards),
  ...themed("recording without a lease", recording),
  ...themed("concluding", concluding),
  ...themed("leaving a run", leaving),
  ...themed("claims", claiming),
  ...themed("attempts", attempts),
  ...themed("inputs", inputs),
  ...themed("hints", hints),
  ...themed("removal", removal),
  ...themed("listing", listing),
  ...themed("repetition after a timeout", repetition),
  ...themed("many runs", scale)
]

const ofPlace = themed("durability", durability)
const ofRetention = themed("retention", retention)
const ofKeptPlace = themed("retention over closing", retentionOfPlaces)

export type { Runner } from "./ContractRunner.ts"
export { ContractViolation } from "./ContractViolation.ts"

/**
 * The name of a law, which is also the title of its test.
 *
 * @since 0.1.0
 * @category models
 */
export type LawName = (typeof ofStore | typeof ofPlace | typeof ofRetention | typeof ofKeptPlace)[number]["name"]

/**
 * One promise of token stores. `check` needs an empty store, and fails if the promise is broken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Law {
  readonly name: LawName
  /** The topic of the law. Laws on the same topic have the same text here. */
  readonly about: string
  readonly check: Effect.Effect<void, ContractViolation, TokenStore.TokenStore>
}

/**
 * How the suite checks a store.
 *
 * **Details**
 *
 * Without options the clock is `TestClock`, and leases take 30 seconds. Set `live` for a store that uses the time of a
 * server: the tests then wait, and `ttl` is half a second by default. It must be long enough for a few operations in a row.
 *
 * `reopen` is for stores that outlive the process. Each time it runs it makes a new empty place (a folder, a namespace) and
 * returns a layer that opens this place. The laws build and close that layer many times. The resources of `reopen` are
 * released with its scope.
 *
 * `retention` describes a store of the same kind that forgets runs soon. `abandonedAfter` must be more than twice as long as
 * `retention`. If the suite is `live`, both must be far longer than a few hundred operations take. `layer` works like
 * `reopen`, but the laws open it again only if there is a `reopen` too.
 *
 * `except` names laws that the store does not keep. Each of these must fail, so that no exception is out of date.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long a lease is. Default 30 seconds, or half a second if the suite is `live`. */
  readonly ttl?: Duration.Input
  /** Lets time pass for the store. Default `TestClock.adjust`, or `Effect.sleep` if the suite is `live`. */
  readonly advance?: (duration: Duration.Duration) => Effect.Effect<void>
  /** Whether the tests use the real clock. */
  readonly live?: boolean
  /** The number of runs in the laws on many runs. Default 10,000. */
  readonly runs?: number
  /** Makes a new place, and returns the layer that opens it. */
  readonly reopen?: Effect.Effect<Layer.Layer<TokenStore.TokenStore, unknown>, unknown, Scope.Scope>
  /** A store that forgets runs after these times. */
  readonly retention?: {
    readonly layer: Effect.Effect<Layer.Layer<TokenStore.TokenStore, unknown>, unknown, Scope.Scope>
    readonly retention: Duration.Input
    readonly abandonedAfter: Duration.Input
  }
  /** The laws that the store does not keep. */
  readonly except?: ReadonlyArray<LawName>
}

/**
 * The laws, as values. Those on durability are included if `options` have `reopen`, those on how long runs are kept if they
 * have `retention`.
 *
 * **When to use**
 *
 * Use it with a test runner that does not fit `suite`, or to check one law by itself. `except` has no effect here.
 *
 * **Example** (Checking one law)
 *
 * ```ts
 * import { TokenStore } from "@effect-baton/core"
 * import { TokenStoreContract } from "@effect-baton/testing"
 * import { Effect } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const law = TokenStoreContract.laws().find(({ name }) => name === "a lease ends with its time")
 *
 * export const check = law?.check.pipe(Effect.provide([TokenStore.layerMemory, TestClock.layer()]))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const laws = (options: Options = {}): ReadonlyArray<Law> => {
  const terms = termsOf(options)
  const { reopen, retention: kept } = options
  const ofStores = ofStore.map(({ about, law, name }) => ({
    name,
    about,
    check: judged(Effect.flatMap(TokenStore.TokenStore, (store) => law(Bench.make(store, terms))))
  }))
  const ofPlaces = ofPlace.flatMap(({ about, law, name }) =>
    reopen === undefined
      ? []
      : [{ name, about, check: judged(Effect.flatMap(reopen, (layer) => law(placeOf(layer, terms)))) }]
  )
  const ofKept = [...ofRetention, ...(reopen === undefined ? [] : ofKeptPlace)].flatMap(({ about, law, name }) =>
    kept === undefined
      ? []
      : [{ name, about, check: judged(Effect.flatMap(kept.layer, (layer) => law(forgettingOf(layer, kept, terms)))) }]
  )
  return [...ofStores, ...ofPlaces, ...ofKept]
}

/**
 * Registers a test for every law. A store that passes all of them keeps the contract of `TokenStore`.
 *
 * **Details**
 *
 * `layer` must give an empty store each time it is built.
 *
 * **Example** (Checking a store)
 *
 * ```ts
 * import { TokenStore } from "@effect-baton/core"
 * import { TokenStoreContract } from "@effect-baton/testing"
 * import { describe, it } from "@effect/vitest"
 *
 * TokenStoreContract.suite({ describe, it }, "memory", TokenStore.layerMemory)
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = <E>(
  runner: Runner,
  name: string,
  layer: Layer.Layer<TokenStore.TokenStore, E>,
  options: Options = {}
): void => {
  Suite.register(runner, `token store: ${name}`, {
    subject: "store",
    layer,
    laws: laws(options),
    except: options.except,
    live: options.live,
    timeoutOf: (about) => (about === "many runs" ? 300_000 : 60_000),
    untried: "it needs the option `reopen`, which opens a place again, or `retention`, a store that forgets runs"
  })
}

/**
 * Makes a run of the agent `analyst` that has not started, for tests of a store.
 *
 * @since 0.1.0
 * @category testing
 */
export const newRun: (runId: string, change?: Partial<RunRecord.NewRun>) => RunRecord.NewRun = Bench.newRun

/**
 * Makes a commit for tests of a store, for a run of `newRun`: the position after the event with number `ordinal`, by a writer
 * that has seen no fact of the journal.
 *
 * @since 0.1.0
 * @category testing
 */
export const commitOf: (runId: string, ordinal: number, change?: Partial<TokenStore.Commit>) => TokenStore.Commit =
  Bench.commitOf

const termsOf = ({ advance, live = false, runs = 10_000, ttl }: Options): Bench.Terms => {
  const length = Duration.fromInputUnsafe(ttl ?? (live ? "500 millis" : "30 seconds"))
  return {
    ttl: length,
    beyond: Duration.times(length, 1.5),
    advance: advance ?? (live ? Effect.sleep : TestClock.adjust),
    runs
  }
}

const placeOf = (layer: Layer.Layer<TokenStore.TokenStore, unknown>, terms: Bench.Terms): Bench.Place => ({
  ...terms,
  open: Effect.map(Layer.build(Layer.fresh(layer)), (context) =>
    Bench.make(Context.get(context, TokenStore.TokenStore), terms)
  )
})

const forgettingOf = (
  layer: Layer.Layer<TokenStore.TokenStore, unknown>,
  { abandonedAfter, retention: kept }: NonNullable<Options["retention"]>,
  terms: Bench.Terms
): Forgetting => ({
  ...placeOf(layer, terms),
  retention: Duration.fromInputUnsafe(kept),
  abandonedAfter: Duration.fromInputUnsafe(abandonedAfter)
})

const judged = <R>(check: Effect.Effect<unknown, unknown, R>) => Suite.judged("store", Effect.scoped(check))
