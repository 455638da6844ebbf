/** One subject reads one stream flat out: `read.program.ts SUBJECT DELTAS WARM-UP`. */
import { now } from "./clock.ts"
import { reader } from "./subjects.ts"
import { wordLength } from "./words.ts"

const [subject = "", deltas = "", warmUp = ""] = process.argv.slice(2)
process.stdin.resume().once("end", () => process.exit(1))

const read = await reader(subject)
await read(`flat:${warmUp}`, () => undefined)

let letters = 0
const cpu = process.cpuUsage()
const start = now()
await read(`flat:${deltas}`, (text) => {
  letters += text.length
})
const ms = now() - start
const { system, user } = process.cpuUsage(cpu)

// Fast and wrong is no figure.
if (letters !== Number(deltas) * wordLength) throw new Error(`${subject} gave ${letters} letters`)
console.log(
  JSON.stringify({
    rate: Number(deltas) / (ms / 1000),
    cpu: (user + system) / Number(deltas),
    peak: process.resourceUsage().maxRSS / 1024
  })
)
process.exit(0)
