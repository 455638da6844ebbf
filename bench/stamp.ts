/** Tells the bench that the first update is there: when, and what the process has used of the processor until then. */
export const stamp = (): void => {
  const { system, user } = process.cpuUsage()
  console.log(JSON.stringify({ at: Number(process.hrtime.bigint()) / 1e6, cpu: (user + system) / 1000 }))
}
