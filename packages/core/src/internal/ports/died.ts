import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Whether an operation of a port died: it neither failed nor was interrupted, as it should. */
export const isDead = <E>(cause: Cause.Cause<E>): boolean =>
  Cause.hasDies(cause) && !Cause.hasFails(cause) && !Cause.hasInterrupts(cause)

/** What runs in the background, and what asks again, does so because an operation fails: one that dies fails with this. */
export const failing = <A, E, Died>(
  call: () => Effect.Effect<A, E>,
  died: (cause: Cause.Cause<unknown>) => Died
): Effect.Effect<A, E | Died> =>
  Effect.catchCause(Effect.suspend(call), (cause): Effect.Effect<never, E | Died> =>
    isDead(cause) ? Effect.fail(died(cause)) : Effect.failCause(cause)
  )

/** A port in another form: the same one each time. */
export const inForm = <Service extends object>(form: (service: Service) => Service) => {
  const known = new WeakMap<Service, Service>()
  return (service: Service): Service => {
    const found = known.get(service) ?? form(service)
    known.set(service, found)
    return found
  }
}
