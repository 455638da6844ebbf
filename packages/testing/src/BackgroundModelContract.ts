/**
 * What every background model promises, as tests: one call proves a model, also one of your own.
 *
 * @since 0.1.0
 */
import { BackgroundModel } from "@effect-baton/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Struct from "effect/Struct"
import * as TestClock from "effect/testing/TestClock"
import type { Runner } from "./ContractRunner.ts"
import type { ContractViolation } from "./ContractViolation.ts"
import * as Suite from "./internal/contract/suite.ts"
import * as Bench from "./internal/modelContract/bench.ts"
import * as Looking from "./internal/modelContract/looking.ts"
import { resuming } from "./internal/modelContract/resuming.ts"
import * as Telling from "./internal/modelContract/telling.ts"

const themed = <Name extends string, L>(about: string, laws: Readonly<Record<Name, L>>) =>
  Struct.keys(laws).map((name) => ({ about, name, law: laws[name] }))

const ofModel = [
  ...themed("creation", Telling.creation),
  ...themed("events and snapshots tell one story", Telling.story),
  ...themed("resuming", resuming),
  ...themed("submission", Looking.submission),
  ...themed("a cancel of what is over", Looking.cancellingWhatIsOver),
  ...themed("unknown responses", Looking.unknown),
  ...themed("removal", Looking.removal)
]

const ofRuns = [...themed("under way", Looking.underWay), ...themed("cancelling", Looking.cancelling)]
const ofRefused = themed("refusal", Looking.refusal)
const ofFails = themed("failure", Looking.failing)

export type { Runner } from "./ContractRunner.ts"
export { ContractViolation } from "./ContractViolation.ts"

/**
 * The name of a law, which is also the title of its test.
 *
 * @since 0.1.0
 * @category models
 */
export type LawName = (typeof ofModel | typeof ofRuns | typeof ofRefused | typeof ofFails)[number]["name"]

/**
 * One promise of background models. `check` fails if the promise is broken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Law {
  readonly name: LawName
  /** The laws on the same matter say the same here. */
  readonly about: string
  readonly check: Effect.Effect<void, ContractViolation, BackgroundModel.BackgroundModel>
}

/**
 * What a model is asked. The suite names the run and the agent, and asks for the background.
 *
 * @since 0.1.0
 * @category models
 */
export type Request = Bench.Request

/**
 * What a model is asked, and how time passes.
 *
 * **Details**
 *
 * `answers` are requests that complete. The first must come as text in several events; give more of them for whatever
 * else the model can say: reasoning, calls, sources, files. Every law asks again, so short answers are cheap.
 *
 * The laws on `runs`, `refused` and `fails` are tried if there is such a request. `runs` must take long enough to be
 * looked at and cancelled, and then end by itself.
 *
 * Without `live` the clock is `TestClock`, and each wait moves it by a second. A model whose time is a server's needs
 * `live`: each wait then takes 50 milliseconds, or what you say.
 *
 * `except` names laws that the model does not promise. Each of these must then fail, so that the exception stays true.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly answers: readonly [Request, ...ReadonlyArray<Request>]
  /** Is under way for a while. */
  readonly runs?: Request
  /** Is refused, before there is a response. */
  readonly refused?: Request
  /** Becomes a response that fails. */
  readonly fails?: Request
  /** An id as the provider gives them, and never gave. */
  readonly unknownId?: string
  /** Whether the tests run by the real clock. */
  readonly live?: boolean
  /** How long a wait is, between two looks for instance. */
  readonly pace?: Duration.Input
  /** How long a response may take: a minute, or ten if the suite is not `live`. */
  readonly patience?: Duration.Input
  /** The laws that the model does not promise, and breaks. */
  readonly except?: ReadonlyArray<LawName>
}

/**
 * The laws, as values: those that `options` have requests for.
 *
 * **When to use**
 *
 * With a test runner that `suite` does not fit, or to check one law by itself. `except` is of no effect here.
 *
 * **Example** (Checking one law)
 *
 * ```ts
 * import { BackgroundModelContract, ScriptedModel } from "@effect-baton/testing"
 * import { Effect } from "effect"
 * import { Prompt } from "effect/ai"
 * import { TestClock } from "effect/testing"
 *
 * const { completed, text } = ScriptedModel
 * const laws = BackgroundModelContract.laws({ answers: [{ prompt: Prompt.make("Hello") }] })
 * const law = laws.find(({ name }) => name === "the numbers of events rise")
 *
 * export const check = law?.check.pipe(
 *   Effect.provide([ScriptedModel.layer([text("Hello, "), text("world"), completed]), TestClock.layer()])
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const laws = (options: Options): ReadonlyArray<Law> => {
  const terms = termsOf(options)
  const checked = ({
    about,
    law,
    name
  }: {
    readonly about: string
    readonly law: Bench.Law
    readonly name: LawName
  }) => ({
    name,
    about,
    check: Suite.judged(
      "model",
      Effect.flatMap(BackgroundModel.BackgroundModel, (model) => law(Bench.make(model, terms)))
    )
  })
  const asked = <Name extends LawName>(
    group: ReadonlyArray<{ readonly about: string; readonly name: Name; readonly law: Bench.LawOf }>,
    request: Request | undefined
  ) => (request === undefined ? [] : group.map((one) => checked({ ...one, law: one.law(request) })))
  return [
    ...ofModel.map(checked),
    ...asked(ofRuns, options.runs),
    ...asked(ofRefused, options.refused),
    ...asked(ofFails, options.fails)
  ]
}

/**
 * Registers a test for every law: a model that passes them all is a background model.
 *
 * **When to use**
 *
 * For a model of your own, against its provider, a recording of it or a double. It is asked some dozens of times.
 *
 * **Example** (Proving a model)
 *
 * ```ts
 * import { BackgroundModelContract, ScriptedModel } from "@effect-baton/testing"
 * import { describe, it } from "@effect/vitest"
 * import { Prompt } from "effect/ai"
 *
 * const { completed, text } = ScriptedModel
 * const model = ScriptedModel.layer([text("Hello, "), text("world"), completed])
 *
 * BackgroundModelContract.suite({ describe, it }, "scripted", model, { answers: [{ prompt: Prompt.make("Hello") }] })
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = <E>(
  runner: Runner,
  name: string,
  layer: Layer.Layer<BackgroundModel.BackgroundModel, E>,
  options: Options
): void => {
  const timeout = 60_000 + Duration.toMillis(patienceOf(options))
  Suite.register(runner, `background model: ${name}`, {
    subject: "model",
    layer,
    laws: laws(options),
    except: options.except,
    live: options.live,
    timeoutOf: () => timeout,
    untried: "there is no request for it in the options"
  })
}

const patienceOf = ({ live = false, patience }: Options): Duration.Duration =>
  Duration.fromInputUnsafe(patience ?? (live ? "1 minute" : "10 minutes"))

const termsOf = (options: Options): Bench.Terms => {
  const { answers, live = false, pace, unknownId } = options
  return {
    answers,
    unknownId: unknownId ?? "resp_00000000000000000000000000000000000000000000000000",
    wait: live ? Effect.sleep(pace ?? "50 millis") : TestClock.adjust(pace ?? "1 second"),
    patience: patienceOf(options)
  }
}
