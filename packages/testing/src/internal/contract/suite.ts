import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type { Runner } from "../../ContractRunner.ts"
import { ContractViolation } from "../../ContractViolation.ts"

// What the suites of all ports share: how laws become tests.

/** What keeps the laws, in a word. */
type Subject = "store" | "model" | "log"

interface Law<Name, Service> {
  readonly name: Name
  readonly about: string
  readonly check: Effect.Effect<void, ContractViolation, Service>
}

/** Registers a test for every law; for one of `except`, that it is broken. */
export const register = <Name extends string, Service, E>(
  runner: Runner,
  title: string,
  options: {
    readonly subject: Subject
    readonly layer: Layer.Layer<Service, E>
    readonly laws: ReadonlyArray<Law<Name, Service>>
    readonly except: ReadonlyArray<Name> | undefined
    readonly live: boolean | undefined
    readonly timeoutOf: (about: string) => number
    /** Why a law of `except` was not tried. */
    readonly untried: string
  }
): void => {
  const { laws, layer, subject, timeoutOf, untried } = options
  const test = options.live === true ? runner.it.live : runner.it.effect
  const except = new Set(options.except)
  runner.describe(title, () => {
    for (const [about, group] of Map.groupBy(laws, (one) => one.about)) {
      runner.describe(about, () => {
        for (const { check, name } of group) {
          const broken = except.has(name)
          test(
            broken ? notPromised(name) : name,
            () => Effect.provide(broken ? mustFail(subject, name, check) : check, layer, { local: true }),
            timeoutOf(about)
          )
        }
      })
    }
    // An exception from a law that is not tried would be looked at by nobody.
    const tried = new Set(laws.map(({ name }) => name))
    for (const name of except) {
      if (tried.has(name)) continue
      const message = `This law was not tried: ${untried}.`
      test(notPromised(name), () => Effect.fail(new ContractViolation({ message })), timeoutOf(""))
    }
  })
}

const notPromised = (name: string): string => `not promised: ${name}`

/** Whatever goes wrong in a check, a promise is broken; but to be interrupted is no failure of its. */
export const judged = <R>(
  subject: Subject,
  check: Effect.Effect<unknown, unknown, R>
): Effect.Effect<void, ContractViolation, R> =>
  Effect.matchCauseEffect(check, {
    onSuccess: () => Effect.void,
    onFailure: (cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.fail(violationOf(subject, Cause.squash(cause)))
  })

const violationOf = (subject: Subject, cause: unknown): ContractViolation =>
  cause instanceof ContractViolation
    ? cause
    : new ContractViolation({ message: `The ${subject} failed though it must answer: ${nameOf(cause)}`, cause })

// Some errors have a name and no message.
const nameOf = (cause: unknown): string => (Predicate.isError(cause) ? cause.message || cause.name : String(cause))

const mustFail = <R>(subject: Subject, name: string, check: Effect.Effect<void, ContractViolation, R>) =>
  Effect.matchEffect(check, {
    onFailure: () => Effect.void,
    onSuccess: () =>
      Effect.fail(new ContractViolation({ message: `The ${subject} keeps "${name}": take it out of \`except\`.` }))
  })
