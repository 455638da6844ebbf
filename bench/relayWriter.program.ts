/**
 * The process that reads the provider: `relayWriter.program.ts SUBJECT`. It takes streams to read from its input, a line
 * each, and says when others can follow one, and what it cost when it is over, in microseconds of the processor.
 */
import { createInterface } from "node:readline"
import { type Relayed, writer } from "./relayed.ts"

const [subject = ""] = process.argv.slice(2)
const write = await writer(subject)
const isRelayed = (value: unknown): value is Relayed => typeof value === "object" && value !== null && "id" in value

// The viewer holds the other end, however it ends.
process.stdin.once("end", () => process.exit(0))

for await (const line of createInterface({ input: process.stdin })) {
  const relayed: unknown = JSON.parse(line)
  if (!isRelayed(relayed)) throw new Error(`No stream: ${line}`)
  const cpu = process.cpuUsage()
  await write(relayed, () => console.log("open"))
  const { system, user } = process.cpuUsage(cpu)
  console.log(String(system + user))
}
process.exit(0)
