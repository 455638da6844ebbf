/**
 * One subject reads one stream: `read.program.ts SUBJECT KIND DELTAS WARM-UP SMALL`. With SMALL it then reads streams of
 * so many deltas, and tells how much more a delta of the large one cost.
 */
import { existsSync, readFileSync } from "node:fs"
import { now } from "./clock.ts"
import { reader } from "./subjects.ts"
import { wordLength } from "./words.ts"

const [subject = "", kind = "", ...numbers] = process.argv.slice(2)
const [deltas = 0, warmUp = 0, small = 0] = numbers.map(Number)
process.stdin.resume().once("end", () => process.exit(1))

const read = await reader(subject)
await read(`${kind}:${warmUp}`, () => undefined)

/** Microseconds of the processor for each delta, and deltas per second, in streams one after the other. */
const measured = async (count: number, streams: number) => {
  let letters = 0
  const cpu = process.cpuUsage()
  const start = now()
  for (let stream = 0; stream < streams; stream++) {
    await read(`${kind}:${count}`, (text) => {
      letters += text.length
    })
  }
  const ms = now() - start
  const { system, user } = process.cpuUsage(cpu)
  const all = count * streams
  // Fast and wrong is no figure.
  if (letters !== all * wordLength) throw new Error(`${subject} gave ${letters} letters`)
  return { rate: all / (ms / 1000), cpu: (user + system) / all }
}

const large = await measured(deltas, 1)
// What the system tells of a process's resources counts its parent's memory too, from before the program began.
const peakOf = (status: string) => Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) / 1024
const peak = existsSync("/proc/self/status")
  ? peakOf(readFileSync("/proc/self/status", "utf8"))
  : process.resourceUsage().maxRSS / 1024
const growth = small === 0 ? {} : { growth: large.cpu / (await measured(small, 5)).cpu }
console.log(JSON.stringify({ ...large, peak, ...growth }))
process.exit(0)
