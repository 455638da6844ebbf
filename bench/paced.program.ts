/** One subject holds many paced streams at once: `paced.program.ts SUBJECT RUNS PER-SECOND SECONDS`, with --expose-gc. */
import { setTimeout } from "node:timers/promises"
import { now } from "./clock.ts"
import { reader } from "./subjects.ts"

const [subject = "", ...numbers] = process.argv.slice(2)
const [runs = 0, perSecond = 0, seconds = 0] = numbers.map(Number)
process.stdin.resume().once("end", () => process.exit(1))

const collect = () => {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage()
}

const read = await reader(subject)
// What is loaded or compiled at first use is no run's.
await Promise.all(Array.from({ length: 20 }, () => read("flat:50", () => undefined)))

// More than is expected, for a process that catches up, and written to beforehand: keeping lags costs no memory later.
const lags = new Float64Array(runs * perSecond * seconds * 4).fill(0)
let measured = 0
let measuring = false

const idle = collect()
const start = now()
const { promise: allOpen, reject, resolve } = Promise.withResolvers<void>()
let open = 0
for (let run = 0; run < runs; run++) {
  let updates = 0
  read(`paced:${perSecond}`, (text) => {
    const lag = now() - Number(text)
    if (updates++ === 0 && ++open === runs) resolve()
    if (measuring && measured < lags.length) lags[measured++] = lag
  }).then(() => reject(new Error("A stream ended.")), reject)
}
await allOpen
const opening = now() - start

const cpu = process.cpuUsage()
measuring = true
// Not to wait for something: this is the time that is measured.
await setTimeout(seconds * 1000)
measuring = false
const { system, user } = process.cpuUsage(cpu)
const { rss } = process.memoryUsage()
const { heapUsed } = collect()

const sorted = lags.slice(0, measured).toSorted()
console.log(
  JSON.stringify({
    rss: (rss - idle.rss) / 1024 / runs,
    heap: (heapUsed - idle.heapUsed) / 1024 / runs,
    p50: sorted[Math.floor(measured * 0.5)],
    p99: sorted[Math.floor(measured * 0.99)],
    cpu: (user + system) / (seconds * 1e4),
    opening: opening / runs
  })
)
process.exit(0)
