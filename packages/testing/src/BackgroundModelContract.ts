/**
 * The contract of background models, as tests: one call checks a model, including one that you wrote.
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
  /** The topic of the law. Laws on the same topic have the same text here. */
  readonly about: string
  readonly check: Effect.Effect<void, ContractViolation, BackgroundModel.BackgroundModel>
}

/**
 * A request to a model. The suite adds the run and the agent, and requests a background response.
 *
 * @since 0.1.0
 * @category models
 */
export type Request = Bench.Request

/**
 * The requests of the suite, and how time passes.
 *
 * **Details**
 *
 * `answers` are requests whose responses complete. The first must be answered with text in several events. Add requests for
 * whatever else the model can produce: reasoning, calls, sources, files. Every law sends its own request, so short answers
 * are cheap.
 *
 * The laws on `runs`, `refused` and `fails` are checked only if that request is given. The response to `runs` must take long
 * enough to be retrieved and cancelled, and then end by itself.
 *
 * Without `live` the clock is `TestClock`, and each wait moves it by one second. A model that uses the time of a server needs
 * `live`. Each wait then takes 50 milliseconds. `pace` changes both.
 *
 * `except` names laws that the model does not keep. Each of these must fail, so that no exception is out of date.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly answers: readonly [Request, ...ReadonlyArray<Request>]
  /** A request whose response is under way for a while. */
  readonly runs?: Request
  /** A request that is refused before there is a response. */
  readonly refused?: Request
  /** A request whose response fails. */
  readonly fails?: Request
  /** An id in the form of the provider's ids that no response has. */
  readonly unknownId?: string
  /** Whether the tests use the real clock. */
  readonly live?: boolean
  /** How long a wait is, for example between two polls. */
  readonly pace?: Duration.Input
  /** How long a response may take. Default 10 minutes, or 1 minute if the suite is `live`. */
  readonly patience?: Duration.Input
  /** The laws that the model does not keep. */
  readonly except?: ReadonlyArray<LawName>
}

/**
 * The laws that `options` have requests for, as values.
 *
 * **When to use**
 *
 * Use it with a test runner that does not fit `suite`, or to check one law by itself. `except` has no effect here.
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
 * Registers a test for every law. A model that passes all of them keeps the contract of `BackgroundModel`.
 *
 * **When to use**
 *
 * Use it for a model that you wrote, with its provider, a recording or a test double. The suite sends some dozens of
 * requests.
 *
 * **Example** (Checking a model)
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
    untried: "the options have no request for it"
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
