/**
 * A viewer of a stream that another process reads: `relay.program.ts SUBJECT KIND DELTAS WARM-UP`, or
 * `relay.program.ts SUBJECT paced PER-SECOND SECONDS`. It starts that process, and the server waits with the deltas until the
 * viewer has the events before them.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout } from "node:timers/promises"
import { now } from "./clock.ts"
import { viewer } from "./relayed.ts"
import { setting } from "./stores.ts"
import { wordOf } from "./words.ts"

const [subject = "", kind = "", ...numbers] = process.argv.slice(2)
const [first = 0, second = 0] = numbers.map(Number)
process.stdin.resume().once("end", () => process.exit(1))

const profile = setting("BENCH_PROFILE")
const flags = profile === "" ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`]
const writer = spawn(process.execPath, [...flags, join(import.meta.dirname, "relayWriter.program.js"), subject], {
  stdio: ["pipe", "pipe", "inherit"]
})
// It also ends when this process does, because its input then does.
writer.once("exit", () => process.exit(1))
const said = createInterface({ input: writer.stdout })[Symbol.asyncIterator]()

const next = async (): Promise<string> => {
  for (;;) {
    const { done, value } = await said.next()
    if (done === true) throw new Error("The writer ended")
    if (/^(open|\d+)$/.test(value)) return value
    console.error(value)
  }
}

const view = await viewer(subject)
let streams = 0

const open = async (input: string): Promise<{ readonly id: string; readonly release: () => void }> => {
  const id = `${setting("BENCH_PREFIX")}-${process.pid}-${subject}-${++streams}`
  writer.stdin.write(`${JSON.stringify({ id, input: input.endsWith(":held") ? `${input}:${id}` : input })}\n`)
  await next()
  const url = `${setting("BENCH_URL")}/release/${id}`
  return { id, release: () => void fetch(url).then((response) => response.text()) }
}

/** Deltas per second from their release to the last one at the viewer, and what each cost both processes. */
const relayed = async (deltas: number) => {
  const { id, release } = await open(`${kind}:${deltas}:held`)
  let start = Number.NaN
  let count = 0
  let cpu = process.cpuUsage()
  await view(
    id,
    () => {
      start = now()
      cpu = process.cpuUsage()
      release()
    },
    (text) => {
      if (text !== wordOf(count)) throw new Error(`Delta ${count} is ${text}`)
      count++
    }
  )
  const ms = now() - start
  const { system, user } = process.cpuUsage(cpu)
  // Fast and wrong is no figure.
  if (count !== deltas) throw new Error(`${subject} gave ${count} deltas`)
  return { rate: deltas / (ms / 1000), cpu: (system + user) / deltas, writer: Number(await next()) / deltas }
}

/** How long after the server sent a delta the viewer has it, in milliseconds. */
const lag = async (perSecond: number, seconds: number) => {
  const { id } = await open(`paced:${perSecond}`)
  const lags: Array<number> = []
  let isMeasured = false
  const viewed = view(
    id,
    () => undefined,
    (text) => {
      if (isMeasured) lags.push(now() - Number(text))
    }
  )
  await Promise.race([viewed, setTimeout(1000)])
  isMeasured = true
  // Not to wait for something: this is the time that is measured.
  await Promise.race([viewed, setTimeout(seconds * 1000)])
  const sorted = lags.toSorted((a, b) => a - b)
  if (sorted.length < perSecond * seconds * 0.8) throw new Error(`${subject} gave ${sorted.length} deltas`)
  return { p50: sorted[Math.floor(sorted.length * 0.5)], p99: sorted[Math.floor(sorted.length * 0.99)] }
}

if (kind !== "paced") await relayed(second)
const figures = kind === "paced" ? await lag(first, second) : await relayed(first)
console.log(JSON.stringify(figures))
writer.removeAllListeners("exit")
writer.stdin.end()
if (profile !== "") await new Promise((resolve) => writer.once("exit", resolve))
process.exit(0)
