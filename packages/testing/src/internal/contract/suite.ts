import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type { Runner } from "../../ContractRunner.ts"
import { ContractViolation } from "../../ContractViolation.ts"

// Registers laws as tests, for the suites of all ports.

/** What the laws are about, as a word for messages. */
type Subject = "store" | "model" | "log"

interface Law<Name, Service> {
  readonly name: Name
  readonly about: string
  readonly check: Effect.Effect<void, ContractViolation, Service>
}

/** Registers a test for every law. The test for a law in `except` passes if the law is broken. */
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
    /** Why a law in `except` was not checked. */
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
    // An exception for a law that is not checked would otherwise never be noticed.
    const tried = new Set(laws.map(({ name }) => name))
    for (const name of except) {
      if (tried.has(name)) continue
      const message = `This law was not checked: ${untried}.`
      test(notPromised(name), () => Effect.fail(new ContractViolation({ message })), timeoutOf(""))
    }
  })
}

const notPromised = (name: string): string => `not promised: ${name}`

/** Turns every failure and defect of a check into a `ContractViolation`. An interruption stays an interruption. */
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

// Some errors have a name but no message.
const nameOf = (cause: unknown): string => (Predicate.isError(cause) ? cause.message || cause.name : String(cause))

const mustFail = <R>(subject: Subject, name: string, check: Effect.Effect<void, ContractViolation, R>) =>
  Effect.matchEffect(check, {
    onFailure: () => Effect.void,
    onSuccess: () =>
      Effect.fail(new ContractViolation({ message: `The ${subject} keeps "${name}": remove it from \`except\`.` }))
  })
