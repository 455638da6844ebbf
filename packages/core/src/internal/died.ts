import * as Cause from "effect/Cause"

/** Whether an operation of a port died: it neither failed nor was interrupted, as it should. */
export const isDead = <E>(cause: Cause.Cause<E>): boolean =>
  Cause.hasDies(cause) && !Cause.hasFails(cause) && !Cause.hasInterrupts(cause)
