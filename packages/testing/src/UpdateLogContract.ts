/**
 * The contract of update logs, as tests: one call checks a log, including one that you wrote.
 *
 * @since 0.1.0
 */
import { UpdateLog } from "@effect-baton/core"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import * as TestClock from "effect/testing/TestClock"
import type { Runner } from "./ContractRunner.ts"
import type { ContractViolation } from "./ContractViolation.ts"
import * as Suite from "./internal/contract/suite.ts"
import { appending } from "./internal/logContract/appending.ts"
import * as Bench from "./internal/logContract/bench.ts"
import { durability } from "./internal/logContract/durability.ts"
import { ends } from "./internal/logContract/ending.ts"
import { hints } from "./internal/logContract/hints.ts"
import { opening } from "./internal/logContract/opening.ts"
import { reading } from "./internal/logContract/reading.ts"
import { removing, truncating } from "./internal/logContract/removing.ts"
import { type Forgetting, retention, retentionOfPlaces } from "./internal/logContract/retention.ts"
import { runs, scale } from "./internal/logContract/runs.ts"

const themed = <Name extends string, Subject>(
  about: string,
  laws: Readonly<Record<Name, (subject: Subject) => Effect.Effect<unknown, unknown, Scope.Scope>>>
) => Struct.keys(laws).map((name) => ({ about, name, law: laws[name] }))

const ofLog = [
  ...themed("opening", opening),
  ...themed("appending", appending),
  ...themed("ends", ends),
  ...themed("reading", reading),
  ...themed("truncating", truncating),
  ...themed("removing", removing),
  ...themed("hints", hints),
  ...themed("runs", runs),
  ...themed("many chunks", scale)
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
export type LawName = (typeof ofLog | typeof ofPlace | typeof ofRetention | typeof ofKeptPlace)[number]["name"]

/**
 * One promise of update logs. `check` needs an empty log, and fails if the promise is broken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Law {
  readonly name: LawName
  /** The topic of the law. Laws on the same topic have the same text here. */
  readonly about: string
  readonly check: Effect.Effect<void, ContractViolation, UpdateLog.UpdateLog>
}

/**
 * How the suite checks a log.
 *
 * **Details**
 *
 * Without options the clock is `TestClock`. Set `live` for a log that uses the time of a server: the tests then wait.
 *
 * `reopen` is for logs that outlive the process. Each time it runs it makes a new empty place (a folder, a namespace) and
 * returns a layer that opens this place. The laws build and close that layer many times. The resources of `reopen` are
 * released with its scope.
 *
 * `retention` describes a log of the same kind that is removed after this time. If the suite is `live`, the time must be far
 * longer than a few operations take. `layer` works like `reopen`, but the laws open it again only if there is a `reopen`
 * too.
 *
 * `except` names laws that the log does not keep. Each of these must fail, so that no exception is out of date.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Lets time pass for the log. Default `TestClock.adjust`, or `Effect.sleep` if the suite is `live`. */
  readonly advance?: (duration: Duration.Duration) => Effect.Effect<void>
  /** Whether the tests use the real clock. */
  readonly live?: boolean
  /** The number of chunks in the laws on many chunks. Default 10,000. */
  readonly chunks?: number
  /** Makes a new place, and returns the layer that opens it. */
  readonly reopen?: Effect.Effect<Layer.Layer<UpdateLog.UpdateLog, unknown>, unknown, Scope.Scope>
  /** A log that is removed after this time. */
  readonly retention?: {
    readonly layer: Effect.Effect<Layer.Layer<UpdateLog.UpdateLog, unknown>, unknown, Scope.Scope>
    readonly retention: Duration.Input
  }
  /** The laws that the log does not keep. */
  readonly except?: ReadonlyArray<LawName>
}

/**
 * The laws, as values. Those on durability are included if `options` have `reopen`, those on how long logs are kept if they
 * have `retention`.
 *
 * **When to use**
 *
 * Use it with a test runner that does not fit `suite`, or to check one law by itself. `except` has no effect here.
 *
 * **Example** (Checking one law)
 *
 * ```ts
 * import { UpdateLog } from "@effect-baton/core"
 * import { UpdateLogContract } from "@effect-baton/testing"
 * import { Effect } from "effect"
 *
 * const law = UpdateLogContract.laws().find(({ name }) => name === "removal can be repeated, and does nothing without a log")
 *
 * export const check = law?.check.pipe(Effect.provide(UpdateLog.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const laws = (options: Options = {}): ReadonlyArray<Law> => {
  const { reopen, retention: kept } = options
  const terms = termsOf(options)
  const ofLogs = ofLog.map(({ about, law, name }) => ({
    name,
    about,
    check: judged(Effect.flatMap(UpdateLog.UpdateLog, (log) => law(Bench.make(log, terms))))
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
  return [...ofLogs, ...ofPlaces, ...ofKept]
}

/**
 * Registers a test for every law. A log that passes all of them keeps the contract of `UpdateLog`.
 *
 * **Details**
 *
 * `layer` must give an empty log each time it is built.
 *
 * **Example** (Checking a log)
 *
 * ```ts
 * import { UpdateLog } from "@effect-baton/core"
 * import { UpdateLogContract } from "@effect-baton/testing"
 * import { describe, it } from "@effect/vitest"
 *
 * UpdateLogContract.suite({ describe, it }, "memory", UpdateLog.layerMemory)
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = <E>(
  runner: Runner,
  name: string,
  layer: Layer.Layer<UpdateLog.UpdateLog, E>,
  options: Options = {}
): void => {
  Suite.register(runner, `update log: ${name}`, {
    subject: "log",
    layer,
    laws: laws(options),
    except: options.except,
    live: options.live,
    timeoutOf: (about) => (about === "many chunks" ? 300_000 : 60_000),
    untried: "it needs the option `reopen`, which opens a place again, or `retention`, a log that is removed"
  })
}

/**
 * Makes a chunk for tests of a log: one update at an offset, written by epoch 1.
 *
 * **Example** (A chunk that ends a log)
 *
 * ```ts
 * import { UpdateLogContract } from "@effect-baton/testing"
 *
 * export const last = UpdateLogContract.chunkOf(7, { count: 0, ended: true })
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const chunkOf: (from: number, change?: Partial<UpdateLog.Chunk>) => UpdateLog.Chunk = Bench.chunkOf

const termsOf = ({ advance, chunks = 10_000, live = false }: Options): Bench.Terms => ({
  chunks,
  advance: advance ?? (live ? Effect.sleep : TestClock.adjust)
})

const placeOf = (layer: Layer.Layer<UpdateLog.UpdateLog, unknown>, terms: Bench.Terms): Bench.Place => ({
  ...terms,
  open: Effect.map(Layer.build(Layer.fresh(layer)), (context) =>
    Bench.make(Context.get(context, UpdateLog.UpdateLog), terms)
  )
})

const forgettingOf = (
  layer: Layer.Layer<UpdateLog.UpdateLog, unknown>,
  kept: NonNullable<Options["retention"]>,
  terms: Bench.Terms
): Forgetting => ({ ...placeOf(layer, terms), retention: Duration.fromInputUnsafe(kept.retention) })

const judged = <R>(check: Effect.Effect<unknown, unknown, R>) => Suite.judged("log", Effect.scoped(check))
