/**
 * What every update log promises, as tests: one call proves a log, also one of your own.
 *
 * @since 0.1.0
 */
import { UpdateLog } from "@effect-baton/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
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

export type { Runner } from "./ContractRunner.ts"
export { ContractViolation } from "./ContractViolation.ts"

/**
 * The name of a law, which is also the title of its test.
 *
 * @since 0.1.0
 * @category models
 */
export type LawName = (typeof ofLog | typeof ofPlace)[number]["name"]

/**
 * One promise of update logs. `check` uses a log that is empty, and fails if the promise is broken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Law {
  readonly name: LawName
  /** The laws on the same matter say the same here. */
  readonly about: string
  readonly check: Effect.Effect<void, ContractViolation, UpdateLog.UpdateLog>
}

/**
 * How a log is tried.
 *
 * **Details**
 *
 * Without options the clock is `TestClock`. For a log whose time is a server's set `live`.
 *
 * `reopen` is for logs that outlive the process: every time it is run it makes a new empty place, and gives a layer
 * that opens this place, which the laws build and close again and again. What it acquires is released with its scope.
 *
 * `except` names laws that the log does not promise. Each of these must then fail, so that the exception stays true.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether the tests run by the real clock. */
  readonly live?: boolean
  /** How many chunks are many: 10,000. */
  readonly chunks?: number
  /** Makes a new place, and gives the layer that opens it. */
  readonly reopen?: Effect.Effect<Layer.Layer<UpdateLog.UpdateLog, unknown>, unknown, Scope.Scope>
  /** The laws that the log does not promise, and breaks. */
  readonly except?: ReadonlyArray<LawName>
}

/**
 * The laws, as values: all of the log, and those of durability if `options` say how to `reopen` it.
 *
 * **When to use**
 *
 * With a test runner that `suite` does not fit, or to check one law by itself. `except` is of no effect here.
 *
 * **Example** (Checking one law)
 *
 * ```ts
 * import { UpdateLog } from "@effect-baton/core"
 * import { UpdateLogContract } from "@effect-baton/testing"
 * import { Effect } from "effect"
 *
 * const law = UpdateLogContract.laws().find(({ name }) => name === "removing again does nothing")
 *
 * export const check = law?.check.pipe(Effect.provide(UpdateLog.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const laws = (options: Options = {}): ReadonlyArray<Law> => {
  const { chunks = 10_000, reopen } = options
  const terms = { chunks }
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
  return [...ofLogs, ...ofPlaces]
}

/**
 * Registers a test for every law: a log that passes them all is an update log.
 *
 * **Details**
 *
 * `layer` must give an empty log each time it is built.
 *
 * **Example** (Proving a log)
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
    untried: "say how to open the place again, with `reopen`"
  })
}

/**
 * A chunk for tests of a log: one update at this offset, by epoch 1, unless `change` says otherwise.
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

const placeOf = (layer: Layer.Layer<UpdateLog.UpdateLog, unknown>, terms: Bench.Terms): Bench.Place => ({
  ...terms,
  open: Effect.map(Layer.build(Layer.fresh(layer)), (context) =>
    Bench.make(Context.get(context, UpdateLog.UpdateLog), terms)
  )
})

const judged = <R>(check: Effect.Effect<unknown, unknown, R>) => Suite.judged("log", Effect.scoped(check))
