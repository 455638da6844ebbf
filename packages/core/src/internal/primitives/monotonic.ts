import type * as Clock from "effect/Clock"

/** The clock's monotonic time in milliseconds, which never jumps as the time of day does. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
