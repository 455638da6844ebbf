/** Milliseconds on the machine's own clock: the only one that several processes read alike, and that nobody sets. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6
