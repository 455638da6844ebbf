import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Whether an operation of a port died, instead of failing or being interrupted. */
export const isDead = <E>(cause: Cause.Cause<E>): boolean =>
  Cause.hasDies(cause) && !Cause.hasFails(cause) && !Cause.hasInterrupts(cause)

/**
 * The error of an operation that died. Retries and background work handle only failures, so defects are turned into
 * failures.
 */
export const failing = <A, E, Died>(
  call: () => Effect.Effect<A, E>,
  died: (cause: Cause.Cause<unknown>) => Died
): Effect.Effect<A, E | Died> =>
  Effect.catchCause(Effect.suspend(call), (cause): Effect.Effect<never, E | Died> =>
    isDead(cause) ? Effect.fail(died(cause)) : Effect.failCause(cause)
  )

/** Converts a port, once for each service object. */
export const inForm = <Service extends object>(form: (service: Service) => Service) => {
  const known = new WeakMap<Service, Service>()
  return (service: Service): Service => {
    const found = known.get(service) ?? form(service)
    known.set(service, found)
    return found
  }
}
