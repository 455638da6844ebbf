import type * as Clock from "effect/Clock"

/** The clock's monotonic time in milliseconds: clocks of hosts differ, and jump, and it does not. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
