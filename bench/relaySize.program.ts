/** What the log of a run of five hundred deltas takes, 100 deltas a second: `relaySize.program.ts redis|file`. */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { createClient } from "redis"
import { batonWriter } from "./relayed.ts"
import { setting } from "./stores.ts"

const [storage = ""] = process.argv.slice(2)
process.stdin.resume().once("end", () => process.exit(1))

const id = `${setting("BENCH_PREFIX")}-size`

/** The memory of the keys of the log: the stream of its chunks, and its head. */
const inRedis = async (): Promise<number> => {
  const client = await createClient({ url: setting("BENCH_REDIS") }).connect()
  const keys = await client.keys(`*:log:${id}`)
  const heads = await client.keys(`*:head:${id}`)
  const sizes = await Promise.all([...keys, ...heads].map((key) => client.memoryUsage(key, { SAMPLES: 0 })))
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

/** The files that are not those of a lock. */
const onDisk = async (): Promise<number> => {
  const directory = setting("BENCH_FILES")
  const files = (await readdir(directory)).filter((file) => file.endsWith(".log"))
  const found = await Promise.all(files.map((file) => stat(join(directory, file))))
  return found.reduce((sum, { size }) => sum + size, 0)
}

const write = await batonWriter(storage)
const updates = await write({ id, input: "prose:100" }, () => undefined)
const bytes = await (storage === "redis" ? inRedis() : onDisk())
// Nothing measured is no figure.
if (updates < 500 || bytes === 0) throw new Error(`${updates} updates, ${bytes} bytes`)
console.log(JSON.stringify({ bytes: bytes / updates, updates, all: bytes }))
process.exit(0)
